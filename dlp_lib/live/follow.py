"""Rows of a training run, block by block: read where they are recorded, trained where not."""

import contextlib
from collections.abc import Callable

from ..context import Progress
from .doing import Report

# Trains all blocks. Its arguments are called after every block that was not recorded, and while
# another process trains the same blocks.
Train = Callable[[Progress, Callable[[], None]], None]


class _Complete(Exception):
    """Raised while another process trains, as soon as all rows are there."""


def follow(
    rows: list,
    stage: str,
    blocks: int,
    read: Callable[[int], object | None],
    train: Train,
    report: Report,
) -> None:
    """Have a row for every block: read those that are recorded, and train the others.

    Args:
        rows: those that are there already; extended in place.
        stage: its name, for the report.
        blocks: how many there are to be.
        read: returns the row of a block (1 is the first), or None where it is not recorded.
        train: trains the others, here or in another process.
        report: told after every block, and while another process trains.
    """

    def add_recorded() -> None:
        while len(rows) < blocks:
            row = read(len(rows) + 1)
            if row is None:
                break
            rows.append(row)
            report.step()

    def progress(*_) -> None:
        add_recorded()
        report.advance(len(rows))

    def while_waiting() -> None:
        add_recorded()
        report.advance(len(rows), waits=True)
        if len(rows) >= blocks:  # the other process may train on; nobody waits for that
            raise _Complete

    report.begin(stage, len(rows), blocks)
    add_recorded()
    if len(rows) < blocks:
        report.begin(stage, len(rows), blocks)
        with contextlib.suppress(_Complete):
            train(progress, while_waiting)
        add_recorded()  # what another process has trained meanwhile
    report.step()
