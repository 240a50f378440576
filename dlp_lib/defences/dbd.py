"""Decoupling-based backdoor defence, DBD (Huang et al. 2022, arXiv:2202.03423)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..checking import check_field, check_fraction, check_int, check_number, check_type
from ..context import Context
from ..data.split import Split
from ..store import Record
from ..training.admission import admit
from ..training.inference import keep_modes, logits_and_features
from ..training.optimiser import SGD
from ..training.stage import Stage, run_task, split_rows
from ..training.steps import Task
from .base import DefenceResult
from .mixmatch import MixMatch, mixmatch
from .selection import expect_share
from .simclr import PROJECTION, SimCLR, simclr

_LOG_ZERO = -4.0  # what stands for log 0 in reverse cross-entropy; A of Wang et al.


@dataclass(frozen=True, kw_only=True)
class SCE(SGD):
    """Settings of stage 2, symmetric cross-entropy (Wang et al. 2019, arXiv:1908.06112)."""

    lr: float = 0.5  # ours: DBD's code takes Adam at 0.002, and the loop here has SGD alone
    weight_decay: float = 0.0  # that of DBD's code, of which Adam has none
    epochs: int = 10  # that of DBD's code
    alpha: float = 0.1  # weight of cross-entropy; that of DBD's code
    beta: float = 1.0  # weight of reverse cross-entropy; that of DBD's code

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "epochs", check_int, 1)
        check_field(self, "alpha", check_number, least=0)
        check_field(self, "beta", check_number, least=0)


@dataclass(frozen=True, kw_only=True)
class DBD:
    """Learn features without labels, then a head with all labels, then all with credible labels.

    The credible samples are chosen one time, as the paper says, from all classes together. (The
    authors' code chooses them anew in every round of MixMatch.) Threat model: it sees the tampered
    training set alone.
    """

    sees: ClassVar[str] = "tampered"
    starts: ClassVar[str] = "untrained"

    trusted: float = 0.5  # share of the set that keeps its labels; the paper's
    simclr: SimCLR = field(default_factory=SimCLR)  # stage 1; see there
    sce: SCE = field(default_factory=SCE)  # stage 2; see there
    mixmatch: MixMatch = field(default_factory=MixMatch)  # stage 3; see there

    def __post_init__(self):
        check_field(self, "trusted", check_fraction)
        check_field(self, "simclr", check_type, SimCLR)
        check_field(self, "sce", check_type, SCE)
        check_field(self, "mixmatch", check_type, MixMatch)

    def run(
        self, model: nn.Module, tampered: Split, context: Context | None = None
    ) -> DefenceResult:
        """Train a copy of the untrained model.

        Raises:
            TypeError: before any work, for a model without ``features`` (n, d) and ``head``.
            ValueError: before any work, where ``trusted`` is not a single sample, and for a model
                that cannot take the images, has other classes, is not its features and its head,
                or has a head without weights to train.
            Diverged: where a stage did not stay finite.
        """
        context = context or Context()
        model, tampered = admit(
            "tampered", model, tampered, context, in_parts=True, has_features=True
        )
        count = expect_share("trusted", self.trusted, len(tampered), leaves=1)
        _expect_trainable_parts(model, tampered.images[:2])
        stages = {}
        stages["SimCLR"] = simclr(model, tampered, self.simclr, context)
        stages["SCE"] = sce(model, tampered, self.sce, context)
        config = self.sce
        logits = logits_and_features(model, tampered.images).logits
        losses = symmetric_cross_entropy(logits, tampered.labels, config.alpha, config.beta)
        trusted = losses.argsort(stable=True)[:count]
        stages["MixMatch"] = mixmatch(model, tampered, trusted, self.mixmatch, context)
        return DefenceResult(model.eval(), stages)


def _expect_trainable_parts(model: nn.Module, images: Tensor) -> None:
    """Check that stage 1 can add its projection, and that stage 2 can train the head."""
    name = type(model).__name__
    if hasattr(model, PROJECTION):
        raise ValueError(f"model: {name} has a part called {PROJECTION}, which stage 1 adds")
    features = logits_and_features(model, images).features
    with keep_modes(model):
        logits = model.eval().head(features)
    if not logits.requires_grad:
        raise ValueError(f"model: the head of {name} has no weight that requires a gradient")


def sce(model: nn.Module, tampered: Split, config: SCE, context: Context) -> Stage:
    """Train ``model.head`` with symmetric cross-entropy, on features that are computed beforehand.

    No gradient reaches the rest of the model, which stays as it is. The images have no
    augmentation; the authors' code has weak views.

    Args:
        model: its head is trained in place.
        tampered: the training set.
        config: learning rate, epochs and the like.
        context: device, random streams, store and progress.

    Raises:
        Diverged: where the loss or a weight did not stay finite.
    """
    features = logits_and_features(model, tampered.images).features
    labels = tampered.labels

    def batches(epoch: int) -> Iterator[tuple[Tensor]]:
        generator = context.runtime.generator("SCE", "order", epoch)
        order = torch.randperm(len(features), generator=generator)
        for rows in split_rows(order, config.batch):
            yield (rows,)

    def loss(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        (rows,) = batch
        logits = model.head(features[rows])
        return symmetric_cross_entropy(logits, labels[rows], config.alpha, config.beta).mean()

    def measure(_: nn.Module, __: int) -> Record:
        return Record({}, {"images": 0})  # no image passes with gradient

    task = Task("SCE", config, batches, loss, measure)
    stage = run_task(task, model, config.epochs, context, images=tampered.images)
    return stage.expect_finite()


def symmetric_cross_entropy(logits: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    """Return alpha·CE + beta·RCE of every sample, in nats (Wang et al. 2019, Eq. 7).

    RCE, reverse cross-entropy, is -sum(p·log(one-hot)), where log 0 is set to -4.

    Args:
        logits: (n, classes).
        labels: (n,).
        alpha: weight of cross-entropy.
        beta: weight of reverse cross-entropy.

    Returns:
        (n,).
    """
    log_probabilities = logits.log_softmax(1)
    log_p = log_probabilities.gather(1, labels[:, None])[:, 0]  # of the label
    p_of_others = 1 - log_p.exp()
    return -alpha * log_p + beta * -_LOG_ZERO * p_of_others
