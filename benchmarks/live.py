"""How fast the live lab answers: from a control's event to updated data, and to drawn figures.

python benchmarks/live.py [--drag SECONDS]
"""

import argparse
import resource
import statistics
import time
from pathlib import Path

import torch

import dlp_lib
from dlp_lib import HOME, Context, Runtime, Split, Store
from dlp_lib.live.controller import Lab, LabSetting
from dlp_lib.live.view import GAMMAS, Live

START = Setting()


def milliseconds(function, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return 1000 * (time.perf_counter() - began)


def moved(live: Live, name: str, values) -> tuple[float, float, int]:
    """Medians over the values: data alone, the whole event with its figures, and how many figures were drawn."""
    data, events, drawn = [], [], []
    for value in values:
        before = [panel.box.value for panel in live.panels]
        events.append(milliseconds(setattr, live.controls[name], "value", value))
        live.wait()  # for the ascent that the event has started
        drawn.append(
            sum(panel.box.value is not old for panel, old in zip(live.panels, before, strict=True))
        )
        data.append(milliseconds(live.lab.look, live.setting()))
    return statistics.median(data), statistics.median(events), round(statistics.median(drawn))


def large_filter() -> float:
    """Both selections of 50,000 recorded scores."""
    labels = torch.arange(50_000) % 10
    tampered = Split.from_arrays(torch.zeros(50_000, 3, 1, 1, dtype=torch.uint8), labels)
    scores = torch.rand(50_000)
    return statistics.median(
        milliseconds(dlp_lib.select, scores, tampered, gamma) for gamma in GAMMAS
    )


def first_and_last_point(live: Live, setting: Setting) -> tuple[float, float]:
    """Seconds to the first and to the last point of an ascent that is not recorded, in the page's own thread."""
    began, points = time.perf_counter(), []

    def tell() -> None:
        if len(live.lab.look(setting).ascent) > len(points):
            points.append(time.perf_counter() - began)

    live._jobs.submit(lambda check: live.lab.work(setting, check, tell))
    live.wait()
    return points[0], points[-1]


def drag(live: Live, seconds: float) -> tuple[int, float, float]:
    """Events handled while gamma, E1 and E2 go to and fro, the growth in MB, and how long work goes on afterwards."""
    live.wait()
    before, events, end = _resident(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for name, values in (("gamma", GAMMAS[3:9]), ("e1", range(2, 9)), ("e2", range(1, 12))):
            for value in values:
                live.controls[name].value = value
                events += 1
    began = time.monotonic()
    live.wait()
    return events, _resident() - before, time.monotonic() - began


def _resident() -> float:
    return (
        int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        * resource.getpagesize()
        / 2**20
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drag", type=float, default=30, metavar="SECONDS")
    arguments = parser.parse_args()
    lab = Lab(Context(Runtime(), Store(HOME / "build" / "store")))
    lab.work(START, lambda: None, lambda: None)
    live = Live(lab, START)
    live.wait()
    print("event                 data ms  with figures ms  figures drawn")
    for name, values in (("gamma", GAMMAS[2:9]), ("e1", (3, 5, 8, 4)), ("e2", (3, 9, 15, 11))):
        print("{:<20} {:>8.1f} {:>16.0f} {:>14}".format(name, *moved(live, name, values)))
    print(f"gamma on 50,000 scores: {large_filter():.1f} ms")
    setting = Setting(lr=0.005 + 1e-4 * (time.time() % 1))  # recorded by nobody
    first, last = first_and_last_point(live, setting)
    print(f"a new ascent: first point after {first:.2f} s, all {lab.epochs} after {last:.2f} s")
    for which in (
        ("the first", "the second") if arguments.drag else ()
    ):  # the first fills the allocator's pools
        events, growth, rest = drag(live, arguments.drag)
        print(
            f"{which} {arguments.drag:.0f} s of dragging: {events} events, {growth:+.0f} MB, {rest:.1f} s of work after"
        )


if __name__ == "__main__":
    main()
