"""Tables that grow run by run, all of one folder with the same settings."""

import itertools
import json
from pathlib import Path

from ..files import read, write
from .parts import PARTS, Part


def expect_settings(settings: dict, folder: Path) -> None:
    """Check the tables of a folder before any work.

    Raises:
        ValueError: where one was made with other settings.
    """
    for path in sorted(folder.glob("*.json")):
        made = json.loads(path.read_text(encoding="utf-8"))["made"]["settings"]
        if made != settings:
            raise ValueError(
                f"{path} was made with {made}: now given are {settings}; take another --out"
            )


def restore(tables: dict[str, dict], settings: dict, folder: Path, source: Path) -> None:
    """Add the rows of tables that were packed, where the folder lacks them.

    Args:
        tables: what their files held, by name.
        settings: with which they must have been made.
        folder: of the tables.
        source: where they come from, for the message.

    Raises:
        ValueError: where one was made with other settings; then nothing is written.
    """
    for name, table in tables.items():
        made = table["made"]["settings"]
        if made != settings:
            raise ValueError(
                f"{source}: its table {name} was made with {made}: now given are {settings}; take "
                "another --pack"
            )
    for name, table in tables.items():
        recorded = {(row["seed"], row["part"]) for row in _read_rows(name, folder)}
        missing = [row for row in table["rows"] if (row["seed"], row["part"]) not in recorded]
        if missing:
            add(name, missing, table["made"], folder)


def read_all(folder: Path) -> dict[str, dict]:
    """Return what the files of all tables hold, by name."""
    tables = {}
    for path in sorted(folder.glob("*.json")):
        tables[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return tables


def finished_parts(folder: Path) -> set[tuple[int, str]]:
    """Return seeds and names of the parts whose rows are in all their tables."""
    recorded: dict[str, set[tuple[int, str]]] = {}
    for name, table in read_all(folder).items():
        recorded[name] = {(row["seed"], row["part"]) for row in table["rows"]}
    seeds = {seed for rows in recorded.values() for seed, _ in rows}
    finished = set()
    for seed, part in itertools.product(seeds, PARTS):
        if all((seed, part.name) in recorded.get(table, ()) for table in part.tables):
            finished.add((seed, part.name))
    return finished


def is_missing(part: Part, seed: int, folder: Path) -> bool:
    """Tell whether a table lacks the rows of a part with a seed."""
    for table in part.tables:
        recorded = {(row["part"], row["seed"]) for row in _read_rows(table, folder)}
        if (part.name, seed) not in recorded:
            return True
    return False


def add(table: str, rows: list[dict], made: dict, folder: Path) -> None:
    """Write rows into a table, in place of earlier ones of the same runs.

    The table is sorted by seed, and then by the order of PARTS; parts of another version of this
    program come last.
    """
    order = {part.name: place for place, part in enumerate(PARTS)}
    replaced = {(row["seed"], row["part"]) for row in rows}
    for row in _read_rows(table, folder):
        if (row["seed"], row["part"]) not in replaced:
            rows = [*rows, row]
    rows = sorted(rows, key=lambda row: (row["seed"], order.get(row["part"], len(order))))
    write(table, rows, made, folder)


def _read_rows(table: str, folder: Path) -> list[dict]:
    try:
        return read(table, folder)
    except FileNotFoundError:
        return []
