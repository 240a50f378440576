"""FixMatch: DLP's third stage, semi-supervised fine-tuning on the trusted samples."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_field, check_int, check_number, check_type
from ..context import Context
from ..data import augment
from ..data.split import Split
from ..models.interface import copied, to_float
from ..store import Record
from ..training.admission import admit_in_place, expect_indices
from ..training.batchnorm import preserve_batchnorm
from ..training.optimiser import SGD
from ..training.stage import Drawn, Stage, cycle_indices, run_task
from ..training.steps import Losses, Task
from .immunise import TriggerEstimate, immunise


class Batch(NamedTuple):
    """What decides a step: b labelled images, and mu·b unlabelled ones in two views each."""

    labelled: Drawn
    unlabelled: Drawn  # in weak views
    strong: augment.StrongDraws  # of the unlabelled images
    immunised: Tensor  # (b,) bool: which labelled images get the estimated trigger
    immunised_strong: Tensor  # (mu·b,) bool: which unlabelled ones get it before the strong view


@dataclass(frozen=True, kw_only=True)
class FixMatch(SGD):
    """Settings of stage 3 (Sohn et al. 2020, arXiv:2001.07685); the paper gives none of these."""

    lr: float = 0.03  # FixMatch's own
    nesterov: bool = True  # FixMatch's own
    batch: int = 64  # labelled images a step; FixMatch's own
    mu: int = 7  # unlabelled images for each labelled one; FixMatch's own
    tau: float = 0.95  # confidence from which a pseudo-label counts; FixMatch's own
    lambda_u: float = 1.0  # weight of the unlabelled loss: alpha of Eq. 7; FixMatch's own
    steps: int = 10_000  # FixMatch's paper takes 2**20
    # Probability with which a labelled image, and an image before its strong view, gets the trigger
    # that the suspects show; 0 is the paper's form. Every image of every step is drawn by itself
    immunise: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "mu", check_int, 1)
        check_field(self, "tau", check_number, least=0, most=1)
        check_field(self, "lambda_u", check_number, least=0)
        check_field(self, "steps", check_int)
        check_field(self, "immunise", check_number, least=0, most=1)


def fixmatch(
    model: nn.Module,
    tampered: Split,
    trusted: Tensor,
    config: FixMatch,
    context: Context,
    trigger: TriggerEstimate | None = None,
) -> Stage:
    """Fine-tune with FixMatch (Eq. 7): the trusted samples keep their labels, all others lose them.

    Args:
        model: trained in place, on the context's device; left with the average of its weights.
        tampered: the training set.
        trusted: indices (m,) of the trusted samples.
        config: learning rate, number of steps and the like.
        context: device, random streams, store and progress.
        trigger: what ``config.immunise`` puts on images; see ``estimate_trigger``.

    Returns:
        The stage. A block is a fiftieth of the steps, at least 20; its History has the column
        "confident", the share of pseudo-labels that counted.

    Raises:
        TypeError: before any work, for arguments of other types, and for a model that returns no
            logits (n, C).
        ValueError: before any work, where none or all of the samples are trusted, and for a model
            that cannot take the images, has another number of classes, or has no weight to train;
            where images are to be immunised and the trigger is missing, or of another size.
    """
    check_type("config", config, FixMatch)
    tampered = admit_in_place("tampered", model, tampered, context)
    trigger = _admit_trigger(trigger, tampered, config)
    expect_indices("trusted", trusted, len(tampered))
    trusted = trusted.cpu()  # rows are drawn there
    is_unlabelled = torch.ones(len(tampered)).index_fill(0, trusted, 0)
    unlabelled = is_unlabelled.nonzero()[:, 0]
    if len(unlabelled) == 0:
        raise ValueError(f"trusted: all {len(tampered)} samples; allowed is to leave one or more")
    steps_of_full_block = max(20, math.ceil(config.steps / 50))
    height, width = tampered.images.shape[2:]

    def steps_of_block(block: int) -> int:
        steps_before = (block - 1) * steps_of_full_block
        return min(steps_of_full_block, config.steps - steps_before)

    def batches(block: int) -> Iterator[Batch]:
        order = context.runtime.generator("ASSFT", "order", block)
        drawn = context.runtime.generator("ASSFT", "views", block)
        immunised = context.runtime.generator("ASSFT", "immunise", block)
        steps = steps_of_block(block)
        n = config.batch
        others = n * config.mu
        labelled_rows = _draw_rows(trusted, steps, n, order)
        other_rows = _draw_rows(unlabelled, steps, others, order)
        labelled_views = augment.draw_weak(steps, n, (height, width), drawn)
        weak = augment.draw_weak(steps, others, (height, width), drawn)
        strong = augment.draw_strong(steps, others, (height, width), drawn)
        gets_trigger = torch.rand(steps, n + others, generator=immunised) < config.immunise
        for step in range(steps):
            yield Batch(
                Drawn(labelled_rows[step], labelled_views[step]),
                Drawn(other_rows[step], weak[step]),
                augment.StrongDraws(*[draws[step] for draws in strong]),
                *gets_trigger[step].split([n, others]),
            )

    def loss(model: nn.Module, batch: Batch) -> Losses:
        labelled, weak, strong = _views(tampered.images, batch, trigger)
        labels = tampered.labels[batch.labelled.rows]
        with preserve_batchnorm(model):
            confidence, pseudo_labels = model(weak).softmax(1).max(1)
        mask = (confidence >= config.tau).float()
        logits = model(torch.cat([labelled, strong]))
        on_labelled, on_strong = logits.split([len(labelled), len(strong)])
        supervised = functional.cross_entropy(on_labelled, labels)
        losses = functional.cross_entropy(on_strong, pseudo_labels, reduction="none")
        unsupervised = (losses * mask).mean()
        return {"loss": supervised + config.lambda_u * unsupervised, "confident": mask.mean()}

    def measure(_: nn.Module, block: int) -> Record:
        images = steps_of_block(block) * config.batch * (1 + config.mu)
        return Record({}, {"images": images})

    def learning_rate(step: int) -> float:
        return config.lr * math.cos(7 * math.pi / (16 * max(1, config.steps)) * step)

    average = copied(model).eval()
    task = Task("ASSFT", config, batches, loss, measure, learning_rate, average)
    blocks = math.ceil(config.steps / steps_of_full_block)
    return run_task(task, model, blocks, context, images=tampered.images)


def _views(
    images: Tensor, batch: Batch, trigger: TriggerEstimate | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the labelled images, and the weak and strong views of the unlabelled ones, as floats.

    Weak views never have the estimated trigger: pseudo-labels come from images as they are.
    """
    labelled = images[batch.labelled.rows]
    unlabelled = images[batch.unlabelled.rows]
    weak = augment.apply_weak(unlabelled, batch.unlabelled.views)
    if trigger is not None:
        labelled = immunise(labelled, trigger, batch.immunised)
        unlabelled = immunise(unlabelled, trigger, batch.immunised_strong)
    labelled = augment.apply_weak(labelled, batch.labelled.views)
    strong = augment.apply_strong(unlabelled, batch.strong)
    return to_float(labelled), to_float(weak), to_float(strong)


def _draw_rows(samples: Tensor, steps: int, n: int, order: torch.Generator) -> Tensor:
    """Draw n of the samples (m,) for each step, one random order after another: (steps, n)."""
    places = cycle_indices(len(samples), steps * n, order)
    return samples[places].view(steps, n)


def _admit_trigger(
    trigger: TriggerEstimate | None, tampered: Split, config: FixMatch
) -> TriggerEstimate | None:
    """Return the estimated trigger on the images' device; None where nothing is immunised."""
    if config.immunise == 0:
        return None
    if trigger is None:
        raise ValueError(
            f"immunise={config.immunise}: allowed is 0 without a trigger; see estimate_trigger"
        )
    check_type("trigger", trigger, TriggerEstimate)
    shape = tuple(trigger.scale.shape)
    allowed = tuple(tampered.images.shape[1:])
    if shape != allowed:
        raise ValueError(f"trigger: of shape {shape}; allowed is {allowed}, that of the images")
    return TriggerEstimate(*[part.to(tampered.images.device) for part in trigger])
