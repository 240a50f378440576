"""Fine-Pruning (Liu, Dolan-Gavitt & Garg 2018, arXiv:1805.12185)."""

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..data import Split
from ..metrics import accuracy, observe
from ..pipeline import Defended
from ..runtime import fraction
from ..train import Context
from .base import Training, finetune, held_out

SOURCE = __loader__.get_source(__name__)


class Pruned(nn.Module):
    """A classifier of whose penultimate features some are always zero."""

    def __init__(self, model: nn.Module, kept: Tensor):
        super().__init__()
        self.model = model
        self.register_buffer("kept", kept)  # (d,) 1 or 0

    def features(self, x: Tensor) -> Tensor:
        return self.model.features(x) * self.kept

    def head(self, features: Tensor) -> Tensor:
        return self.model.head(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


@dataclass(frozen=True, kw_only=True)
class FP:
    """Prune the channels that clean images leave silent, since a backdoor may live there; then fine-tune.

    The penultimate features are the means of the last convolution's channels: to prune one is to prune the other.
    Threat model: a trained model, and a few clean images.
    """

    sees: ClassVar[str] = "clean"
    starts: ClassVar[str] = "trained"

    allowed: float = 0.04  # by how much validation CA may drop before pruning stops; the authors' 4 %
    training: Training = field(default_factory=lambda: Training(epochs=20))

    def __post_init__(self):
        fraction("allowed", self.allowed)

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> Defended:
        """Prune and fine-tune a copy; TypeError for a model without ``features`` and ``head``."""
        context = context or Context()
        model, training, validation = copy.deepcopy(model), *held_out(clean, context)
        order = observe(model, training.images).features.mean(0).argsort(stable=True)
        pruned = Pruned(model, prune(model, order, validation, self.allowed))
        stage = finetune("FP", pruned, training, self.training, context)
        return Defended(pruned.eval(), {"FP": stage})


@torch.no_grad()
def prune(model: nn.Module, order: Tensor, validation: Split, allowed: float) -> Tensor:
    """Which features stay (d,), 1 or 0: in that order as many go as cost ``allowed`` of validation CA at most."""
    logits, features = observe(model.eval(), validation.images)
    kept, least = torch.ones_like(features[0]), accuracy(logits, validation.labels) - allowed
    for channel in order:
        without = kept.index_fill(0, channel, 0)
        if accuracy(model.head(features * without), validation.labels) < least:
            break
        kept = without
    return kept
