"""Anti-backdoor learning, ABL (Li et al. 2021, arXiv:2110.11571)."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_bool, check_field, check_fraction, check_int, check_number, check_type
from ..context import Context
from ..data.split import Split
from ..training.admission import admit
from ..training.inference import predict
from ..training.stage import Stage
from .base import Result
from .filters import sample_losses
from .finetuning import Batch, Training, finetune
from .selection import Selection, expect_share, most_suspicious
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
        check_field(self, "bound", check_number, least=0)
        check_field(self, "per_sample", check_bool)
        check_field(self, "isolated", check_fraction)
        check_field(self, "isolation", check_type, Training)
        check_field(self, "training", check_type, Training)
        check_field(self, "unlearning", check_type, Unlearn)
        check_field(self, "unlearn_epochs", check_int)

    def run(self, model: nn.Module, tampered: Split, context: Context | None = None) -> Result:
        """Train a copy of the untrained model.

        Its selection suspects the isolated samples. It trusts none.

        Raises:
            TypeError: before any work, for arguments of other types.
            ValueError: before any work, where ``isolated`` is not a single sample or leaves fewer
                than two, and for a model that cannot take the images or has other classes.
            Diverged: where a stage before the ascent did not stay finite.
        """
        context = context or Context()
        model, tampered = admit("tampered", model, tampered, context)
        count = expect_share("isolated", self.isolated, len(tampered), leaves=2)
        stages = {}
        stages["isolation"] = self._isolate(model, tampered, context)
        logits = predict(model, tampered.images)
        suspicion = -sample_losses(logits, tampered.labels)
        isolated = most_suspicious(suspicion, count)
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
        return Result(model.eval(), stages, logits, suspicion, selection)

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
