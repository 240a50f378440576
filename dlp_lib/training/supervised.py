"""Supervised learning: DLP's first stage, and how every undefended model is trained."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..checking import check_bool, check_field, check_int, check_type
from ..context import Context
from ..data.split import Split
from ..store import Record
from .admission import admit_in_place, expect_indices
from .inference import accuracy, predict
from .optimiser import SGD
from .stage import Drawn, Stage, cross_entropy, draw_epoch, gather, run_task
from .steps import Task


@dataclass(frozen=True, kw_only=True)
class Supervised(SGD):
    """Settings of stage 1.

    Without augmentation the trigger stays in place. What that does to the gap between clean and
    poisoned samples is in docs/LOG.md.
    """

    augment: bool = False  # flip and crop; the paper does not say

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "augment", check_bool)


def supervised(
    model: nn.Module,
    tampered: Split,
    epochs: int,
    config: Supervised,
    context: Context,
    probe: Tensor | None = None,
) -> Stage:
    """Minimise cross-entropy on the whole tampered set (Eq. 3).

    Every epoch records the logits of all samples: "logits" (n, classes).

    Args:
        model: trained in place, on the context's device.
        tampered: the training set.
        epochs: E1 of the paper.
        config: learning rate and the like.
        context: device, random streams, store and progress.
        probe: indices (m,) of samples to watch before every single step as well. Each epoch then
            records "steps" (steps, m, classes).

    Returns:
        The stage; its History has the column "accuracy", of all samples after the epoch.

    Raises:
        TypeError: before any work, for arguments of other types, and for a model that returns no
            logits (n, C).
        ValueError: before any work, for a model that cannot take the images, has another number of
            classes, or has no weight to train.
    """
    epochs = check_int("epochs", epochs)
    check_type("config", config, Supervised)
    tampered = admit_in_place("tampered", model, tampered, context)
    if probe is not None:
        expect_indices("probe", probe, len(tampered))
    watched: list[Tensor] = []  # logits of the probe, a step each

    def watch(model: nn.Module) -> None:
        watched.append(predict(model, tampered.images[probe]))

    def batches(epoch: int) -> Iterator[Drawn]:
        order = context.runtime.generator("SL", "order", epoch)
        views = context.runtime.generator("SL", "augment", epoch) if config.augment else None
        return draw_epoch(tampered, config.batch, order, views)

    def loss(model: nn.Module, drawn: Drawn) -> Tensor:
        return cross_entropy(model, gather(tampered, drawn))

    def measure(model: nn.Module, _: int) -> Record:
        logits = predict(model, tampered.images)
        tensors = {"logits": logits}
        if watched:
            tensors["steps"] = torch.stack(watched)
            watched.clear()
        hits = accuracy(logits, tampered.labels)
        return Record(tensors, {"accuracy": hits, "images": len(tampered)})

    watch_probe = None if probe is None else watch
    task = Task("SL", config, batches, loss, measure, watch=watch_probe)
    return run_task(task, model, epochs, context, images=tampered.images)
