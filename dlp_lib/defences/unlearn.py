"""Active unlearning: DLP's second stage, gradient ascent on the suspected samples."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..checking import check_bool, check_choice, check_field, check_int, check_type
from ..context import Context
from ..data.split import Split
from ..store import Record
from ..training.admission import admit_in_place, expect_indices
from ..training.batchnorm import with_reestimated_batchnorm
from ..training.inference import accuracy, collapsed, predict
from ..training.optimiser import SGD
from ..training.stage import Drawn, Stage, cross_entropy, draw_epoch, gather, run_task
from ..training.steps import Task


@dataclass(frozen=True, kw_only=True)
class Unlearn(SGD):
    """Settings of stage 2.

    The paper's learning rate of 0.01 destroys a small model within epochs; 0.001 to 0.005 is
    gentler.
    """

    weight_decay: float = 0.0  # Eq. 6 has none
    batchnorm: str = "train"  # "eval" keeps the statistics of stage 1, and diverges sooner
    # Tampered images on which batch-norm is re-estimated before an epoch is judged; not the paper's
    reestimate: int = 4000
    # Go on from the first epoch at which the suspects are seen at chance; False: from E2
    stop: bool = True

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "batchnorm", check_choice, ("train", "eval"))
        check_field(self, "reestimate", check_int, 2)
        check_field(self, "stop", check_bool)


def unlearn(
    model: nn.Module,
    tampered: Split,
    suspected: Tensor,
    epochs: int,
    config: Unlearn,
    context: Context,
) -> Stage:
    """Maximise cross-entropy on the suspected samples (Eq. 6), recording the whole ascent.

    In training mode batch-norm hides what the ascent does: its running statistics are soon those
    of the suspects alone. So every epoch is judged, and the model left, with statistics that were
    re-estimated on tampered images. The model is left at the first epoch where the suspects'
    accuracy is then at chance, which a defender can see. Where there is none, and without
    ``stop``, it is left at the last epoch.

    Args:
        model: trained in place, on the context's device.
        tampered: the training set.
        suspected: indices (m,) of the suspected samples.
        epochs: E2 of the paper, at most.
        config: learning rate and the like.
        context: device, random streams, store and progress.

    Returns:
        The stage. Its History has the suspects' "accuracy" as the ascent left batch-norm and
        "accuracy_reestimated", the accuracy on the tampered images ("accuracy_sample"), and
        whether the model has "collapsed" on them.

    Raises:
        TypeError: before any work, for arguments of other types, and for a model that returns no
            logits (n, C).
        ValueError: before any work, where there is no suspect, and for a model that cannot take
            the images, has another number of classes, or has no weight to train.
    """
    epochs = check_int("epochs", epochs)
    check_type("config", config, Unlearn)
    tampered = admit_in_place("tampered", model, tampered, context)
    expect_indices("suspected", suspected, len(tampered))
    suspects = tampered.subset(suspected)
    sample = _sample(tampered, config.reestimate, context)

    def batches(epoch: int) -> Iterator[Drawn]:
        order = context.runtime.generator("AU", "order", epoch)
        return draw_epoch(suspects, config.batch, order)

    def loss(model: nn.Module, drawn: Drawn) -> Tensor:
        return -cross_entropy(model, gather(suspects, drawn))

    def measure(ascended: nn.Module, _: int) -> Record:
        judged = with_reestimated_batchnorm(ascended, sample.images)
        logits = predict(ascended, suspects.images)
        logits_reestimated = predict(judged, suspects.images)
        logits_sample = predict(judged, sample.images)
        facts = {
            "images": len(suspects),
            "accuracy": accuracy(logits, suspects.labels),
            "accuracy_reestimated": accuracy(logits_reestimated, suspects.labels),
            "accuracy_sample": accuracy(logits_sample, sample.labels),
            "collapsed": collapsed(logits_sample, sample.labels),
        }
        tensors = {f"reestimated.{name}": value for name, value in judged.named_buffers()}
        return Record(tensors, facts)

    is_frozen = config.batchnorm == "eval"
    task = Task("AU", config, batches, loss, measure, frozen=is_frozen)
    stage = run_task(task, model, epochs, context, images=tampered.images)
    stage = replace(stage, selected_block=_stop(stage, tampered, config), reestimated=True)
    stage.load(model)
    return stage


def _sample(tampered: Split, count: int, context: Context) -> Split:
    order = torch.randperm(len(tampered), generator=context.runtime.generator("AU", "reestimate"))
    return tampered.subset(order[:count].to(tampered.images.device))


def _stop(stage: Stage, tampered: Split, config: Unlearn) -> int:
    """Return the first epoch at which the suspects are at chance, or else the last epoch."""
    chance = 1 / len(tampered.classes)
    if config.stop:
        for row in stage.history:
            if row["accuracy_reestimated"] <= chance:
                return row["block"]
    return stage.selected_block
