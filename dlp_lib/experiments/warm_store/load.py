"""python -m dlp_lib store load PACK: check a pack of a store, and put its records into a store.

All of the pack is checked before anything is written. It may hold records of training runs and of
trials only, which are safetensors and JSON: nothing in them is ever executed. A run that the store
has already, with other content, stays as it is unless --replace is given.
"""

import argparse
import errno
import hashlib
import itertools
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...console import say
from ...files import explain_errors, write_atomically
from ...store import Store
from .. import options as read
from ..record.volumes import Member
from .files import differences, unit_of
from .reading import BadPack, open_pack


@dataclass
class Loaded:
    """What was done with the records of a pack."""

    written: list[str] = field(default_factory=list)
    size: int = 0  # bytes that were written
    present: list[str] = field(default_factory=list)  # the same was there already
    different: list[str] = field(default_factory=list)  # runs that were there with other content
    warnings: list[str] = field(default_factory=list)  # why this machine may not find the records


def load(place: Path, root: Path, replace: bool = False) -> Loaded:
    """Put the records of a pack into a store.

    Args:
        place: the folder of a pack, or its file where it has only one.
        root: the store's folder; it is made if missing. Other processes may be using it.
        replace: whether a run of the pack takes the place of one with other content.

    Raises:
        BadPack: before anything is written.
        CannotWrite: where the store's folder cannot be written, or has no room.
    """
    pack = open_pack(place)
    expected: dict[str, str] = {}  # SHA-256 by name
    units: dict[str, list[str]] = {}
    size = 0
    for member in pack.members():
        if member.name in expected:
            raise BadPack(f"{place}: {member.name} is there twice")
        expected[member.name] = member.facts["sha256"]
        units.setdefault(unit_of(member.name), []).append(member.name)
        size += len(member.data)
    _check_folder(root, size, expected)
    loaded = Loaded(warnings=differences(pack.made_with))
    store = Store(root)
    for unit, members in itertools.groupby(pack.members(), lambda member: unit_of(member.name)):
        with store.lock(unit):
            states = {name: _state(root / name, expected[name]) for name in units[unit]}
            if "different" in states.values():
                loaded.different.append(unit)
                if not replace:
                    continue
                _remove(root / unit)
                states = dict.fromkeys(states, "missing")
            _write(members, root, states, loaded)
    return loaded


def _write(members: Iterable[Member], root: Path, states: dict[str, str], loaded: Loaded) -> None:
    for member in members:
        if states[member.name] == "same":
            loaded.present.append(member.name)
            continue
        write_atomically(root / member.name, member.data)
        loaded.written.append(member.name)
        loaded.size += len(member.data)


def _state(path: Path, sha256: str) -> str:
    """Return whether a file is "missing", the "same" as that of the pack, or "different"."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    return "same" if hashlib.sha256(data).hexdigest() == sha256 else "different"


def _remove(path: Path) -> None:
    """Remove a run. A single result has another name: it is replaced when it is written."""
    if path.is_dir():
        shutil.rmtree(path)


def _check_folder(root: Path, size: int, names: Iterable[str]) -> None:
    """Check that a store's folder has room for so many bytes, and no links to other places.

    Raises:
        CannotWrite: where it has no room, or cannot be made.
        BadPack: where a record would be written to another place.
    """
    with explain_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(root).free < size:
            raise OSError(errno.ENOSPC, f"there is no room for {size / 1e6:.0f} MB")
    inside = root.resolve()
    for folder in {(root / name).parent for name in names}:
        if not folder.resolve().is_relative_to(inside):
            raise BadPack(f"{folder} is a link to another place: remove it, then load again")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with status 2 and a sentence for what is no pack.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        loaded = load(options.pack, options.store, options.replace)
    except BadPack as error:
        parser.error(str(error))
    for warning in loaded.warnings:
        say(f"warning: {warning}: so what was loaded may not be found, and is computed again")
    say(f"{len(loaded.written)} records, {loaded.size / 1e6:.1f} MB, loaded into {options.store}")
    if loaded.present:
        say(f"{len(loaded.present)} records were there already")
    if loaded.different:
        verb = "replaced" if options.replace else "left as they are; --replace takes the pack's"
        say(f"{len(loaded.different)} runs were there with other content: {verb}")
        for unit in loaded.different:
            say(f"  {unit}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib store load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pack", type=_pack, help="folder of a pack, or its file if it has only one")
    read.add_store(parser)
    parser.add_argument(
        "--replace", action="store_true", help="take the pack's runs in place of different ones"
    )
    return parser


def _pack(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no such file or folder")
    return path
