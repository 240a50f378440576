"""What unlearning costs beside its gradient steps, and every filter beside one pass over the images.

python benchmarks/stages.py [--size PIXELS] [--rounds N] [--quick]
"""

import time
from collections.abc import Iterator
from functools import partial

import torch
from against import (
    Figure,
    Ratio,
    bare,
    compare,
    drawn,
    figure,
    options,
    ratio,
    read,
    report,
    timed,
    turns,
)
from torch import Tensor

import dlp_lib
from dlp_lib import FILTERS, Context, Runtime, Split, Unlearn, unlearn, wrn_16_1
from dlp_lib.models.interface import to_float
from dlp_lib.training.stage import cross_entropy

EPOCHS = 5
CONFIG = Unlearn(lr=0.001)  # gentle: an ascent that diverges ends early


def ascent(tampered: Split, suspected: Tensor) -> tuple[float, float]:
    """Seconds an epoch: of its gradient steps, and of everything: judging, recording, the key of the record."""
    model, began = wrn_16_1(10, Runtime()), time.perf_counter()
    stage = unlearn(model, tampered, suspected, EPOCHS, CONFIG, Context())
    took, epochs = time.perf_counter() - began, len(stage.history)
    return stage.total("seconds") / epochs, took / epochs


def of_unlearning(tampered: Split, suspects: int, rounds: int) -> Iterator[Ratio | Figure]:
    suspected = torch.arange(suspects)
    images, labels = (
        to_float(tampered.images[:suspects]).split(CONFIG.batch),
        tampered.labels[:suspects],
    )
    batches = list(zip(images, labels.split(CONFIG.batch), strict=True)) * EPOCHS
    assert tampered.digest  # hashed once for all stages: not unlearning's

    def limit() -> float:
        """Seconds an epoch."""
        return bare(
            wrn_16_1(10, Runtime()), CONFIG, lambda *step: -cross_entropy(*step), batches
        ) * len(images)

    pairs = turns(lambda: ascent(tampered, suspected), limit, rounds)
    what = f"unlearning, an epoch of {suspects} suspects of {len(tampered):,}"
    yield ratio(f"{what}: the bare steps", [(steps, other) for (steps, _), other in pairs])
    yield ratio(
        "its steps: everything, judging and recording included", [ours for ours, _ in pairs]
    )
    judging = [both - steps for (steps, both), _ in pairs]
    beside = (
        f"all beside its steps, judged on {min(CONFIG.reestimate, len(tampered)):,} tampered images"
    )
    yield figure(beside, judging, "s")


def of_filters(tampered: Split, rounds: int) -> Iterator[Ratio]:
    """On what an untrained model sees: clusters in it take as long to find as in any features."""
    model = wrn_16_1(10, Runtime())
    seen = dlp_lib.logits_and_features(model, tampered.images)
    a_pass = partial(timed, dlp_lib.predict, model, tampered.images)
    for name, score in FILTERS.items():
        what = f"filter, {name}, {len(tampered):,} samples: one pass over them"
        yield compare(what, partial(timed, score, seen, tampered.labels), a_pass, rounds)


def main() -> None:
    parser = options(__doc__, 5)
    parser.add_argument("--size", type=int, default=16, metavar="PIXELS")
    arguments = read(parser)
    n, suspects = (600, 100) if arguments.quick else (50_000, 500)
    rows = [*of_unlearning(drawn(n, arguments.size), suspects, arguments.rounds)]
    shapes, _ = dlp_lib.load("shapes10", n, 1, arguments.size)
    report("stages", [*rows, *of_filters(shapes, arguments.rounds)], arguments)


if __name__ == "__main__":
    main()
