"""python -m dlp_lib store pack FOLDER: what notebooks read of a store, in a few files.

It executes the notebooks at their defaults, and notes which records they read. Where the store
lacks some, they are computed first, which takes the minutes that README tells. The optimiser's
state of each run is left out, as only a longer run needs it.
"""

import argparse
import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...console import say
from ...files import USE
from .. import options as read
from ..notebook_files import execute_notebook, kernel_for
from ..record import volumes
from ..record.volumes import Contents, Member
from ..run import NOTEBOOKS, choose_parameters, find_notebook, preset
from .files import KIND, is_allowed, made_with

LIMIT = 128 * 2**20  # bytes of one file of a pack; loading takes about three times as much memory
_RUNS = 3  # how often a notebook is executed until it computes nothing any more


@dataclass(frozen=True)
class FileData:
    """A file as data of a volume: it is read when the volume is written."""

    path: Path
    size: int  # bytes

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> bytes:
        with self.path.open("rb") as file:
            file.seek(part.start)
            return file.read(part.stop - part.start)


def used_by(notebook: Path, parameters: dict, root: Path) -> set[str]:
    """Return which records of a store a notebook reads when all that it needs is stored.

    Args:
        notebook: its file.
        parameters: as ``choose_parameters`` returns them; "out" and "cache" are set here.
        root: the store's folder. What the notebook computes is added to it.

    Returns:
        Paths inside the store, with slashes.

    Raises:
        NotebookFailed: where a cell raises an error.
    """
    kernel = kernel_for(notebook)
    for _ in range(_RUNS):
        with tempfile.TemporaryDirectory() as folder:
            notes = Path(folder) / "notes"
            values = parameters | {"out": folder, "cache": str(root)}
            with _noting(notes):
                execute_notebook(notebook, Path(folder) / notebook.name, values, kernel, False)
            used = _parse_notes(notes, root)
        if not used["wrote"]:  # in a run that computes, some records are written and never read
            break
    return used["read"] | used["wrote"]


@contextlib.contextmanager
def _noting(notes: Path) -> Iterator[None]:
    """Have this process, and all that it starts, note which files of stores they use."""
    notes.touch()
    before = os.environ.get(USE)
    os.environ[USE] = str(notes)
    try:
        yield
    finally:
        del os.environ[USE]
        if before is not None:
            os.environ[USE] = before


def _parse_notes(notes: Path, root: Path) -> dict[str, set[str]]:
    """Return the allowed files of the store that were used, by how they were used."""
    used: dict[str, set[str]] = {"read": set(), "wrote": set()}
    root = root.resolve()
    for line in notes.read_text(encoding="utf-8").splitlines():
        verb, _, text = line.partition(" ")
        path = Path(text)
        if path.is_relative_to(root):
            name = path.relative_to(root).as_posix()
            if is_allowed(name):
                used[verb].add(name)
    return used


def everything_in(root: Path) -> set[str]:
    """Return all files of a store that a pack may hold."""
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return set(filter(is_allowed, names))


def pack(names: Iterable[str], root: Path, folder: Path, limit: int = LIMIT) -> int:
    """Write files of a store as a pack.

    Args:
        names: paths inside the store, with slashes.
        root: the store's folder.
        folder: of the pack; what an earlier pack left there is replaced.
        limit: bytes of one file of the pack, at most.

    Returns:
        How many files the pack has.

    Raises:
        ValueError: for a file that a pack may not hold.
    """
    members = []
    for name in sorted(names):
        if not is_allowed(name):
            raise ValueError(f"name={name!r}: allowed are records of a store")
        path = root / name
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        members.append(Member(name, {"sha256": sha256}, FileData(path, path.stat().st_size)))
    generation = volumes.read(folder, warn=False).generation + 1
    shared = {"kind": KIND, "made_with": made_with(), "count": len(members)}
    return volumes.write(folder, Contents(generation, shared, members), limit)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with a sentence for what cannot work, before any work; with status 1 where a
            notebook stops at an error.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        notebooks = [find_notebook(name) for name in options.notebooks or _all_notebooks()]
        parameters = [choose_parameters(path, {}, options.params) for path in notebooks]
    except ValueError as error:
        parser.error(str(error))
    root = options.store.resolve()
    names = set()
    if options.all:
        names = everything_in(root)
    else:
        for notebook, values in zip(notebooks, parameters, strict=True):
            names |= _measured(notebook, values, root)
    if not names:
        parser.error(f"--store {options.store}: there is nothing to pack")
    count = pack(names, root, options.folder)
    size = _size(root / name for name in names)
    rest = _size(path for path in root.rglob("*") if path.is_file()) - size
    say(f"{len(names)} records, {size / 1e6:.1f} MB, in {count} files of {options.folder}")
    say(f"left out of {root}: {rest / 1e6:.1f} MB that only longer or other runs need")
    say(f"to load it: python -m dlp_lib store load {options.folder}")


def _measured(notebook: Path, parameters: dict, root: Path) -> set[str]:
    """Return what a notebook reads, and say how much that is."""
    say(f"{notebook.stem}: running")
    began = time.perf_counter()
    try:
        names = used_by(notebook, parameters, root)
    except RuntimeError as error:  # NotebookFailed, and a kernel that does not start or dies
        raise SystemExit(f"\nstore: {error}") from None
    size = _size(root / name for name in names)
    seconds = time.perf_counter() - began
    say(f"{notebook.stem}: {len(names)} records, {size / 1e6:.1f} MB, {seconds:.0f} s")
    return names


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _all_notebooks() -> list[str]:
    return [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib store pack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=read.folder, help="for the pack; it is made if missing")
    parser.add_argument("--notebooks", nargs="+", metavar="NAME", help="default: all of them")
    parser.add_argument(
        "--params", type=preset, default={}, metavar="FILE", help="YAML file of parameters"
    )
    parser.add_argument(
        "--all", action="store_true", help="all that the store holds, without executing anything"
    )
    read.add_store(parser)
    return parser
