"""DLP (Ying & Wu 2023): three stages on a tampered set, in their order."""

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..checking import check_fraction, check_int
from ..context import Context
from ..data.split import Split
from ..training.inference import predict
from ..training.stage import Stage
from ..training.supervised import Supervised, supervised
from .base import Result
from .filters import entropy
from .fixmatch import FixMatch, fixmatch
from .selection import Selection, agreement, select, selection_sizes
from .unlearn import Unlearn, unlearn

ORDERS = (("SL",), ("SL", "AU"), ("SL", "ASSFT"), ("SL", "ASSFT", "AU"), ("SL", "AU", "ASSFT"))


@dataclass(frozen=True)
class DLP:
    """DLP: supervised learning, active unlearning, active semi-supervised fine-tuning.

    Threat model: it sees the tampered training set alone; no clean data, no attack, no truth.
    """

    sees: ClassVar[str] = "tampered"
    starts: ClassVar[str] = "untrained"

    gamma: float = 0.01  # filtering rate, a share of the whole set; the paper's
    e1: int = 10  # epochs of supervised learning; the paper's
    e2: int = 20  # epochs of unlearning, at most; the paper's
    order: tuple[str, ...] = ("SL", "AU", "ASSFT")  # or another of ORDERS (Fig. 4)
    # Trusted samples: "per class", n·gamma of every class; "total", n·gamma of all classes;
    # "label_aware": see selection.select. The paper says both of the first two.
    quota: str = "per class"
    # Share of the set, lowest entropy first, that stage 3 does not see; not the paper's
    exclude_easiest: float = 0.0
    supervised: Supervised = field(default_factory=Supervised)
    unlearn: Unlearn = field(default_factory=Unlearn)
    fixmatch: FixMatch = field(default_factory=FixMatch)

    def __post_init__(self):
        check_fraction("gamma", self.gamma)
        check_int("e1", self.e1, 1)
        check_int("e2", self.e2)
        if not 0 <= self.exclude_easiest < 1:
            raise ValueError(
                f"exclude_easiest={self.exclude_easiest}: allowed are 0 ≤ exclude_easiest < 1"
            )
        if self.order not in ORDERS:
            allowed = ", ".join("-".join(order) for order in ORDERS)
            raise ValueError(f"order={self.order}: allowed are {allowed}")

    def run(self, model: nn.Module, tampered: Split, context: Context | None = None) -> Result:
        """Run the stages on a copy of the model.

        Args:
            model: untrained; float images (n, 3, h, w) in [0, 1] to logits (n, classes).
            tampered: the training set.
            context: device, random streams, store and progress; by default the CPU and seed 0.

        Raises:
            ValueError: before any training, for what cannot work.
            Diverged: where stage 1 or stage 3 did not stay finite.
        """
        context = context or Context()
        model = copy.deepcopy(model).to(context.runtime.device)
        tampered = tampered.to(context.runtime.device)
        selection_sizes(tampered, self.gamma, self.quota)
        _expect_classes(model, tampered)
        learned = supervised(model, tampered, self.e1, self.supervised, context).expect_finite()
        logits = learned.logits().to(tampered.images.device)
        suspicion = -entropy(logits)
        selection = select(suspicion, tampered, self.gamma, self.quota)
        stages = {"SL": learned}
        for name in self.order[1:]:
            if name == "AU":
                stages[name] = unlearn(
                    model, tampered, selection.suspected, self.e2, self.unlearn, context
                )
            else:
                stages[name] = self._finetune(model, tampered, suspicion, selection, context)
        return Result(model.eval(), stages, logits, suspicion, selection)

    def _finetune(
        self,
        model: nn.Module,
        tampered: Split,
        suspicion: Tensor,
        selection: Selection,
        context: Context,
    ) -> Stage:
        """Run stage 3, without the samples that ``exclude_easiest`` leaves out."""
        count = int(self.exclude_easiest * len(tampered))
        easiest = suspicion.argsort(descending=True, stable=True)[:count]
        stays = torch.ones_like(tampered.labels, dtype=torch.bool)
        stays[easiest] = False
        stays[selection.trusted] = True
        positions = stays.cumsum(0) - 1  # of the samples that stay, among themselves
        trusted = positions[selection.trusted]
        stage = fixmatch(model, tampered.subset(stays), trusted, self.fixmatch, context)
        return stage.expect_finite()


def _expect_classes(model: nn.Module, tampered: Split) -> None:
    outputs = predict(model, tampered.images[:2]).shape[1]
    if outputs != len(tampered.classes):
        raise ValueError(
            f"the model tells {outputs} classes apart, the tampered set has {len(tampered.classes)}"
        )


def agreed_e1(stage: Stage, tampered: Split, gamma: float, threshold: float = 0.98) -> int | None:
    """Choose E1 as a defender may: the first epoch at which the suspects' agreement lasts.

    The paper does not say how to choose E1; see ``selection.agreement``.

    Args:
        stage: a recorded stage 1.
        tampered: its training set.
        gamma: filtering rate of the suspects.
        threshold: from which agreement on counts.

    Returns:
        The epoch, or None where no epoch reaches the threshold, as it should be without poison.
    """
    suspicions = [-entropy(stage.logits(row["block"])) for row in stage.history]
    lasting = agreement(suspicions, tampered.to("cpu"), gamma) >= threshold
    if not lasting.any():
        return None
    return int(lasting.double().argmax()) + 1
