"""A figure of several seeds: every run is a point, so that one sees how far they lie apart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import SERIES, percent_axis, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = tuple(SERIES[3:])  # the first three mean clean, poisoned and recovered
_MARKERS = "oD^svP*X"


def each_seed(
    ax: "Axes", rows: Sequence[dict], x: str, y: str, by: str, colours: Sequence[str] = _COLOURS
) -> "Axes":
    """Draw fractions in per cent, a point for every run, in groups side by side.

    Args:
        ax: the axes to draw on.
        rows: one for every run; where ``y`` is None, it has no point.
        x: the column that names the groups on the horizontal axis, in the rows' order.
        y: the column of fractions.
        by: the column of names that tells the points of a group apart: each value has its own
            colour, marker and place.
        colours: one for each value of ``by``, in the rows' order.
    """
    import pandas

    table = pandas.DataFrame(rows, columns=[x, y, by])
    table[y] = 100 * table[y].astype(float)
    for column in (x, by):
        table[column] = [plain(name) for name in table[column]]
    groups = list(table[x].unique())
    kinds = list(table[by].unique())
    for marker, kind in zip(_MARKERS, kinds, strict=False):
        points = table[table[by] == kind]
        _draw_points(ax, points, (x, y, by), (groups, kinds), marker, colours)
    for marker, colour, kind in zip(_MARKERS, colours, kinds, strict=False):
        ax.plot([], [], marker, color=colour, label=kind)
    if kinds:
        ax.legend()
        _separate_groups(ax, len(groups))
    name = y.replace("_", " ") if "_" in y else y.upper()
    return percent_axis(ax, "", f"{name} (%)")


def _draw_points(
    ax: "Axes", points, columns: tuple, orders: tuple, marker: str, colours: Sequence[str]
) -> None:
    """Draw the points of one kind, at the places that it has in all groups."""
    import seaborn

    x, y, by = columns
    groups, kinds = orders
    seaborn.stripplot(
        points,
        x=x,
        y=y,
        order=groups,
        hue=by,
        hue_order=kinds,
        palette=list(colours[: len(kinds)]),
        dodge=len(kinds) > 1,
        jitter=False,
        marker=marker,
        size=6,
        alpha=0.7,
        legend=False,
        ax=ax,
    )


def _separate_groups(ax: "Axes", count: int) -> None:
    ax.set_xlim(-0.5, count - 0.5)  # a group without values keeps its place
    for place in range(count - 1):
        ax.axvline(place + 0.5, color="0.85", linewidth=0.8, zorder=0)
