"""Anti-backdoor learning (Li et al. 2021, arXiv:2110.11571)."""

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data import Split
from ..filters import low_loss, select
from ..metrics import observe
from ..pipeline import Defended
from ..runtime import fraction
from ..stages import Unlearn, unlearn
from ..train import Context
from .base import Training, finetune

SOURCE = __loader__.get_source(__name__)


@dataclass(frozen=True, kw_only=True)
class ABL:
    """Isolate the samples of lowest loss, train on the others, then unlearn those by ascent.

    Threat model: it sees the tampered training set alone.
    """

    sees: ClassVar[str] = "tampered"
    starts: ClassVar[str] = "untrained"

    bound: float = 0.5  # gamma of the paper: a loss below it climbs back up, in nats
    per_sample: bool = False  # the sign of every sample's loss, as Eq. 3 reads; else of the batch's mean, as coded
    isolated: float = 0.01  # share of the set
    isolation: Training = field(default_factory=lambda: Training(lr=0.1, batch=64, epochs=20, augment=False))
    training: Training = field(default_factory=lambda: Training(lr=0.1, batch=64, epochs=60, augment=True, drops=(40,)))
    unlearning: Unlearn = field(default_factory=lambda: Unlearn(lr=5e-4, stop=False))
    unlearn_epochs: int = 5

    def __post_init__(self):
        fraction("isolated", self.isolated)
        if self.bound < 0:
            raise ValueError(f"bound={self.bound}: allowed are losses ≥ 0")

    def run(self, model: nn.Module, tampered: Split, context: Context | None = None) -> Defended:
        """Train a copy of the untrained model."""
        context, model = context or Context(), copy.deepcopy(model)

        def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            losses = functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
            return bounded(losses, self.bound, self.per_sample)

        inputs = (SOURCE, self.bound, self.per_sample)
        stages = {"isolation": finetune("ABL isolation", model, tampered, self.isolation, context, loss, inputs)}
        suspicion = low_loss(observe(model, tampered.images), tampered.labels)
        isolated = select(suspicion, tampered, self.isolated).suspected
        others = torch.ones_like(tampered.labels, dtype=torch.bool).index_fill(0, isolated, False)
        stages["ABL training"] = finetune("ABL training", model, tampered.subset(others), self.training, context)
        stages["AU"] = unlearn(model, tampered, isolated, self.unlearn_epochs, self.unlearning, context)
        return Defended(model.eval(), stages)


def bounded(losses: Tensor, bound: float, per_sample: bool = True) -> Tensor:
    """Local gradient ascent (Eq. 3): sign(loss - bound)·loss, of every sample or of the batch's mean."""
    losses = losses if per_sample else losses.mean()  # then one high loss decides for all
    return (torch.sign(losses - bound) * losses).mean()
