"""A bar for every stage, with the time that is left of it."""

import sys
import time
from typing import TextIO

WIDTH = 24  # signs of a bar
STAGES = {  # what a stage does, for people who do not know its name
    "SL": "supervised learning",
    "AU": "unlearning",
    "ASSFT": "fine-tuning",
    "ABL isolation": "isolating",
    "ABL training": "training",
}


class Bars:
    """The progress of a ``Context``: a line per stage, which a terminal writes anew each time.

    Where the output is no terminal, a line comes for every quarter of a stage.
    """

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stdout
        self._stage: str | None = None
        self._first = 0  # blocks of the stage that were done before
        self.start()

    def start(self) -> None:
        """Take the time from now on, for the stage that comes next."""
        self._began = time.monotonic()

    def __call__(self, stage: str, block: int, blocks: int, row: dict) -> None:
        if stage != self._stage:
            self._stage = stage
            self._first = block - 1
        now = time.monotonic()
        per_block = (now - self._began) / (block - self._first)
        line = bar(stage, block, blocks, per_block * (blocks - block))
        if self.stream.isatty():
            end = "\n" if block == blocks else ""
            self.stream.write(f"\r{line}{end}")
        elif 4 * block // blocks > 4 * (block - 1) // blocks:
            self.stream.write(f"{line}\n")
        self.stream.flush()
        if block == blocks:
            self._stage = None
            self.start()


def bar(stage: str, block: int, blocks: int, seconds_left: float) -> str:
    """Return a line such as "unlearning           [####    ]  5 of 20, 1 min left"."""
    signs = WIDTH * block // blocks
    drawn = "#" * signs + " " * (WIDTH - signs)
    line = f"{STAGES.get(stage, stage):<20} [{drawn}] {block:>3} of {blocks}"
    left = f", {duration(seconds_left)} left" if block < blocks else ""
    return f"{line}{left:<14}"


def duration(seconds: float) -> str:
    """Return a rough time: "20 s", "3 min", "2.5 h"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
