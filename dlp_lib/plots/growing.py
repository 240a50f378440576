"""Maps of a sweep that are drawn anew whenever a trial is finished."""

from collections.abc import Callable

from ..context import print_progress
from .base import show
from .tables import sweep_maps


def growing_maps(
    panels: dict[str, str],
    x: tuple[str, list],
    y: tuple[str, list],
    alt: str,
    number: int | None = None,
) -> Callable[[int, int, dict], None]:
    """Return an ``on_progress`` of ``sweep`` that fills maps in a notebook.

    Args:
        panels: a map's title, by the column of fractions that it shows.
        x: name and values of the parameter that runs from left to right.
        y: likewise, from top to bottom.
        alt: what the maps show, for readers who cannot see them.
        number: of the figure in its notebook; None: it has none.
    """
    rows: list[dict] = []
    name = f"{x[0]} {y[0]}"

    def on_progress(done: int, total: int, row: dict) -> None:
        rows.append(row)
        figure = sweep_maps(rows, panels, x, y)
        show(figure, alt, number, display_id=name, update=done > 1)
        print_progress("trials", done, total, row)

    return on_progress
