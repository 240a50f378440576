"""Mode connectivity repair, MCR (Zhao et al. 2020, arXiv:2005.00060)."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from ..checking import check_field, check_fraction, check_int, check_type
from ..context import Context
from ..data.split import Split
from ..models.interface import copied, to_float
from ..training.admission import admit
from ..training.stage import Stage, split_rows
from .base import DefenceResult
from .clean import held_out
from .finetuning import Batch, Training, clean_accuracy, finetune

Weights = dict[str, Tensor]  # a model's parameters by name


@dataclass(frozen=True, kw_only=True)
class MCR:
    """Follow a curve of low loss from the model to its fine-tuned copy, and stop in its middle.

    The backdoor is weakest somewhere between the ends, but a defender cannot see where. Of the
    points whose validation CA is within ``allowed`` of the best, we take the one in the middle,
    farthest from both ends. Threat model: a trained model, and a few clean images.
    """

    sees: ClassVar[str] = "clean"
    starts: ClassVar[str] = "trained"

    allowed: float = 0.04  # by how much validation CA may be below the curve's best; ours
    points: int = 19  # of the curve that are tried, evenly spaced, without its ends; ours
    end: Training = field(
        default_factory=lambda: Training(epochs=20)
    )  # of the fine-tuned copy; ours
    curve: Training = field(default_factory=lambda: Training(epochs=100))  # of the bend; ours

    def __post_init__(self):
        check_field(self, "allowed", check_fraction)
        check_field(self, "points", check_int, 1)
        check_field(self, "end", check_type, Training)
        check_field(self, "curve", check_type, Training)

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> DefenceResult:
        """Repair a copy of the model.

        Raises:
            TypeError: before any work, for arguments of other types.
            ValueError: before any work, for fewer than five clean images, and for a model that
                cannot take them or has other classes.
            Diverged: where a stage did not stay finite.
        """
        context = context or Context()
        model, clean = admit("clean", model, clean, context, in_parts=True)
        training, validation = held_out(clean, context)
        start = weights(copied(model))
        fine_tuned = copied(model)
        stages = {"MCR end": finetune("MCR end", fine_tuned, training, self.end, context)}
        end = weights(fine_tuned)
        bend = halfway(start, end, fine_tuned)
        stages["MCR"] = train_bend(bend, start, end, training, self.curve, context)

        def model_at(t: float) -> nn.Module:
            repaired = copied(bend)
            repaired.load_state_dict(bezier(start, end, bend, t), strict=False)
            batches = split_rows(training.images, self.curve.batch)
            update_bn((to_float(images) for images in batches), repaired)
            return repaired.eval()

        accuracies = {}
        for point in range(1, self.points + 1):
            t = point / (self.points + 1)
            accuracies[t] = clean_accuracy(model_at(t), validation)
        best = middle(accuracies, self.allowed)
        return DefenceResult(model_at(best), stages)


def weights(model: nn.Module) -> Weights:
    """Return the model's parameters by name, without gradient; they stay the model's own."""
    return {name: weight.detach() for name, weight in model.named_parameters()}


@torch.no_grad()
def halfway(start: Weights, end: Weights, model: nn.Module) -> nn.Module:
    """Return a copy of the model whose parameters are halfway between the two ends."""
    bend = copied(model)
    for name, weight in bend.named_parameters():
        weight.copy_((start[name] + end[name]) / 2)
    return bend


def train_bend(
    bend: nn.Module,
    start: Weights,
    end: Weights,
    training: Split,
    config: Training,
    context: Context,
) -> Stage:
    """Minimise the loss of a random point of the curve in every step.

    Args:
        bend: trained in place.
        start: parameters at t = 0; they stay as they are.
        end: parameters at t = 1; they stay as they are.
        training: clean images.
        config: learning rate, epochs and the like.
        context: device, random streams, store and progress.
    """

    def loss(bend: nn.Module, batch: Batch) -> Tensor:
        images, labels = batch
        t = torch.rand((), device=labels.device)
        logits = functional_call(bend, bezier(start, end, bend, t), (images,))
        return functional.cross_entropy(logits, labels)

    return finetune("MCR", bend, training, config, context, loss)


def bezier(start: Weights, end: Weights, bend: nn.Module, t: Tensor | float) -> Weights:
    """Return the weights at t of the quadratic curve (1-t)²·start + 2t(1-t)·bend + t²·end.

    Args:
        start: parameters at t = 0.
        end: parameters at t = 1.
        bend: the model to whose parameters the curve is drawn.
        t: in [0, 1].
    """
    point = {}
    for name, weight in bend.named_parameters():
        from_start = (1 - t) ** 2 * start[name]
        from_bend = 2 * t * (1 - t) * weight
        from_end = t**2 * end[name]
        point[name] = from_start + from_bend + from_end
    return point


def middle(accuracies: dict[float, float], allowed: float) -> float:
    """Return the t nearest to ½ of those whose accuracy is within ``allowed`` of the best.

    Args:
        accuracies: validation accuracy by t; of two that are as near, the first counts.
        allowed: a difference of accuracies.
    """
    least = max(accuracies.values()) - allowed
    good_enough = [t for t, accuracy in accuracies.items() if accuracy >= least]
    return min(good_enough, key=_distance_to_half)


def _distance_to_half(t: float) -> float:
    return abs(t - 0.5)
