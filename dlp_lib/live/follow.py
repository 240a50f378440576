"""Rows of a training run, block by block: read where they are recorded, trained where not."""

from collections.abc import Callable

from ..context import Progress
from .background import Check

Tell = Callable[[], None]


def follow(
    rows: list,
    blocks: int,
    read: Callable[[int], object | None],
    train: Callable[[Progress], None],
    check: Check,
    tell: Tell,
) -> None:
    """Have a row for every block: read those that are recorded, and train the others.

    Args:
        rows: those that are there already; extended in place.
        blocks: how many there are to be.
        read: returns the row of a block (1 is the first), or None where it is not recorded.
        train: trains all blocks, and calls its argument after every block that was not recorded.
        check: called after every block; may raise an exception to stop.
        tell: called after every block that was trained, and at the end.
    """

    def add_next() -> bool:
        row = read(len(rows) + 1)
        if row is not None:
            rows.append(row)
        return row is not None

    def add_recorded() -> None:
        while len(rows) < blocks and add_next():
            check()

    def progress(*_) -> None:
        add_next()
        tell()
        check()

    add_recorded()
    if len(rows) < blocks:
        train(progress)
        add_recorded()  # what another process trained meanwhile
    tell()
