"""How time and memory grow with the images: poisoning, a supervised epoch with its scoring, and the filter's cut.

Memory is what the peak rises by, after a warm-up that has held everything of a batch's size.

Every measurement is a process of its own. An exponent of 1 is proportional growth: the least-squares slope of
logarithms in each round, of which the median is given.

python benchmarks/growth.py [--size PIXELS] [--rounds N] [--quick]
"""

import math
import statistics
import time
from collections.abc import Iterator

from against import Figure, drawn, figure, fresh, options, peak, read, report

from dlp_lib import (
    DLP,
    BadNets,
    Context,
    Runtime,
    Split,
    Supervised,
    entropy,
    poison,
    select,
    supervised,
    wrn_16_1,
)

COUNTS = (1000, 5000, 20_000, 50_000)
FITTED = COUNTS[2:]  # below, what does not grow with the images still shows
WARM = 600  # images: two batches of scoring, and more
WANTED = {"all": "≤ 1.05", "memory": "≤ 1.05"}


def work(clean: Split) -> dict[str, float]:
    """Seconds of each part."""
    began = time.perf_counter()
    tampered, _ = poison(clean, BadNets(), 0.1, Context())
    poisoned = time.perf_counter()
    stage = supervised(wrn_16_1(10, Runtime()), tampered, 1, Supervised(), Context())
    learned = time.perf_counter()
    select(-entropy(stage.checkpoints.read(1).tensors["logits"]), tampered, DLP().gamma)
    cut = time.perf_counter()
    return {
        "poisoning": poisoned - began,
        "epoch, scored": learned - poisoned,
        "filter's cut": cut - learned,
    }


def measured(n: int, size: int) -> dict[str, float]:
    work(drawn(WARM, size))  # imports, what the first call of anything takes, and what a batch does
    before, clean = peak(), drawn(n, size)
    found = work(clean)
    return found | {"all": sum(found.values()), "memory": peak() - before}


def exponent(values: dict[int, float], counts: tuple[int, ...]) -> float:
    logarithms = [math.log(values[n]) for n in counts]
    return statistics.linear_regression([math.log(n) for n in counts], logarithms).slope


def of_quantity(quantity: str, rounds: list[dict], fitted: tuple[int, ...]) -> Iterator[Figure]:
    """``rounds``: of each, what was measured for every number of images."""
    unit = "MiB" if quantity == "memory" else "s"
    values = [{n: found[quantity] for n, found in turn.items()} for turn in rounds]
    for n in values[0]:
        yield figure(f"{quantity}, {n:,} images", [turn[n] for turn in values], unit)
    what = f"{quantity}: exponent from {fitted[0]:,} to {fitted[-1]:,} images"
    yield figure(what, [exponent(turn, fitted) for turn in values], "", WANTED.get(quantity, ""))


def main() -> None:
    parser = options(__doc__, 5)
    parser.add_argument("--size", type=int, default=16, metavar="PIXELS")
    arguments = read(parser)
    counts = (1000, 4000, 8000) if arguments.quick else COUNTS
    fitted = counts[1:] if arguments.quick else FITTED
    rounds: list[dict] = []
    for turn in range(
        arguments.rounds
    ):  # to and fro, so that no number of images is always the last
        order = counts[:: 1 if turn % 2 else -1]
        found = {n: fresh(f"growth.measured({n}, {arguments.size})") for n in order}
        rounds.append({n: found[n] for n in counts})
    rows = [
        row for quantity in rounds[0][counts[0]] for row in of_quantity(quantity, rounds, fitted)
    ]
    report("growth", rows, arguments)


if __name__ == "__main__":
    main()
