"""Read a pack of a store, whoever made it: everything that it says is checked."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...checking import shown
from ...store import Record
from ..record import volumes
from ..record.volumes import Member, Piece
from .files import KIND, check_content, is_allowed

LARGEST = 2**30  # bytes of one file of a pack, which is read as a whole, and of one record
_MOST_FILES = 10_000


class BadPack(ValueError):
    """A file is no pack of a store, or one that was damaged or made to do harm."""


@dataclass(frozen=True)
class Pack:
    """The files of a pack. ``open_pack`` makes one."""

    files: list[Path]
    generation: int  # which all files have: how often the folder was written
    made_with: dict  # as ``files.made_with`` returned it where the pack was made

    def members(self) -> Iterator[Member]:
        """Yield all records, checked; one file of the pack is in memory at a time.

        Raises:
            BadPack: where one is not what the pack says, or a piece of it is missing.
        """
        incomplete: dict[str, list[Piece]] = {}
        for path in self.files:
            volume = _read(path)
            if volume.facts["generation"] != self.generation:
                raise BadPack(f"{path} is of another pack than {self.files[0]}")
            for entry, data in volumes.pieces_of(volume):
                pieces = incomplete.setdefault(entry["name"], [])
                pieces.append((entry, data))
                member = volumes.joined(pieces)
                if member is not None:
                    del incomplete[member.name]
                    _check_member(path, member)
                    yield member
        for name in incomplete:
            raise BadPack(f"{self.files[0].parent}: {name} is not complete")


def open_pack(place: Path) -> Pack:
    """Return a pack.

    Args:
        place: its folder, or its file where it has only one.

    Raises:
        BadPack: where it is none, and where a file of it is missing.
    """
    files = volumes.paths_of(place) if place.is_dir() else [place]
    if not files:
        raise BadPack(f"{place} holds no pack of a store")
    facts = _read(files[0]).facts
    if place.is_dir():
        for path in volumes.expected(place, facts["of"]):
            if path not in files:
                raise BadPack(f"{path} is missing")
    if facts["of"] != len(files):
        raise BadPack(f"{place} is one of {facts['of']} files: allowed is the folder of them all")
    return Pack(files, facts["generation"], facts["shared"]["made_with"])


def _read(path: Path) -> Record:
    """Return one file of a pack, checked.

    Raises:
        BadPack: where it is none, is damaged, or says of itself what cannot be.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadPack(f"{path}: {error.strerror}") from None
    if size > LARGEST:
        raise BadPack(f"{path} has {size / 1e6:.0f} MB: allowed are {LARGEST / 1e6:.0f} MB")
    try:
        volume = volumes.read_file(path)
    except Exception as error:  # whatever damage does to a parser, the answer is the same
        raise BadPack(f"{path} is damaged, or no pack of a store: {error}") from None
    facts = volume.facts
    shared = facts.get("shared") if isinstance(facts, dict) else None
    if not isinstance(shared, dict) or shared.get("kind") != KIND:
        raise BadPack(f"{path} is no pack of a store")
    if not isinstance(shared.get("made_with"), dict) or not isinstance(facts.get("pieces"), list):
        raise BadPack(f"{path} does not say what it holds")
    _check_count(f"{path}: of", facts.get("of"), _MOST_FILES)
    _check_count(f"{path}: generation", facts.get("generation"), LARGEST)
    for entry in facts["pieces"]:
        _check_entry(path, entry)
    return volume


def _check_entry(path: Path, entry: object) -> None:
    """Check what a file of a pack says of a piece."""
    entry = entry if isinstance(entry, dict) else {}
    name = entry.get("name")
    if not is_allowed(name):
        raise BadPack(f"{path}: name={shown(name)}: allowed are records of runs and of trials")
    for what in ("start", "size"):
        _check_count(f"{path}: {what} of {name}", entry.get(what), LARGEST)
    facts = entry.get("facts")
    if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str):
        raise BadPack(f"{path}: {name} has no SHA-256")


def _check_count(what: str, value: object, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise BadPack(f"{what}={shown(value)}: allowed are whole numbers up to {most}")


def _check_member(path: Path, member: Member) -> None:
    if hashlib.sha256(member.data).hexdigest() != member.facts["sha256"]:
        raise BadPack(f"{path}: {member.name} has another SHA-256 than the pack says")
    try:
        check_content(member.name, member.data)
    except ValueError as error:
        raise BadPack(f"{path}: {error}") from None
