"""How time and memory grow with the images: poisoning, a supervised epoch with its scoring, and the filter's cut.

Every measurement is a process of its own. An exponent of 1 is proportional growth: the least-squares slope of
logarithms in each round, of which the median is given.

python benchmarks/growth.py [--size PIXELS] [--rounds N] [--quick]
"""

import math
import statistics
from collections.abc import Iterator

from against import Figure, drawn, figure, fresh, options, peak, read, report, timed

from dlp_lib import DLP, BadNets, Context, Runtime, Split, Supervised, entropy, poison, select, supervised, wrn_16_1

COUNTS = (1000, 5000, 20_000, 50_000)
FITTED = COUNTS[2:]  # below, what does not grow with the images still shows


def work(clean: Split) -> None:
    tampered, _ = poison(clean, BadNets(), 0.1, Context())
    stage = supervised(wrn_16_1(10, Runtime()), tampered, 1, Supervised(), Context())
    select(-entropy(stage.trail.read(1).tensors["logits"]), tampered, DLP().gamma)


def measured(n: int, size: int) -> dict[str, float]:
    work(drawn(100, size))  # imports, and what the first call of anything takes
    clean = drawn(n, size)
    return {"seconds": timed(work, clean), "peak": peak()}


def exponent(values: dict[int, float], counts: tuple[int, ...]) -> float:
    logarithms = [math.log(values[n]) for n in counts]
    return statistics.linear_regression([math.log(n) for n in counts], logarithms).slope


def of_quantity(quantity: str, unit: str, rounds: list[dict], ranges: dict[tuple[int, ...], str]) -> Iterator[Figure]:
    """``rounds``: of each, what was measured for every number of images. ``ranges``: fitted, and what is wanted."""
    values = [{n: found[quantity] for n, found in turn.items()} for turn in rounds]
    for n in values[0]:
        yield figure(f"{quantity}, {n:,} images", [turn[n] for turn in values], unit)
    for counts, wanted in ranges.items():
        what = f"{quantity}: exponent from {counts[0]:,} to {counts[-1]:,} images"
        yield figure(what, [exponent(turn, counts) for turn in values], "", wanted)


def main() -> None:
    parser = options(__doc__, 5)
    parser.add_argument("--size", type=int, default=16, metavar="PIXELS")
    arguments = read(parser)
    counts = (200, 400, 1000) if arguments.quick else COUNTS
    fitted = counts[1:] if arguments.quick else FITTED
    rounds: list[dict] = []
    for turn in range(arguments.rounds):  # to and fro, so that no number of images is always the last
        order = counts[:: 1 if turn % 2 else -1]
        found = {n: fresh(f"growth.measured({n}, {arguments.size})") for n in order}
        rounds.append({n: found[n] for n in counts})
    ranges = {counts: "", fitted: "≤ 1.05"}
    rows = [*of_quantity("seconds", "s", rounds, ranges), *of_quantity("peak", "MiB", rounds, ranges)]
    report("growth", rows, arguments)


if __name__ == "__main__":
    main()
