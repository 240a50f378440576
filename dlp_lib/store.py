"""Content-addressed records: computed once, written atomically, checked when read.

Nothing is ever unpickled: a record is a safetensors file.
"""

import contextlib
import copy
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from .files import explain_errors, note_use, write_atomically
from .fingerprint import CannotFingerprint, fingerprint, neutral

SUFFIX = ".safetensors"
PATIENCE = 0.5  # seconds between two calls of who waits for a lock


class Record(NamedTuple):
    """What is stored under one name."""

    tensors: dict[str, torch.Tensor]
    facts: dict  # plain JSON


@neutral
class Store:
    """Records under a folder, or in memory where ``root`` is None.

    Each is a safetensors file. Its header holds JSON facts, the record's name, and a SHA-256 of
    all that. A record that is truncated, altered, or copied onto another name brings a warning and
    counts as absent. Processes, also on several machines, may share a folder.
    """

    def __init__(self, root: str | Path | None = None):
        self.root = None if root is None else Path(root).expanduser()
        self._memory: dict[str, bytes] = {}
        self._while_waiting: Callable[[], None] | None = None

    def calling(self, while_waiting: Callable[[], None]) -> "Store":
        """Return the same records; the function is called while a lock of another is waited for.

        Args:
            while_waiting: called again and again, ``PATIENCE`` seconds apart. It may raise an
                exception, which ends the wait.
        """
        store = copy.copy(self)
        store._while_waiting = while_waiting
        return store

    def write(self, name: str, tensors: dict[str, torch.Tensor], facts: dict) -> Record:
        """Store a record, and return it; an older one of the name is replaced.

        Args:
            name: a path such as ``"SL-1f0c/5"``.
            tensors: by name; they are copied to the CPU.
            facts: plain JSON.
        """
        from safetensors.torch import save

        tensors = separate(tensors)
        text = json.dumps(facts, allow_nan=False)
        header = {"facts": text, "name": name, "sha256": digest(name, tensors, text)}
        data = save(tensors, header)
        if self.root is None:
            self._memory[name] = data
        else:
            write_atomically(self._path(name), data)
        return Record(tensors, facts)

    def read(self, name: str) -> Record | None:
        """Return a record, its tensors on the CPU; None where there is none or a damaged one."""
        try:
            data = self._memory[name] if self.root is None else self._path(name).read_bytes()
        except (KeyError, FileNotFoundError, NotADirectoryError):
            return None
        try:
            record = parse_record(name, data)
        except Exception as error:  # whatever damage does to a parser, the answer is the same
            warnings.warn(
                f"stored record {name} is damaged ({error}): computing it again", stacklevel=2
            )
            return None
        if self.root is not None:
            note_use("read", self._path(name))
        return record

    def get_or_compute(
        self, name: str, compute: Callable[[], dict[str, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        """Return the tensors of a name, on the CPU; compute and store them where there are none."""
        record = self.read(name)
        if record is None:
            with self.lock(name):
                record = self.read(name)  # another process may have written it meanwhile
                if record is None:
                    record = self.write(name, compute(), {})
        return record.tensors

    def address(self, prefix: str, *parts: object, stacklevel: int = 2) -> tuple["Store", str]:
        """Return the store, and the name in it, of a result that these parts decide.

        What has no fingerprint must be computed every time. Then a warning says why, and the store
        that is returned is an empty one in memory.

        Args:
            prefix: how the name begins, such as "LCA".
            parts: the function that computes the result, and its inputs.
            stacklevel: how many calls above this one the warning points at; 1 is the caller.
        """
        try:
            return self, f"{prefix}-{fingerprint(*parts)}"
        except CannotFingerprint as reason:
            warnings.warn(f"{prefix} is not stored, as {reason}", stacklevel=stacklevel + 1)
            return Store(), prefix

    def lock(self, name: str) -> contextlib.AbstractContextManager:
        """Hold a name for one process at a time, so that what several want is computed once."""
        if self.root is None:
            return contextlib.nullcontext()
        path = self.root / f"{name}.lock"
        if self._while_waiting is None:
            return lock(path)
        return _patient_lock(path, self._while_waiting)

    def _path(self, name: str) -> Path:
        return self.root / f"{name}{SUFFIX}"


def separate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return contiguous tensors on the CPU, none of which shares memory with another.

    safetensors knows no others. Tied weights are one tensor under two names: the second is copied.
    Whoever loads the tensors restores their memory format.
    """
    separated: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        storage = value.untyped_storage().data_ptr()
        if storage in storages:
            value = value.clone()
        storages.add(storage)
        separated[name] = value
    return separated


def header_of(data: bytes) -> dict[str, str]:
    """Return what stands beside the tensors in the header of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"]


def parse_record(name: str, data: bytes) -> Record:
    """Return the record that a safetensors file holds.

    Args:
        name: under which it was written.
        data: all bytes of the file.

    Raises:
        ValueError: where it was written under another name, or was altered.
        Exception: of many kinds, for what is no such file.
    """
    from safetensors.torch import load

    tensors = load(data)
    header = header_of(data)
    if header["name"] != name:
        raise ValueError(f"it was written as {header['name']}")
    if header["sha256"] != digest(name, tensors, header["facts"]):
        raise ValueError("its checksum does not match")
    return Record(tensors, json.loads(header["facts"]))


def lock(path: Path) -> contextlib.AbstractContextManager:
    """Return a lock that processes share by a file's name.

    The system frees it when its holder ends, however that ends.

    Raises:
        CannotWrite: where the folder cannot be written.
    """
    from filelock import FileLock

    with explain_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return FileLock(path)


@contextlib.contextmanager
def _patient_lock(path: Path, while_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock, and call a function while another holds it."""
    from filelock import Timeout

    file_lock = lock(path)
    while True:
        try:
            file_lock.acquire(timeout=PATIENCE)
            break
        except Timeout:
            while_waiting()
    try:
        yield
    finally:
        file_lock.release()


def digest(*parts: object) -> str:
    """Return 32 hex digits of SHA-256 over nested plain data, dataclasses and tensors.

    Raises:
        TypeError: for anything else; ``fingerprint`` takes more.
    """
    state = hashlib.sha256()
    _feed(state.update, parts)
    return state.hexdigest()[:32]


def _feed(update: Callable[[bytes], None], part: object) -> None:
    if isinstance(part, torch.Tensor):
        update(f"tensor {part.dtype} {tuple(part.shape)};".encode())
        update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif is_dataclass(part):
        values = {field.name: getattr(part, field.name) for field in fields(part)}
        _feed(update, (type(part).__qualname__, values))
    elif isinstance(part, dict):
        _feed(update, sorted(part.items()))
    elif isinstance(part, (tuple, list)):
        update(f"sequence {len(part)};".encode())
        for item in part:
            _feed(update, item)
    elif part is None or isinstance(part, (bool, int, float, str)):
        update(f"{type(part).__name__} {part!r};".encode())
    else:
        raise TypeError(
            f"{type(part).__name__} has no digest: give text, numbers, tensors or dataclasses"
        )
