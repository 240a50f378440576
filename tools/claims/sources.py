"""Where the values of claims come from: metrics of notebooks' runs, and recorded tables."""

import json
import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dlp_lib.experiments import record

FOLDER = Path(__file__).resolve().parents[2] / "data" / "runs"

_TAKES: dict[str, Callable] = {
    "count": len,
    "mean": statistics.mean,
    "least": min,
    "most": max,
    "range": lambda values: max(values) - min(values),
    "last": lambda values: values[-1],
}
_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "difference": lambda one, other: one - other,
    "ratio": lambda one, other: one / other,
}


class SourceError(Exception):
    """A claim speaks of something that is not there."""


class Sources:
    """The values that claims of one notebook can speak of.

    Args:
        notebook: its name without an ending.
        folder: of the runs' metrics, NAME.json.
    """

    def __init__(self, notebook: str, folder: Path = FOLDER):
        self.notebook = notebook
        self.folder = folder

    def value(self, of: Mapping) -> Any:
        """Return what ``of`` names.

        Args:
            of: ``{run: [key, …]}``, where a key may be a list of keys, and "0:3" takes places 0, 1
                and 2 of a list; ``{record: NAME, where: {column: value}, column: NAME}``, where
                ``column: [NAME, 0]`` is place 0 of a column of lists; or
                ``{difference: [of, of]}`` and ``{ratio: [of, of]}``. A list of values allows any
                of them. The first two may have ``take``: the mean, least, most, range, last or
                count of the values that they name.

        Raises:
            SourceError: where there is no such value.
        """
        for operation, function in _OPERATIONS.items():
            if operation in of:
                one, other = (self.value(part) for part in of[operation])
                return function(one, other)
        values = self._of_run(of["run"]) if "run" in of else self._of_record(of)
        if "take" not in of:
            return values
        return _TAKES[of["take"]](values)

    def _of_run(self, path: list) -> Any:
        value = _metrics(self.folder / f"{self.notebook}.json")
        for place, key in enumerate(path):
            try:
                several = _several(key, value)
                if several is not None:
                    rest = path[place + 1 :]
                    return _flat(self._of_run([*path[:place], each, *rest]) for each in several)
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise SourceError(f"the run has no {path[: place + 1]}") from None
        return value

    @staticmethod
    def _of_record(of: Mapping) -> list:
        name, where, column = of["record"], of.get("where", {}), of["column"]
        place = None
        if isinstance(column, list):
            column, place = column
        rows = [row for row in _rows(name) if _matches(row, where)]
        if not rows:
            raise SourceError(f"the record {name} has no row with {where}")
        if column not in rows[0]:
            raise SourceError(f"the record {name} has no column {column}")
        values = [row[column] for row in rows if row[column] is not None]
        if place is None:
            return values
        return [value[place] for value in values]


def _several(key: Any, value: Any) -> Iterable | None:
    """Return the keys that a list of them, or a text such as "0:3", stands for; else None."""
    if isinstance(key, list):
        return key
    if isinstance(key, str) and re.fullmatch(r"\d+:\d+(:\d+)?", key):
        return range(*slice(*map(int, key.split(":"))).indices(len(value)))
    return None


def _flat(parts: Iterable) -> list:
    """Return single values and lists of them as one list."""
    values = []
    for part in parts:
        values.extend(part if isinstance(part, list) else [part])
    return values


def _matches(row: Mapping, where: Mapping) -> bool:
    for column, value in where.items():
        allowed = value if isinstance(value, list) else [value]
        if row.get(column) not in allowed:
            return False
    return True


@cache
def _metrics(path: Path) -> dict:
    if not path.exists():
        raise SourceError(f"there is no run: {path.name}")
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def _rows(name: str) -> list[dict]:
    try:
        return record.read(name)
    except FileNotFoundError:
        raise SourceError(f"there is no record: {name}") from None
