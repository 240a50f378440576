"""Anti-backdoor learning, ABL (Li et al. 2021, arXiv:2110.11571)."""

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_fraction, check_int
from ..context import Context
from ..data.split import Split
from ..training.inference import logits_and_features
from ..training.stage import Stage
from .base import Result
from .filters import low_loss
from .finetuning import Batch, Training, finetune
from .selection import Selection, share_size
from .unlearn import Unlearn, unlearn


@dataclass(frozen=True, kw_only=True)
class ABL:
    """Isolate the samples of lowest loss, train on the others, then unlearn the isolated ones.

    Threat model: it sees the tampered training set alone.
    """

    sees: ClassVar[str] = "tampered"
    starts: ClassVar[str] = "untrained"

    bound: float = 0.5  # gamma of the paper, in nats: a loss below it is raised; the paper's
    # True: each sample's loss has its own sign, as in Eq. 3. False: the batch's mean loss has one
    # sign, as in the authors' code
    per_sample: bool = False
    isolated: float = 0.01  # share of the set that is isolated and unlearned; the paper's
    # Learning rate and batch are those of the authors' code, the epochs are the paper's. Without
    # augmentation, since the paper does not say
    isolation: Training = field(
        default_factory=lambda: Training(lr=0.1, batch=64, epochs=20, augment=False)
    )
    # Learning rate, batch and epochs are those of the authors' code. The drop is not
    training: Training = field(
        default_factory=lambda: Training(lr=0.1, batch=64, epochs=60, augment=True, drops=(40,))
    )
    # The learning rate is that of the authors' code, which has no criterion to stop
    unlearning: Unlearn = field(default_factory=lambda: Unlearn(lr=5e-4, stop=False))
    unlearn_epochs: int = 5  # that of the authors' code

    def __post_init__(self):
        check_fraction("isolated", self.isolated)
        check_int("unlearn_epochs", self.unlearn_epochs)
        if self.bound < 0:
            raise ValueError(f"bound={self.bound}: allowed are losses ≥ 0")

    def run(self, model: nn.Module, tampered: Split, context: Context | None = None) -> Result:
        """Train a copy of the untrained model.

        Its selection suspects the isolated samples. It trusts none.

        Raises:
            ValueError: before any training, where ``isolated`` is not a single sample.
            Diverged: where a stage before the ascent did not stay finite.
        """
        context = context or Context()
        model = copy.deepcopy(model)
        n = len(tampered)
        count = share_size("isolated", self.isolated, n)
        if count == 0:
            raise ValueError(
                f"isolated={self.isolated}: no sample of {n}; allowed is at least {1 / n:.3g}"
            )
        stages = {}
        stages["isolation"] = self._isolate(model, tampered, context)
        outputs = logits_and_features(model, tampered.images)
        suspicion = low_loss(outputs, tampered.labels)
        isolated = suspicion.argsort(descending=True, stable=True)[:count]
        is_other = torch.ones_like(tampered.labels, dtype=torch.bool)
        is_other[isolated] = False
        others = tampered.subset(is_other)
        stages["ABL training"] = finetune("ABL training", model, others, self.training, context)
        stages["AU"] = unlearn(
            model, tampered, isolated, self.unlearn_epochs, self.unlearning, context
        )
        nothing = isolated[:0]
        quotas = (0,) * len(tampered.classes)
        selection = Selection(isolated, nothing, quotas, shortfall=False)
        return Result(model.eval(), stages, outputs.logits, suspicion, selection)

    def _isolate(self, model: nn.Module, tampered: Split, context: Context) -> Stage:
        """Train with local gradient ascent, which keeps the losses of clean samples apart."""
        bound = self.bound
        per_sample = self.per_sample

        def loss(model: nn.Module, batch: Batch) -> Tensor:
            images, labels = batch
            losses = functional.cross_entropy(model(images), labels, reduction="none")
            return bounded(losses, bound, per_sample)

        return finetune("ABL isolation", model, tampered, self.isolation, context, loss)


def bounded(losses: Tensor, bound: float, per_sample: bool = True) -> Tensor:
    """Return the loss of local gradient ascent (Eq. 3): sign(loss - bound)·loss.

    Args:
        losses: (n,) of the samples, in nats.
        bound: below it, a loss is raised.
        per_sample: False: the mean of the losses has one sign, so that one high loss decides.
    """
    if not per_sample:
        losses = losses.mean()
    return (torch.sign(losses - bound) * losses).mean()
