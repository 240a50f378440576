"""Fine-pruning, FP (Liu, Dolan-Gavitt & Garg 2018, arXiv:1805.12185)."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..checking import check_field, check_fraction, check_type
from ..context import Context
from ..data.split import Split
from ..training.admission import admit
from ..training.inference import accuracy, logits_and_features
from .base import DefenceResult
from .clean import held_out
from .finetuning import Training, finetune


class Pruned(nn.Module):
    """A classifier of whose penultimate features some are always zero."""

    def __init__(self, model: nn.Module, mask: Tensor):
        super().__init__()
        self.model = model
        self.register_buffer("mask", mask)  # (d,) 1 for a feature that stays, else 0

    def features(self, x: Tensor) -> Tensor:
        return self.model.features(x) * self.mask

    def head(self, features: Tensor) -> Tensor:
        return self.model.head(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


@dataclass(frozen=True, kw_only=True)
class FP:
    """Prune the channels that clean images leave silent, then fine-tune.

    A backdoor may use such channels. The penultimate features are the means of the last
    convolution's channels, so that to prune one is to prune the other. Threat model: a trained
    model, and a few clean images.
    """

    sees: ClassVar[str] = "clean"
    starts: ClassVar[str] = "trained"

    allowed: float = 0.04  # by how much pruning may lower validation CA; 4 % is the authors'
    training: Training = field(default_factory=lambda: Training(epochs=20))  # ours

    def __post_init__(self):
        check_field(self, "allowed", check_fraction)
        check_field(self, "training", check_type, Training)

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> DefenceResult:
        """Prune and fine-tune a copy of the model.

        Raises:
            TypeError: before any work, for a model without ``features`` (n, d) and ``head``.
            ValueError: before any work, for fewer than five clean images, and for a model that
                cannot take them, has other classes, or is not its features and its head.
            Diverged: where fine-tuning did not stay finite.
        """
        context = context or Context()
        model, clean = admit("clean", model, clean, context, in_parts=True, has_features=True)
        training, validation = held_out(clean, context)
        activity = logits_and_features(model, training.images).features.mean(0)
        order = activity.argsort(stable=True)
        pruned = Pruned(model, prune(model, order, validation, self.allowed))
        stage = finetune("FP", pruned, training, self.training, context)
        return DefenceResult(pruned.eval(), {"FP": stage})


@torch.no_grad()
def prune(model: nn.Module, order: Tensor, validation: Split, allowed: float) -> Tensor:
    """Return which features stay, (d,): 1 or 0.

    Features go one by one, until the next one would lower validation accuracy too far.

    Args:
        model: with ``features`` and ``head``; left in evaluation mode.
        order: (d,) the features, the first to go first.
        validation: clean images.
        allowed: by how much validation accuracy may fall, a share in (0, 1).
    """
    logits, features = logits_and_features(model.eval(), validation.images)
    least = accuracy(logits, validation.labels) - allowed
    mask = torch.ones_like(features[0])
    for channel in order:
        candidate = mask.index_fill(0, channel, 0)
        pruned_logits = model.head(features * candidate)
        if accuracy(pruned_logits, validation.labels) < least:
            break
        mask = candidate
    return mask
