"""The files of recorded tables, and the paper's own figures."""

import json
from pathlib import Path

from ...files import write_atomically
from ...places import HOME, PROJECT

FOLDER = HOME / "data" / "recorded"  # where tables are written
RECORDED = PROJECT / "data" / "recorded"  # where they are read: the same in a checkout
PAPER = PROJECT / "data" / "paper.json"


def write(name: str, rows: list[dict], made: dict, folder: Path = FOLDER) -> None:
    """Write a table.

    Args:
        name: of the file, without its ending.
        rows: plain values by column. Each row is a line, so that a change shows in a diff.
        made: how the table was made: what it tells, settings, and the environment.
        folder: where the file goes.
    """
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    text = f'{{"made": {json.dumps(made)},\n"rows": [\n{lines}\n]}}\n'
    write_atomically(folder / f"{name}.json", text.encode())


def read(name: str, folder: Path = RECORDED) -> list[dict]:
    """Return the rows of a table.

    Args:
        name: of the file, without its ending.
        folder: by default that of the tables which come with the library.

    Raises:
        FileNotFoundError: where it was not recorded.
    """
    return _load(name, folder)["rows"]


def read_made(name: str, folder: Path = RECORDED) -> dict:
    """Return how a table was made, as ``write`` was told.

    Args:
        name: of the file, without its ending.
        folder: by default that of the tables which come with the library.

    Raises:
        FileNotFoundError: where it was not recorded.
    """
    return _load(name, folder)["made"]


def paper(table: str) -> dict[str, dict[str, list[float | None]]]:
    """Return the paper's own figures: CA and ASR as fractions, by method and attack.

    Args:
        table: "table 3" or "table 6".
    """
    text = PAPER.read_text(encoding="utf-8")
    return json.loads(text)[table]


def _load(name: str, folder: Path) -> dict:
    text = (folder / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text)
