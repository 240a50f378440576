"""How time and memory grow with the images: poisoning, a scored supervised epoch, the filter's cut.

Memory is what the peak rises by, after a warm-up that has held everything of a batch's size.

Every measurement is a process of its own. An exponent of 1 is proportional growth. It is the
least-squares slope of logarithms in each round, of which the median is given.

python benchmarks/growth.py [--size PIXELS] [--rounds N] [--quick]
"""

import math
import statistics
import time
from collections.abc import Iterator

from harness import (
    Figure,
    build_parser,
    figure,
    parse_arguments,
    peak_memory,
    random_split,
    report,
    run_in_new_process,
)

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


def seconds_of_parts(clean: Split) -> dict[str, float]:
    """Return the seconds of each part."""
    began = time.perf_counter()
    tampered, _ = poison(clean, BadNets(), 0.1, Context())
    poisoned = time.perf_counter()
    stage = supervised(wrn_16_1(10, Runtime()), tampered, 1, Supervised(), Context())
    learned = time.perf_counter()
    select(-entropy(stage.logits(1)), tampered, DLP().gamma)
    selected = time.perf_counter()
    return {
        "poisoning": poisoned - began,
        "epoch, scored": learned - poisoned,
        "filter's cut": selected - learned,
    }


def measure(n: int, size: int) -> dict[str, float]:
    """Return the seconds of each part and of all, and the MiB that they needed."""
    # This brings imports, what the first call of anything takes, and what a batch holds.
    seconds_of_parts(random_split(WARM, size))
    before = peak_memory()
    quantities = seconds_of_parts(random_split(n, size))
    quantities["all"] = sum(quantities.values())
    quantities["memory"] = peak_memory() - before
    return quantities


def exponent(values: dict[int, float], counts: tuple[int, ...]) -> float:
    sizes = [math.log(n) for n in counts]
    logarithms = [math.log(values[n]) for n in counts]
    return statistics.linear_regression(sizes, logarithms).slope


def figures_of(
    quantity: str, rounds: list[dict[int, dict]], fitted: tuple[int, ...]
) -> Iterator[Figure]:
    """Yield the rows of a quantity.

    Args:
        quantity: a key of what ``measure`` returns.
        rounds: of each round, what was measured for every number of images.
        fitted: the numbers of images that the exponent is of.
    """
    unit = "MiB" if quantity == "memory" else "s"
    values = []
    for quantities in rounds:
        values.append({n: of_n[quantity] for n, of_n in quantities.items()})
    for n in values[0]:
        yield figure(f"{quantity}, {n:,} images", [by_count[n] for by_count in values], unit)
    what = f"{quantity}: exponent from {fitted[0]:,} to {fitted[-1]:,} images"
    exponents = [exponent(by_count, fitted) for by_count in values]
    yield figure(what, exponents, "", WANTED.get(quantity, ""))


def main() -> None:
    parser = build_parser(__doc__, 5)
    parser.add_argument("--size", type=int, default=16, metavar="PIXELS")
    arguments = parse_arguments(parser)
    counts = COUNTS
    fitted = FITTED
    if arguments.quick:
        counts = (600, 1200, 2400)
        fitted = counts[1:]
    rounds: list[dict[int, dict]] = []
    for round_ in range(arguments.rounds):
        # To and fro, so that no number of images is always the last.
        order = counts if round_ % 2 else counts[::-1]
        results = {}
        for n in order:
            results[n] = run_in_new_process(f"growth.measure({n}, {arguments.size})")
        rounds.append({n: results[n] for n in counts})
    rows: list[Figure] = []
    for quantity in rounds[0][counts[0]]:
        rows += figures_of(quantity, rounds, fitted)
    report("growth", rows, arguments)


if __name__ == "__main__":
    main()
