"""python -m dlp_lib store: what a store holds, how old it is, and how to make it smaller.

Two commands of its own carry it to other machines: ``store pack FOLDER`` packs what the notebooks
need, and ``store load PACK`` puts that into a store. Each has its own --help.
"""

import argparse
import importlib
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import TEMPORARY, remove_leftovers
from . import options as read

DAY = 24 * 60 * 60  # seconds
_CARRY = {"pack": ".warm_store.pack", "load": ".warm_store.load"}  # the modules of commands
_KEY = re.compile(r"-[0-9a-f]{32}$")
_UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True)
class Entry:
    """One run, or one result, of a store: a file or a folder directly under its root."""

    path: Path
    kind: str  # what it is: its name without the key
    size: int  # bytes
    used: float  # when a file of it was last read or written, in seconds since 1970


def entries(root: Path) -> list[Entry]:
    """Return what a store holds, the longest unused first."""
    found = []
    for path in root.iterdir():
        if path.suffix in (".lock", TEMPORARY):  # a lock belongs to the entry of the same name
            continue
        files = [path]
        if path.is_dir():
            files = [file for file in path.rglob("*") if file.is_file()]
        facts = [file.stat() for file in files]
        if not facts:
            continue
        used = max(max(fact.st_atime, fact.st_mtime) for fact in facts)
        size = sum(fact.st_size for fact in facts)
        found.append(Entry(path, _KEY.sub("", path.stem), size, used))
    return sorted(found, key=lambda entry: entry.used)


def to_prune(
    found: Sequence[Entry], now: float, days: float | None, limit: float | None
) -> list[Entry]:
    """Choose what to remove.

    Args:
        found: the longest unused first.
        now: seconds since 1970.
        days: remove what was not used for so long; None: no limit.
        limit: bytes that may stay, of the entries used last; None: no limit.
    """
    removed = []
    remaining = sum(entry.size for entry in found)
    for entry in found:
        too_old = days is not None and now - entry.used > days * DAY
        too_much = limit is not None and remaining > limit
        if too_old or too_much:
            removed.append(entry)
            remaining -= entry.size
    return removed


def table(found: Sequence[Entry], now: float) -> str:
    """Return a line for every kind of entry, the largest first, and their sum."""
    kinds: dict[str, list[Entry]] = {}
    for entry in found:
        kinds.setdefault(entry.kind, []).append(entry)
    lines = [f"{'what':<28}{'number':>8}{'MB':>10}  unused for days"]
    for kind, members in sorted(kinds.items(), key=lambda item: -_size(item[1])):
        newest = (now - max(entry.used for entry in members)) / DAY
        oldest = (now - min(entry.used for entry in members)) / DAY
        size = _size(members) / 1e6
        lines.append(f"{kind:<28}{len(members):>8}{size:>10.1f}  {newest:.0f} to {oldest:.0f}")
    lines.append(f"{'in all':<28}{len(found):>8}{_size(found) / 1e6:>10.1f}")
    return "\n".join(lines)


def _size(found: Sequence[Entry]) -> int:
    return sum(entry.size for entry in found)


def parse_size(text: str) -> float:
    """Return the bytes of a size such as "500 MB" or "2GB"; ValueError for any other text."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(kB|MB|GB)", text.strip())
    if not match:
        raise ValueError(f"size={text!r}: allowed are sizes such as 500MB and 2GB")
    return float(match[1]) * _UNITS[match[2]]


def remove(entry: Entry) -> None:
    """Remove an entry; a lock beside it goes as well."""
    if entry.path.is_dir():
        shutil.rmtree(entry.path)
    else:
        entry.path.unlink()
    entry.path.with_suffix(".lock").unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> None:
    """Show a store, or prune it; or pack one, or load a pack.

    Args:
        arguments: what follows ``store``.
    """
    if arguments and arguments[0] in _CARRY:
        module = importlib.import_module(_CARRY[arguments[0]], __package__)
        module.main(arguments[1:])
        return
    options = _parser().parse_args(arguments)
    now = time.time()
    freed = 0
    if not options.dry_run:
        freed = remove_leftovers(options.store.rglob(f"*{TEMPORARY}"))
    found = entries(options.store)
    old = to_prune(found, now, options.older_than, options.keep)
    if not options.dry_run:
        for entry in old:
            remove(entry)
    print(table(found, now))
    if freed:
        print(f"\nunfinished files of killed runs, {freed / 1e6:.1f} MB: removed")
    if options.older_than is not None or options.keep is not None:
        verb = "would be removed" if options.dry_run else "removed"
        print(f"\n{len(old)} entries, {_size(old) / 1e6:.1f} MB: {verb}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib store",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    read.add_store(parser, read.existing_folder)
    parser.add_argument(
        "--older-than",
        type=read.number,
        metavar="DAYS",
        help="remove what was not used for so long",
    )
    parser.add_argument(
        "--keep",
        type=_size_option,
        metavar="SIZE",
        help="remove what was used longest ago, beyond 500MB, 2GB, ...",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, remove nothing")
    return parser


def _size_option(text: str) -> float:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
