"""What unlearning costs beside its gradient steps, and a filter beside one pass over the images.

python benchmarks/stages.py [--size PIXELS] [--rounds N] [--quick]
"""

import time
from collections.abc import Iterator
from functools import partial

import torch
from harness import (
    Figure,
    Ratio,
    bare_step_seconds,
    build_parser,
    compare,
    figure,
    parse_arguments,
    random_split,
    ratio,
    report,
    seconds_of,
    take_turns,
)
from torch import Tensor, nn

import dlp_lib
from dlp_lib import FILTERS, Context, Runtime, Split, Unlearn, unlearn, wrn_16_1
from dlp_lib.models import to_float
from dlp_lib.training.stage import cross_entropy

EPOCHS = 5
CONFIG = Unlearn(lr=0.001)  # gentle: an ascent that diverges ends early


def seconds_of_unlearning(tampered: Split, suspected: Tensor) -> tuple[float, float]:
    """Return the seconds of an epoch: of its gradient steps, and of everything.

    Everything includes the judging, the recording and the record's fingerprint.
    """
    model = wrn_16_1(10, Runtime())
    began = time.perf_counter()
    stage = unlearn(model, tampered, suspected, EPOCHS, CONFIG, Context())
    total = time.perf_counter() - began
    epochs = len(stage.history)
    return stage.total("seconds") / epochs, total / epochs


def ascent_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return -cross_entropy(model, batch)


def compare_unlearning(tampered: Split, suspects: int, rounds: int) -> Iterator[Ratio | Figure]:
    suspected = torch.arange(suspects)
    images = to_float(tampered.images[:suspects]).split(CONFIG.batch)
    labels = tampered.labels[:suspects].split(CONFIG.batch)
    batches = list(zip(images, labels, strict=True)) * EPOCHS
    assert tampered.digest  # hashed once for all stages: not unlearning's

    def limit() -> float:
        """Return the seconds of an epoch."""
        model = wrn_16_1(10, Runtime())
        return bare_step_seconds(model, CONFIG, ascent_loss, batches) * len(images)

    pairs = take_turns(partial(seconds_of_unlearning, tampered, suspected), limit, rounds)
    of_steps = [(steps, bare) for (steps, _), bare in pairs]
    what = f"unlearning, an epoch of {suspects} suspects of {len(tampered):,}"
    yield ratio(f"{what}: the bare steps", of_steps)
    of_all = [ours for ours, _ in pairs]
    yield ratio("its steps: everything, judging and recording included", of_all)
    judged = min(CONFIG.reestimate, len(tampered))
    beside = f"all beside its steps, judged on {judged:,} tampered images"
    yield figure(beside, [total - steps for steps, total in of_all], "s")


def compare_filters(tampered: Split, rounds: int) -> Iterator[Ratio]:
    """Compare on what an untrained model sees: clusters in it take as long to find as in others."""
    model = wrn_16_1(10, Runtime())
    outputs = dlp_lib.logits_and_features(model, tampered.images)
    one_pass = partial(seconds_of, dlp_lib.predict, model, tampered.images)
    for name, score in FILTERS.items():
        what = f"filter, {name}, {len(tampered):,} samples: one pass over them"
        yield compare(what, partial(seconds_of, score, outputs, tampered.labels), one_pass, rounds)


def main() -> None:
    parser = build_parser(__doc__, 5)
    parser.add_argument("--size", type=int, default=16, metavar="PIXELS")
    arguments = parse_arguments(parser)
    n, suspects = (600, 100) if arguments.quick else (50_000, 500)
    rows: list[Ratio | Figure] = []
    rows += compare_unlearning(random_split(n, arguments.size), suspects, arguments.rounds)
    shapes, _ = dlp_lib.load("shapes10", n, 1, arguments.size)
    rows += compare_filters(shapes, arguments.rounds)
    report("stages", rows, arguments)


if __name__ == "__main__":
    main()
