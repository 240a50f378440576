"""Volumes: a few files of limited size that hold many small things.

A volume is a record of a store, so that it is written atomically and checked when it is read. Each
says what it holds, and is of use without the others. Nothing is unpickled.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from ...store import SUFFIX, Record, Store, header_of, parse_record

LIMIT = 15 * 2**20  # bytes of a volume
Piece = tuple[dict, bytes]  # what a volume says of a piece that it holds, and the piece
_SLACK = 2048  # bytes for what a volume says of itself
_OF_A_PIECE = 160  # bytes that the file's header spends on one


class Data(Protocol):
    """Bytes, or what reads them piece by piece when they are written."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> bytes: ...


class Member(NamedTuple):
    """One thing that volumes hold."""

    name: str
    facts: dict  # plain JSON
    data: Data  # bytes, where it was read


@dataclass(frozen=True)
class Contents:
    """All that the volumes of a folder hold."""

    generation: int  # how often the folder was written; 0: never
    shared: dict  # plain JSON that every volume holds, so that one of them is enough
    members: list[Member]


class _Cut(NamedTuple):
    """Where a member is cut, so that the part fits into a volume."""

    member: Member
    start: int
    stop: int

    def entry(self) -> dict:
        """Return what a volume says of it."""
        name, facts, data = self.member
        return {"name": name, "start": self.start, "size": len(data), "facts": facts}


def write(folder: Path, contents: Contents, limit: int = LIMIT) -> int:
    """Write volumes in place of those that a folder has.

    Until all are written, old and new ones stand together. ``read`` then takes the newest of each
    member.

    Args:
        folder: is made where it is missing.
        contents: with a generation above that of the volumes that are there.
        limit: bytes of a volume, at most.

    Returns:
        How many volumes there are.

    Raises:
        ValueError: where what every volume holds leaves no room.
    """
    volumes = list(_fill(contents, limit))
    store = Store(folder)
    for number, pieces in enumerate(volumes, 1):
        tensors = {}
        for place, (member, start, stop) in enumerate(pieces):
            if stop > start:
                data = bytearray(member.data[start:stop])
                tensors[str(place)] = torch.frombuffer(data, dtype=torch.uint8)
        facts = {"generation": contents.generation, "of": len(volumes)}
        facts["shared"] = contents.shared
        facts["pieces"] = [piece.entry() for piece in pieces]
        store.write(f"volume-{number}", tensors, facts)
    for path in paths_of(folder):
        if path not in expected(folder, len(volumes)):
            path.unlink()
    return len(volumes)


def read(folder: Path, warn: bool = True) -> Contents:
    """Read all volumes of a folder.

    A volume that is damaged or missing brings a warning. Members of which a piece is lost are left
    out.

    Args:
        folder: may be missing.
        warn: False: there is no warning.
    """
    store = Store(folder)
    found: list[Record] = []
    lost = []
    for path in paths_of(folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the store's own words are about single results
            record = store.read(path.name.removesuffix(SUFFIX))
        if record is None:
            lost.append(f"{path} is damaged")
        else:
            found.append(record)
    newest = {"generation": 0, "of": 0, "shared": {}}
    if found:
        newest = max(found, key=lambda record: record.facts["generation"]).facts
    for path in expected(folder, newest["of"]):
        if not path.exists():
            lost.append(f"{path} is missing")
    for what in lost if warn else ():
        warnings.warn(f"{what}: what it held is computed again", stacklevel=2)
    return Contents(newest["generation"], newest["shared"], _members(found))


def read_file(path: Path) -> Record:
    """Return one volume, whatever its file is called now.

    Raises:
        ValueError: where it was altered.
        Exception: of many kinds, for what is no such file.
    """
    data = path.read_bytes()
    return parse_record(header_of(data)["name"], data)


def paths_of(folder: Path) -> list[Path]:
    """Return the files of the volumes that a folder has."""
    return sorted(folder.glob(f"volume-*{SUFFIX}"))


def expected(folder: Path, count: int) -> list[Path]:
    """Return the files that ``count`` volumes have."""
    return [folder / f"volume-{number}{SUFFIX}" for number in range(1, count + 1)]


def _fill(contents: Contents, limit: int) -> Iterator[list[_Cut]]:
    """Yield the pieces of each volume; only the last one has room left."""
    room_of_all = limit - _SLACK - _length(contents.shared)
    room = room_of_all
    pieces: list[_Cut] = []
    for member in contents.members:
        overhead = _OF_A_PIECE + _length(_Cut(member, 0, 0).entry())
        if overhead >= room_of_all:
            raise ValueError(f"limit={limit}: allowed are more than {limit - room_of_all} bytes")
        start = 0
        while True:
            if room <= overhead:
                yield pieces
                pieces = []
                room = room_of_all
            stop = min(len(member.data), start + room - overhead)
            pieces.append(_Cut(member, start, stop))
            room -= overhead + stop - start
            start = stop
            if start == len(member.data):
                break
    yield pieces


def _length(facts: dict) -> int:
    """Return how many bytes facts take in a file's header, which is JSON within JSON."""
    return len(json.dumps(json.dumps(facts)))


def _members(found: list[Record]) -> list[Member]:
    """Put the pieces together; of a member that was written more than once, the newest counts."""
    pieces: dict[tuple[int, str], list[Piece]] = {}
    for record in found:
        for entry, data in pieces_of(record):
            key = (record.facts["generation"], entry["name"])
            pieces.setdefault(key, []).append((entry, data))
    members: dict[str, Member] = {}
    for (_, name), parts in sorted(pieces.items(), key=lambda item: item[0]):
        member = joined(parts)
        if member is not None:
            members[name] = member
    return list(members.values())


def pieces_of(volume: Record) -> Iterator[Piece]:
    """Yield what a volume says of each piece that it holds, and the bytes of it."""
    for place, entry in enumerate(volume.facts["pieces"]):
        tensor = volume.tensors.get(str(place))
        yield entry, b"" if tensor is None else tensor.numpy().tobytes()


def joined(pieces: list[Piece]) -> Member | None:
    """Return the member that pieces make up; None where one is missing."""
    in_order = sorted(pieces, key=lambda piece: piece[0]["start"])
    data = b"".join(part for _, part in in_order)
    entry = in_order[0][0]
    if len(data) != entry["size"]:
        return None
    return Member(entry["name"], entry["facts"], data)
