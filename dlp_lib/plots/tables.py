"""Figures of tables: fractions as numbers on colours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_COLOURS = "cividis"
_WHITE_BELOW = 0.47  # white has the higher contrast on darker cells, black on the others


def heat_map(ax: "Axes", table: "DataFrame", counts: "DataFrame | None" = None) -> "Axes":
    """Draw a table of fractions in per cent; a missing one leaves its cell empty.

    Args:
        ax: the axes to draw on.
        table: fractions.
        counts: of how many runs each is the mean; None: that is not shown.
    """
    import seaborn

    texts = table.map(lambda share: f"{100 * share:.0f}")
    if counts is not None:
        texts += counts.map(lambda count: f"\nn = {count:.0f}")
    scale = {"vmin": 0, "vmax": 100, "cmap": _COLOURS, "cbar": False}
    named = table.rename(index=_plain_name, columns=_plain_name)
    seaborn.heatmap(100 * named, ax=ax, annot=texts, fmt="", **scale)
    for text in ax.texts:
        column, row = map(int, text.get_position())
        is_dark = table.iat[row, column] < _WHITE_BELOW
        text.set_color("white" if is_dark else "black")
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="", ylabel="")
    return ax


def _plain_name(name: object) -> object:
    return plain(name) if isinstance(name, str) else name


def sweep_map(
    ax: "Axes", rows: Sequence[dict], value: str, x: tuple[str, list], y: tuple[str, list]
) -> "Axes":
    """Draw a sweep's results by two parameters: the mean over seeds, and of how many.

    Args:
        ax: the axes to draw on.
        rows: of the sweep, one for every trial that is done.
        value: the column to show, of fractions.
        x: name and values of the parameter that runs from left to right.
        y: likewise, from top to bottom.
    """
    import pandas

    across, columns = x
    down, lines = y
    results = pandas.DataFrame(rows, columns=[across, down, value])
    cells = results.groupby([down, across])[value]
    names = _level_names([*columns, *lines])

    def as_table(series: "pandas.Series") -> "DataFrame":
        table = series.unstack().reindex(index=lines, columns=columns)
        return table.astype(float).rename(index=names, columns=names)

    heat_map(ax, as_table(cells.mean()), as_table(cells.count()))
    ax.set(xlabel=across, ylabel=down)
    return ax


def _level_names(levels: Sequence) -> dict[float, str]:
    """Return fractions in per cent; other values keep their own names."""
    return {level: f"{100 * level:g} %" for level in levels if isinstance(level, float)}
