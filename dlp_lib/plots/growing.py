"""Maps of a sweep that are drawn anew whenever a trial is finished."""

from collections.abc import Callable

from ..context import print_progress
from .base import show
from .tables import sweep_map


def growing_maps(
    panels: dict[str, str], x: tuple[str, list], y: tuple[str, list]
) -> Callable[[int, int, dict], None]:
    """Return an ``on_progress`` of ``sweep`` that fills maps in a notebook.

    Args:
        panels: a map's title, by the column of fractions that it shows.
        x: name and values of the parameter that runs from left to right.
        y: likewise, from top to bottom.
    """
    from matplotlib import pyplot

    rows: list[dict] = []
    across = x[0]
    down = y[0]
    titles = ", ".join(panels.values())
    alt = f"{titles}, by {across} and {down}: means over seeds, and how many seeds."

    def on_progress(done: int, total: int, row: dict) -> None:
        rows.append(row)
        size = (4 * len(panels), 3)
        figure, axes = pyplot.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
        for ax, (column, title) in zip(axes[0], panels.items(), strict=True):
            sweep_map(ax, rows, column, x, y).set_title(title)
            ax.label_outer()
        show(figure, alt, display_id=f"{across} {down}", update=done > 1)
        print_progress("trials", done, total, row)

    return on_progress
