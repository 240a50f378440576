"""A training step of stages 1 and 3, against the limit and against the usual way.

The limit: the same passes forward and backward on one batch that is there as floats, with a fused update.
The usual way: PIL transforms in two workers of a DataLoader; in FixMatch one pass with gradient for all three views.

python benchmarks/steps.py [--rounds N] [--quick]
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from against import Ratio, bare, compare, drawn, each, optimiser_of, options, read, report, update
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor
from usual import Images, Pair, Shares, loader, steady, weak

from dlp_lib import Context, FixMatch, Runtime, Stage, Supervised, fixmatch, supervised, wrn_16_1
from dlp_lib.data import augment
from dlp_lib.models.interface import to_float
from dlp_lib.training.stage import cross_entropy

LIMIT = {"supervised": "≥ 0.95", "FixMatch": "≥ 0.85"}  # wanted
USUAL = {16: "≥ 2", 32: "≥ 1.5"}  # wanted of FixMatch, by pixels
PAIRS = "≥ 3.5"


def model() -> nn.Module:
    return wrn_16_1(10, Runtime())


def a_step(stage: Stage, steps: int) -> float:
    """Its seconds; what recording a block takes, where every sample is scored, is not a step's."""
    return stage.total("seconds") / steps


def usual_supervised(config: Supervised, batches: DataLoader) -> Callable[[], float]:
    trained = model()
    optimiser = optimiser_of(trained, config)
    return lambda: steady(batches, lambda batch: update(optimiser, cross_entropy(trained, batch)))


def of_supervised(size: int, steps: int, rounds: int, config: Supervised) -> Iterator[Ratio]:
    what = f"supervised, {size} pixels{', augmented' if config.augment else ''}: "
    split = drawn(steps * config.batch, size)
    ready = to_float(split.images[: config.batch]), split.labels[: config.batch]
    usual = loader(Images(split, weak(size) if config.augment else ToTensor()), config.batch, steps)

    def ours() -> float:
        return a_step(supervised(model(), split, 1, config, Context()), steps)

    def limit() -> float:
        return bare(model(), config, cross_entropy, [ready] * steps)

    yield compare(what + "the limit", ours, limit, rounds, LIMIT["supervised"])
    yield compare(what + "the usual way", ours, usual_supervised(config, usual), rounds)


def limit_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor], config: FixMatch) -> Tensor:
    """FixMatch's, the labelled and the strong views joined beforehand."""
    weak_views, joined, labels = batch
    with torch.no_grad():
        confidence, pseudo = model(weak_views).softmax(1).max(1)
    on_labelled, on_strong = model(joined).split([len(labels), len(weak_views)])
    return both_losses(on_labelled, labels, on_strong, pseudo, confidence >= config.tau)


def usual_loss(
    model: nn.Module, batch: tuple[Tensor, Tensor, Tensor, Tensor], config: FixMatch
) -> Tensor:
    """FixMatch's by one pass for all views, as it is usually written."""
    images, labels, *views = batch
    weak_views, strong_views = (view.flatten(0, 1) for view in views)
    logits = model(torch.cat([images, weak_views, strong_views]))
    on_labelled, on_weak, on_strong = logits.split(
        [len(images), len(weak_views), len(strong_views)]
    )
    confidence, pseudo = on_weak.detach().softmax(1).max(1)
    return both_losses(on_labelled, labels, on_strong, pseudo, confidence >= config.tau)


def both_losses(
    on_labelled: Tensor, labels: Tensor, on_strong: Tensor, pseudo: Tensor, mask: Tensor
) -> Tensor:
    unsupervised = functional.cross_entropy(on_strong, pseudo, reduction="none") * mask
    return functional.cross_entropy(on_labelled, labels) + unsupervised.mean()


def usual_fixmatch(config: FixMatch, batches: DataLoader) -> Callable[[], float]:
    trained = model()
    optimiser = optimiser_of(trained, config)
    averaged = AveragedModel(trained, multi_avg_fn=get_ema_multi_avg_fn(0.999))

    def step(batch: tuple[Tensor, ...]) -> None:
        update(optimiser, usual_loss(trained, batch, config))
        averaged.update_parameters(trained)

    return lambda: steady(batches, step)


def of_fixmatch(size: int, rounds: int, config: FixMatch) -> Iterator[Ratio]:
    what, steps = f"FixMatch, {size} pixels: ", config.steps
    split = drawn(config.batch * (1 + config.mu), size)
    images = to_float(split.images)
    ready = images[config.batch :], images, split.labels[: config.batch]
    usual = loader(Shares(split, config.mu), config.batch, steps)

    def ours() -> float:
        return a_step(
            fixmatch(model(), split, torch.arange(config.batch), config, Context()), steps
        )

    def limit() -> float:
        return bare(model(), config, partial(limit_loss, config=config), [ready] * steps)

    yield compare(what + "the limit", ours, limit, rounds, LIMIT["FixMatch"])
    yield compare(what + "the usual way", ours, usual_fixmatch(config, usual), rounds, USUAL[size])


def of_pairs(size: int, rounds: int, config: FixMatch) -> Ratio:
    """Weak and strong views of one step's unlabelled images, as floats, against what a loader gives without a model."""
    count, steps, generator = (
        config.batch * config.mu,
        config.steps,
        Runtime().generator("benchmark"),
    )
    split = drawn(count, size)
    usual = loader(Images(split, Pair(size)), count, steps)

    def ours() -> None:
        for _ in range(steps):
            to_float(augment.weak(split.images, generator))
            to_float(augment.strong(split.images, generator))

    what = f"{count} pairs of views, {size} pixels: the usual way"
    return compare(what, partial(each, steps, ours), partial(steady, usual), rounds, PAIRS)


def main() -> None:
    arguments = read(options(__doc__))
    rows: list[Ratio] = []
    first, third, steps = Supervised(), FixMatch(steps=20), 40
    if arguments.quick:
        first, third, steps = replace(first, batch=8), replace(third, batch=4, mu=2, steps=2), 2
    for size in USUAL:
        for augmented in (False, True):
            rows += of_supervised(size, steps, arguments.rounds, replace(first, augment=augmented))
        rows += of_fixmatch(size, arguments.rounds, third)
        rows.append(of_pairs(size, arguments.rounds, third))
    report("steps", rows, arguments)


if __name__ == "__main__":
    main()
