"""Several seeds in one cell, and one seed after another."""

import statistics
from collections.abc import Iterable


def per_cent(shares: Iterable[float | None]) -> str:
    """Return "mean (least–most)" in per cent; one share stands alone, and none is "–".

    Args:
        shares: fractions; None is left out.
    """
    values = [100 * share for share in shares if share is not None]
    if not values:
        return "–"
    mean = f"{statistics.mean(values):.1f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.1f}–{max(values):.1f})"


def runs(rows: list[dict], column: str) -> list[list]:
    """Return a column seed by seed: a list for each seed, in the rows' order."""
    by_seed: dict[int, list] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], []).append(row[column])
    return list(by_seed.values())


def spread(rows: list[dict], by: list[str], columns: list[str]):
    """Return a pandas table in per cent, with "mean (least–most)" in its cells.

    Args:
        rows: of a recorded table.
        by: columns whose values name the table's rows, in the order in which they come.
        columns: of fractions, or None.
    """
    import pandas as pd

    groups = pd.DataFrame(rows).groupby(by, sort=False)
    return groups[columns].agg(lambda values: per_cent(values.dropna()))
