"""How fast the live lab answers: from a control's event to updated data, and to drawn figures.

python benchmarks/live.py [--drag SECONDS]
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Split, Store
from dlp_lib.live.background import Check
from dlp_lib.live.controller import Lab
from dlp_lib.live.controls import GAMMAS
from dlp_lib.live.setting import LabSetting
from dlp_lib.live.view import Live

VALUES = {"gamma": GAMMAS[2:9], "e1": (3, 5, 8, 4), "e2": (3, 9, 15, 11)}
DRAGGED = {"gamma": GAMMAS[3:9], "e1": range(2, 9), "e2": range(1, 12)}


def nothing() -> None:
    """A job that nothing stops, and nobody is told of."""


def milliseconds(function: Callable, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return 1000 * (time.perf_counter() - began)


class Move(NamedTuple):
    """Medians over the values to which a control was moved."""

    data: float  # milliseconds to look up the data alone
    event: float  # milliseconds of the whole event with its figures
    figures: int  # how many were drawn


def move(live: Live, name: str, values: Sequence[float]) -> Move:
    """Move a control to one value after another."""
    data = []
    events = []
    drawn = []
    for value in values:
        before = [panel.box.value for panel in live.panels]
        events.append(milliseconds(setattr, live.controls[name], "value", value))
        live.wait()  # for the ascent that the event has started
        pairs = zip(live.panels, before, strict=True)
        drawn.append(sum(panel.box.value is not old for panel, old in pairs))
        data.append(milliseconds(live.lab.look, live.setting()))
    figures = round(statistics.median(drawn))
    return Move(statistics.median(data), statistics.median(events), figures)


def large_filter() -> float:
    """Return milliseconds for both selections of 50,000 recorded scores."""
    labels = torch.arange(50_000) % 10
    tampered = Split.from_arrays(torch.zeros(50_000, 3, 1, 1, dtype=torch.uint8), labels)
    scores = torch.rand(50_000)
    times = [milliseconds(dlp_lib.select, scores, tampered, gamma) for gamma in GAMMAS]
    return statistics.median(times)


def first_and_last_point(live: Live, setting: LabSetting) -> tuple[float, float]:
    """Return seconds to the first and to the last point of an ascent that is not recorded.

    It is computed in the page's own thread.
    """
    began = time.perf_counter()
    points = []

    def tell() -> None:
        if len(live.lab.look(setting).ascent) > len(points):
            points.append(time.perf_counter() - began)

    def job(check: Check) -> None:
        live.lab.work(setting, check, tell)

    live._jobs.submit(job)
    live.wait()
    return points[0], points[-1]


class Drag(NamedTuple):
    """What dragging controls to and fro has cost."""

    events: int  # that were handled
    growth: float  # of the process, in MB
    rest: float  # seconds for which work went on afterwards


def drag(live: Live, seconds: float) -> Drag:
    """Drag gamma, E1 and E2 to and fro."""
    live.wait()
    before = _resident()
    events = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, values in DRAGGED.items():
            for value in values:
                live.controls[name].value = value
                events += 1
    began = time.monotonic()
    live.wait()
    return Drag(events, _resident() - before, time.monotonic() - began)


def _resident() -> float:
    """Return the memory that this process holds, in MB."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drag", type=float, default=30, metavar="SECONDS")
    options = parser.parse_args()
    lab = Lab(Context(Runtime(), Store(HOME / "build" / "store")))
    start = lab.recommended()
    lab.work(start, nothing, nothing)
    live = Live(lab, start)
    live.wait()
    print("event                 data ms  with figures ms  figures drawn")
    for name, values in VALUES.items():
        moved = move(live, name, values)
        print(f"{name:<20} {moved.data:>8.1f} {moved.event:>16.0f} {moved.figures:>14}")
    print(f"gamma on 50,000 scores: {large_filter():.1f} ms")
    unseen = replace(start, lr=0.005 + 1e-4 * (time.time() % 1))  # recorded by nobody
    first, last = first_and_last_point(live, unseen)
    print(f"a new ascent: first point after {first:.2f} s, all {lab.epochs} after {last:.2f} s")
    # The first time fills the pools of the memory allocator
    for which in ("the first", "the second") if options.drag else ():
        events, growth, rest = drag(live, options.drag)
        cost = f"{events} events, {growth:+.0f} MB, {rest:.1f} s of work after"
        print(f"{which} {options.drag:.0f} s of dragging: {cost}")


if __name__ == "__main__":
    main()
