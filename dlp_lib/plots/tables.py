"""Figures of tables: fractions as numbers on colours."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import plain

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

_COLOURS = "cividis"
_WHITE_BELOW = 0.47  # white has the higher contrast on darker cells, black on the others


# What the axes of a sweep's maps say, by the names of a trial's parameters
_AXIS_LABELS = {
    "poisoning_rate": "poisoning rate α",
    "gamma": "filtering rate γ",
    "e1": "E1 (epochs of stage 1)",
    "e2": "E2 (epochs of unlearning)",
    "attack": "",
    "defence": "",
}


def heat_map(ax: "Axes", table: "DataFrame", notes: "DataFrame | None" = None) -> "Axes":
    """Draw a table of fractions in per cent; a missing one leaves its cell empty.

    Args:
        ax: the axes to draw on.
        table: fractions.
        notes: a text for every cell, which stands below its number; None: there are none.
    """
    import seaborn

    texts = table.map(lambda share: f"{100 * share:.0f}")
    if notes is not None:
        texts += notes.map(lambda note: f"\n{note}" if note else "")
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


def sweep_maps(
    rows: Sequence[dict],
    panels: dict[str, str],
    x: tuple[str, list],
    y: tuple[str, list],
    size: tuple[float, float] = (4, 3),
    across: int | None = None,
) -> "Figure":
    """Return a figure of a sweep's results by two parameters, a map for each result.

    Args:
        rows: of the sweep, one for every trial that is done, with "seed". There may be none yet.
        panels: a map's title, by the column of fractions that it shows.
        x: name and values of the parameter that runs from left to right.
        y: likewise, from top to bottom.
        size: of one map, width and height in inches.
        across: how many maps stand side by side; None: all.
    """
    from matplotlib import pyplot

    across = across or len(panels)
    down = math.ceil(len(panels) / across)
    whole_size = (size[0] * across, size[1] * down)
    figure = pyplot.figure(figsize=whole_size, layout="constrained")
    for place, (column, title) in enumerate(panels.items()):
        ax = figure.add_subplot(down, across, place + 1)
        sweep_map(ax, rows, column, x, y).set_title(title)
        if place % across:  # only maps on the left and at the bottom name their parameters
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        if place + across < len(panels):
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
    figure.suptitle(_seeds_of(rows), size="medium")
    return figure


def _seeds_of(rows: Sequence[dict]) -> str:
    """Return what a figure's title says of its seeds."""
    seeds = sorted({row["seed"] for row in rows})
    if not seeds:
        return "not measured yet"
    if len(seeds) == 1:
        return f"one seed: {seeds[0]}"
    names = ", ".join(str(seed) for seed in seeds)
    return f"seeds {names}: mean, and in brackets the range over seeds"


def sweep_map(
    ax: "Axes", rows: Sequence[dict], value: str, x: tuple[str, list], y: tuple[str, list]
) -> "Axes":
    """Draw one result of a sweep by two parameters: the mean over seeds, and their range.

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
    results[value] = results[value].astype(float)
    cells = results.dropna().groupby([down, across])[value]
    names = _level_names([*columns, *lines])

    def as_table(series: "pandas.Series") -> "DataFrame":
        table = series.unstack().reindex(index=lines, columns=columns)
        return table.rename(index=names, columns=names)

    means = as_table(cells.mean()).astype(float)
    ranges = as_table(cells.agg(_range)).astype(object).fillna("")
    heat_map(ax, means, ranges)
    ax.set(xlabel=_AXIS_LABELS.get(across, across), ylabel=_AXIS_LABELS.get(down, down))
    return ax


def _range(shares: "pandas.Series") -> str:
    """Return "(least–most)" in per cent; of a single share nothing."""
    if len(shares) == 1:
        return ""
    return f"({100 * shares.min():.0f}–{100 * shares.max():.0f})"


def _level_names(levels: Sequence) -> dict[float, str]:
    """Return fractions in per cent; other values keep their own names."""
    return {level: f"{100 * level:g} %" for level in levels if isinstance(level, float)}
