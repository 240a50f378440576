"""Content-addressed records: computed once, written atomically, checked when read, never unpickled."""

import contextlib
import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import NamedTuple

import torch


class Record(NamedTuple):
    tensors: dict[str, torch.Tensor]
    facts: dict  # plain JSON


class Store:
    """Records under a folder, or in memory where ``root`` is None.

    Each is a safetensors file whose header carries JSON facts and a SHA-256 of everything. One that is truncated or
    altered brings a warning and counts as absent. Processes, also on several machines, may share a folder.
    """

    def __init__(self, root: str | Path | None = None):
        self.root = None if root is None else Path(root)
        self._memory: dict[str, bytes] = {}

    def write(self, name: str, tensors: dict[str, torch.Tensor], facts: dict) -> Record:
        """Keep a record under ``name``, a path such as ``"SL-1f0c/5"``, and give it back; an older one is replaced."""
        from safetensors.torch import save

        # safetensors knows only contiguous tensors; whoever loads them restores the memory format.
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        text = json.dumps(facts, allow_nan=False)
        data = save(tensors, {"facts": text, "sha256": digest(tensors, text)})
        if self.root is None:
            self._memory[name] = data
        else:
            write_atomically(self.root / f"{name}.safetensors", data)
        return Record(tensors, facts)

    def read(self, name: str) -> Record | None:
        """The record, its tensors on the CPU, or None where there is none or only a damaged one."""
        from safetensors.torch import load

        try:
            data = self._memory[name] if self.root is None else (self.root / f"{name}.safetensors").read_bytes()
        except (KeyError, FileNotFoundError):
            return None
        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            if header["sha256"] != digest(tensors, header["facts"]):
                raise ValueError("its checksum does not match")
            return Record(tensors, json.loads(header["facts"]))
        except Exception as error:  # whatever damage does to a parser, the answer is the same
            warnings.warn(f"stored record {name} is damaged ({error}): computing it again", stacklevel=2)
            return None

    def once(self, name: str, compute: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """The tensors kept under ``name``, on the CPU; computed and kept where there are none."""
        record = self.read(name)
        if record is None:
            with self.lock(name):
                record = self.read(name) or self.write(name, compute(), {})
        return record.tensors

    def lock(self, name: str) -> contextlib.AbstractContextManager:
        """Held by one at a time, so that what several want is computed once; see ``lock``."""
        return contextlib.nullcontext() if self.root is None else lock(self.root / f"{name}.lock")


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync and rename it: whoever reads it sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def lock(path: Path) -> contextlib.AbstractContextManager:
    """A lock that processes share by a file's name. The system frees it when its holder ends, however that ends."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def digest(*parts) -> str:
    """32 hex digits of SHA-256 over nested dicts, sequences, dataclasses, modules, tensors, text and numbers."""
    state = hashlib.sha256()
    _feed(state.update, parts)
    return state.hexdigest()[:32]


def _feed(update: Callable[[bytes], None], part) -> None:
    if isinstance(part, torch.Tensor):
        update(f"tensor {part.dtype} {tuple(part.shape)};".encode())
        update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(part, torch.nn.Module):
        _feed(update, (repr(part), dict(part.state_dict())))
    elif is_dataclass(part):
        _feed(update, (type(part).__qualname__, {field.name: getattr(part, field.name) for field in fields(part)}))
    elif isinstance(part, dict):
        _feed(update, sorted(part.items()))
    elif isinstance(part, (tuple, list)):
        update(f"sequence {len(part)};".encode())
        for item in part:
            _feed(update, item)
    elif part is None or isinstance(part, (bool, int, float, str)):
        update(f"{type(part).__name__} {part!r};".encode())
    else:
        raise TypeError(f"{type(part).__name__} has no digest: give text, numbers, tensors, modules or dataclasses")
