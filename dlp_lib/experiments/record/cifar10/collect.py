"""Tables that grow run by run, all of one folder with the same settings."""

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


def is_missing(part: Part, seed: int, folder: Path) -> bool:
    """Tell whether a table lacks the rows of a part with a seed."""
    for table in part.tables:
        recorded = {(row["part"], row["seed"]) for row in _read_rows(table, folder)}
        if (part.name, seed) not in recorded:
            return True
    return False


def add(table: str, rows: list[dict], made: dict, folder: Path) -> None:
    """Write rows into a table, in place of earlier ones of the same runs.

    The table is sorted by seed, and then by the order of PARTS.
    """
    order = {part.name: place for place, part in enumerate(PARTS)}
    replaced = {(row["seed"], row["part"]) for row in rows}
    for row in _read_rows(table, folder):
        if (row["seed"], row["part"]) not in replaced:
            rows = [*rows, row]
    rows = sorted(rows, key=lambda row: (row["seed"], order[row["part"]]))
    write(table, rows, made, folder)


def _read_rows(table: str, folder: Path) -> list[dict]:
    try:
        return read(table, folder)
    except FileNotFoundError:
        return []
