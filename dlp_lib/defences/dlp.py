"""DLP (Ying & Wu 2023): three stages on a tampered set, in their order."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..checking import (
    check_bool,
    check_choice,
    check_field,
    check_fraction,
    check_int,
    check_number,
    check_type,
    shown,
)
from ..context import Context
from ..data.split import Split
from ..training.admission import admit
from ..training.stage import Stage
from ..training.supervised import Supervised, supervised
from .base import Result
from .bearers import find_bearers
from .filters import entropy
from .fixmatch import FixMatch, fixmatch
from .immunise import estimate_trigger
from .selection import QUOTAS, Selection, count_labels, most_suspicious, select, selection_sizes
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
    # Whether stage 3 does not see the samples that bear the suspects' trigger, where it is clear;
    # see bearers.find_bearers. Then the quota is "half", and classes of few trusted samples count
    # as much as others. Not the paper's
    exclude_bearers: bool = False
    supervised: Supervised = field(default_factory=Supervised)
    unlearn: Unlearn = field(default_factory=Unlearn)
    fixmatch: FixMatch = field(default_factory=FixMatch)

    def __post_init__(self):
        check_field(self, "gamma", check_fraction)
        check_field(self, "e1", check_int, 1)
        check_field(self, "e2", check_int)
        check_field(self, "order", _check_order)
        check_field(self, "quota", check_choice, QUOTAS)
        check_field(self, "exclude_easiest", check_number, least=0, below=1)
        check_field(self, "exclude_bearers", check_bool)
        check_field(self, "supervised", check_type, Supervised)
        check_field(self, "unlearn", check_type, Unlearn)
        check_field(self, "fixmatch", check_type, FixMatch)

    def run(self, model: nn.Module, tampered: Split, context: Context | None = None) -> Result:
        """Run the stages on a copy of the model.

        Args:
            model: untrained; float images (n, 3, h, w) in [0, 1] to logits (n, classes).
            tampered: the training set.
            context: device, random streams, store and progress; by default the CPU and seed 0.

        Raises:
            TypeError: before any work, for arguments of other types.
            ValueError: before any work, for what cannot work. Whether all samples of a class are
                suspected shows only after stage 1.
            Diverged: where stage 1 or stage 3 did not stay finite.
        """
        context = context or Context()
        model, tampered = admit("tampered", model, tampered, context)
        self._expect_sizes(tampered)
        learned = supervised(model, tampered, self.e1, self.supervised, context).expect_finite()
        logits = learned.logits().to(tampered.images.device)
        suspicion = -entropy(logits)
        selection = select(suspicion, tampered, self.gamma, self.quota)
        bearers = selection.suspected[:0]
        if self.exclude_bearers:
            bearers = find_bearers(tampered, selection.suspected).usable(tampered)
            # Without them the set counts as clean, and more of it can be trusted
            quota = "half" if len(bearers) else self.quota
            selection = select(suspicion, tampered, self.gamma, quota, bearers)
        stages = {"SL": learned}
        for name in self.order[1:]:
            if name == "AU":
                stages[name] = unlearn(
                    model, tampered, selection.suspected, self.e2, self.unlearn, context
                )
            else:
                stages[name] = self._finetune(
                    model, tampered, suspicion, selection, bearers, context
                )
        found = bearers if self.exclude_bearers else None
        return Result(model.eval(), stages, logits, suspicion, selection, found)

    def _expect_sizes(self, tampered: Split) -> None:
        """Check that every stage has samples, before any of them runs."""
        _, quota = selection_sizes(tampered, self.gamma, self.quota)
        if "ASSFT" not in self.order:
            return
        members = count_labels(tampered.labels, len(tampered.classes))
        trusted = sum(min(size // 2, quota) for size in members)
        excluded = self._count_easiest(tampered)
        if len(tampered) - trusted - excluded < 1:
            raise ValueError(
                f"exclude_easiest={self.exclude_easiest}: without {excluded} samples of "
                f"{len(tampered)}, and {trusted} to trust, none may be left for stage 3; "
                f"allowed is below {1 - trusted / len(tampered):.3g}"
            )

    def _count_easiest(self, tampered: Split) -> int:
        return int(self.exclude_easiest * len(tampered))

    def _finetune(
        self,
        model: nn.Module,
        tampered: Split,
        suspicion: Tensor,
        selection: Selection,
        bearers: Tensor,
        context: Context,
    ) -> Stage:
        """Run stage 3, without the bearers and the samples that ``exclude_easiest`` leaves out."""
        count = self._count_easiest(tampered)
        easiest = most_suspicious(suspicion, count)
        stays = torch.ones_like(tampered.labels, dtype=torch.bool)
        stays[easiest] = False
        stays[bearers] = False
        stays[selection.trusted] = True
        positions = stays.cumsum(0) - 1  # of the samples that stay, among themselves
        trusted = selection.trusted
        if len(bearers):
            trusted = _balanced(trusted, tampered.labels[trusted])
        trusted = positions[trusted]
        trigger = None
        if self.fixmatch.immunise > 0:
            shown_by = bearers if len(bearers) else selection.suspected
            trigger = estimate_trigger(tampered, shown_by)
        rest = tampered.subset(stays)
        stage = fixmatch(model, rest, trusted, self.fixmatch, context, trigger)
        return stage.expect_finite()


def _balanced(samples: Tensor, labels: Tensor) -> Tensor:
    """Repeat samples (m,) of the classes that have few, so that every label (m,) is as frequent."""
    by_class = [samples[labels == label] for label in labels.unique()]
    most = max(len(own) for own in by_class)
    return torch.cat([own.repeat(most)[:most] for own in by_class])


def _check_order(name: str, order) -> tuple[str, ...]:
    """Return an order of stages as a tuple."""
    if isinstance(order, (tuple, list)) and tuple(order) in ORDERS:
        return tuple(order)
    allowed = ", ".join(str(one) for one in ORDERS)
    raise ValueError(f"{name}={shown(order)}: allowed are {allowed}")
