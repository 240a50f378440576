"""Grids: which points a sweep has, and which values a point may hold."""

import itertools
import math
from collections.abc import Iterable, Sequence

from ...checking import check_int
from ..values import to_python

# Names that a point may not hold: the trial's folder, and columns of the table.
RESERVED = {"store", "seconds", "error"}


def grid_points(grid: dict[str, list] | list[dict], seeds: Sequence[int]) -> list[dict]:
    """Return every point of a grid with every seed.

    Args:
        grid: a dict of lists, of which every combination is a point, or a list of points. A value
            in place of a list is the only one of its name.
        seeds: whole numbers; each is a point's "seed".

    Raises:
        ValueError: for anything else, and where there is no point.
    """
    taken = RESERVED | {"seed"}
    if isinstance(seeds, (str, dict)) or not isinstance(seeds, Iterable):
        raise ValueError(f"seeds={seeds!r}: allowed are lists of whole numbers, such as [0, 1]")
    points = []
    for row in _combinations(grid):
        point = {name: to_python(value) for name, value in row.items()}
        for name, value in point.items():
            if name in taken or not isinstance(name, str) or not is_plain(value):
                names = ", ".join(sorted(taken))
                raise ValueError(
                    f"grid: {name}={value!r}: allowed are finite numbers, text, bool and None, "
                    f"under other names than {names}"
                )
        for seed in seeds:
            points.append(point | {"seed": check_int("seeds", to_python(seed))})
    if not points:
        raise ValueError("grid, seeds: one of their lists is empty, so there is nothing to do")
    return points


def is_plain(value) -> bool:
    """Tell whether JSON stores the value as it is."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def _combinations(grid: dict[str, list] | list[dict]) -> list[dict]:
    if isinstance(grid, dict):
        choices = [_as_list(values) for values in grid.values()]
        return [dict(zip(grid, row, strict=True)) for row in itertools.product(*choices)]
    if isinstance(grid, list) and all(isinstance(point, dict) for point in grid):
        return grid
    raise ValueError(f"grid={grid!r}: allowed are a dict of lists and a list of dicts")


def _as_list(values) -> list | tuple:
    return values if isinstance(values, (list, tuple)) else [values]
