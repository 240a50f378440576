"""A training step of stages 1 and 3, against the limit and against the usual way.

The limit: the same passes forward and backward on one batch that is ready as floats, with a fused
update. The usual way: PIL transforms in two workers of a DataLoader; in FixMatch one pass with
gradient for all three views.

python benchmarks/steps.py [--rounds N] [--quick]
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from dataloader_reference import FixMatchBatches, Images, Pair, loader, steady, weak
from harness import (
    Ratio,
    bare_step_seconds,
    build_parser,
    compare,
    make_optimiser,
    parse_arguments,
    random_split,
    report,
    seconds_per,
    update,
)
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from dlp_lib import Context, FixMatch, Runtime, Stage, Supervised, fixmatch, supervised, wrn_16_1
from dlp_lib.data import augment
from dlp_lib.models import to_float
from dlp_lib.training.stage import cross_entropy

LIMIT = {"supervised": "≥ 0.95", "FixMatch": "≥ 0.85"}  # wanted
USUAL = {16: "≥ 2", 32: "≥ 1.5"}  # wanted of FixMatch, by pixels
PAIRS = "≥ 3.5"


def build_model() -> nn.Module:
    return wrn_16_1(10, Runtime())


def step_seconds(stage: Stage, steps: int) -> float:
    """Return the seconds of a step.

    Recording a block, where every sample is scored, is no part of a step.
    """
    return stage.total("seconds") / steps


def usual_supervised(config: Supervised, batches: DataLoader) -> Callable[[], float]:
    model = build_model()
    optimiser = make_optimiser(model, config)

    def step(batch: tuple[Tensor, Tensor]) -> None:
        update(optimiser, cross_entropy(model, batch))

    return partial(steady, batches, step)


def compare_supervised(size: int, steps: int, rounds: int, config: Supervised) -> Iterator[Ratio]:
    what = f"supervised, {size} pixels"
    transform = ToTensor()
    if config.augment:
        what += ", augmented"
        transform = weak(size)
    split = random_split(steps * config.batch, size)
    ready = (to_float(split.images[: config.batch]), split.labels[: config.batch])
    batches = loader(Images(split, transform), config.batch, steps)

    def ours() -> float:
        stage = supervised(build_model(), split, 1, config, Context())
        return step_seconds(stage, steps)

    def limit() -> float:
        return bare_step_seconds(build_model(), config, cross_entropy, [ready] * steps)

    yield compare(f"{what}: the limit", ours, limit, rounds, LIMIT["supervised"])
    yield compare(f"{what}: the usual way", ours, usual_supervised(config, batches), rounds)


def limit_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor], config: FixMatch) -> Tensor:
    """Return FixMatch's loss, with the labelled and the strong views joined beforehand."""
    weak_views, joined, labels = batch
    with torch.no_grad():
        confidence, pseudo_labels = model(weak_views).softmax(1).max(1)
    on_labelled, on_strong = model(joined).split([len(labels), len(weak_views)])
    mask = confidence >= config.tau
    return fixmatch_loss(on_labelled, labels, on_strong, pseudo_labels, mask)


def usual_loss(
    model: nn.Module, batch: tuple[Tensor, Tensor, Tensor, Tensor], config: FixMatch
) -> Tensor:
    """Return FixMatch's loss by one pass for all views, as it is usually written."""
    images, labels, weak_views, strong_views = batch
    weak_views = weak_views.flatten(0, 1)
    strong_views = strong_views.flatten(0, 1)
    logits = model(torch.cat([images, weak_views, strong_views]))
    sizes = [len(images), len(weak_views), len(strong_views)]
    on_labelled, on_weak, on_strong = logits.split(sizes)
    confidence, pseudo_labels = on_weak.detach().softmax(1).max(1)
    mask = confidence >= config.tau
    return fixmatch_loss(on_labelled, labels, on_strong, pseudo_labels, mask)


def fixmatch_loss(
    on_labelled: Tensor, labels: Tensor, on_strong: Tensor, pseudo_labels: Tensor, mask: Tensor
) -> Tensor:
    supervised_loss = functional.cross_entropy(on_labelled, labels)
    losses = functional.cross_entropy(on_strong, pseudo_labels, reduction="none")
    return supervised_loss + (losses * mask).mean()


def usual_fixmatch(config: FixMatch, batches: DataLoader) -> Callable[[], float]:
    model = build_model()
    optimiser = make_optimiser(model, config)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))

    def step(batch: tuple[Tensor, ...]) -> None:
        update(optimiser, usual_loss(model, batch, config))
        averaged.update_parameters(model)

    return partial(steady, batches, step)


def compare_fixmatch(size: int, rounds: int, config: FixMatch) -> Iterator[Ratio]:
    what = f"FixMatch, {size} pixels"
    steps = config.steps
    split = random_split(config.batch * (1 + config.mu), size)
    images = to_float(split.images)
    ready = (images[config.batch :], images, split.labels[: config.batch])
    usual = usual_fixmatch(config, loader(FixMatchBatches(split, config.mu), config.batch, steps))

    def ours() -> float:
        stage = fixmatch(build_model(), split, torch.arange(config.batch), config, Context())
        return step_seconds(stage, steps)

    def limit() -> float:
        loss = partial(limit_loss, config=config)
        return bare_step_seconds(build_model(), config, loss, [ready] * steps)

    yield compare(f"{what}: the limit", ours, limit, rounds, LIMIT["FixMatch"])
    yield compare(f"{what}: the usual way", ours, usual, rounds, USUAL[size])


def compare_pairs(size: int, rounds: int, config: FixMatch) -> Ratio:
    """Compare weak and strong views of one step's unlabelled images, as floats.

    The other is what a loader gives, without a model.
    """
    count = config.batch * config.mu
    generator = Runtime().generator("benchmark")
    split = random_split(count, size)
    batches = loader(Images(split, Pair(size)), count, config.steps)

    def make_views() -> None:
        for _ in range(config.steps):
            to_float(augment.weak(split.images, generator))
            to_float(augment.strong(split.images, generator))

    what = f"{count} pairs of views, {size} pixels: the usual way"
    ours = partial(seconds_per, config.steps, make_views)
    return compare(what, ours, partial(steady, batches), rounds, PAIRS)


def main() -> None:
    arguments = parse_arguments(build_parser(__doc__))
    steps = 40
    stage_1 = Supervised()
    stage_3 = FixMatch(steps=20)
    if arguments.quick:
        steps = 2
        stage_1 = replace(stage_1, batch=8)
        stage_3 = replace(stage_3, batch=4, mu=2, steps=2)
    rows: list[Ratio] = []
    for size in USUAL:
        for augmented in (False, True):
            config = replace(stage_1, augment=augmented)
            rows += compare_supervised(size, steps, arguments.rounds, config)
        rows += compare_fixmatch(size, arguments.rounds, stage_3)
        rows.append(compare_pairs(size, arguments.rounds, stage_3))
    report("steps", rows, arguments)


if __name__ == "__main__":
    main()
