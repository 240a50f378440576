"""DLP: the stages in their order, and what a teacher may look at afterwards."""

import copy
import itertools
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from .attacks import Attack
from .data import Split
from .filters import Selection, agreement, entropy, select, sizes
from .metrics import Metrics, evaluate, predict
from .runtime import fraction, whole
from .stages import FixMatch, Stage, Supervised, Unlearn, fixmatch, supervised, unlearn
from .store import digest
from .train import Context, Trail

ORDERS = (("SL",), ("SL", "AU"), ("SL", "ASSFT"), ("SL", "ASSFT", "AU"), ("SL", "AU", "ASSFT"))


@dataclass(frozen=True)
class Defended:
    """What every defence comes to: a model, and the stages that led to it."""

    model: nn.Module
    stages: dict[str, Stage]

    def total(self, column: str) -> float:
        """Sum over the stages: "images" (passes with gradient) or "seconds" (when they were first computed)."""
        return sum(stage.total(column) for stage in self.stages.values())


class Defence(Protocol):
    """A defence says whom it trusts: what data it needs, and what model."""

    sees: ClassVar[str]  # "tampered": the training set as it is; "clean": some held-out images that are known as clean
    starts: ClassVar[str]  # from a model that is "untrained", or one that was "trained" on the tampered set

    def run(self, model: nn.Module, data: Split, context: Context | None = None) -> Defended:
        """Defend a copy of the model, on the data that it sees; ValueError, before any work, for what cannot work."""


@dataclass(frozen=True)
class Result(Defended):
    """And everything that a defender saw on the way."""

    logits: Tensor  # (n, classes) of every tampered sample, after stage 1
    selection: Selection


@dataclass(frozen=True)
class DLP:
    """DLP (Ying & Wu 2023). Threat model: it sees the tampered training set alone; no clean data, attack or truth."""

    sees: ClassVar[str] = "tampered"
    starts: ClassVar[str] = "untrained"

    gamma: float = 0.01  # filtering rate, a share of the whole set
    e1: int = 10  # epochs of supervised learning
    e2: int = 20  # epochs of unlearning, at most
    order: tuple[str, ...] = ("SL", "AU", "ASSFT")  # or another of ORDERS (Fig. 4)
    quota: str = "per class"  # of trusted samples: n·gamma of every class; "total" of all; "wary": see filters.select
    set_aside: float = 0.0  # share of the set, lowest entropy first, that stage 3 does not see; not the paper's
    supervised: Supervised = field(default_factory=Supervised)
    unlearn: Unlearn = field(default_factory=Unlearn)
    fixmatch: FixMatch = field(default_factory=FixMatch)

    def __post_init__(self):
        fraction("gamma", self.gamma)
        whole("e1", self.e1, 1)
        whole("e2", self.e2)
        if not 0 <= self.set_aside < 1:
            raise ValueError(f"set_aside={self.set_aside}: allowed are 0 ≤ set_aside < 1")
        if self.order not in ORDERS:
            raise ValueError(f"order={self.order}: allowed are {', '.join('-'.join(order) for order in ORDERS)}")

    def run(self, model: nn.Module, tampered: Split, context: Context | None = None) -> Result:
        """Run the stages on a copy of the model; ValueError, before any training, for what cannot work."""
        context = context or Context()
        model = copy.deepcopy(model).to(context.runtime.device)
        tampered = tampered.to(context.runtime.device)
        sizes(tampered, self.gamma, self.quota)
        outputs = predict(model, tampered.images[:2]).shape[1]
        if outputs != len(tampered.classes):
            raise ValueError(f"the model tells {outputs} classes apart, the tampered set has {len(tampered.classes)}")
        stages = {"SL": supervised(model, tampered, self.e1, self.supervised, context)}
        logits = stages["SL"].trail.read(stages["SL"].chosen).tensors["logits"].to(tampered.images.device)
        suspicion = -entropy(logits)
        selection = select(suspicion, tampered, self.gamma, self.quota)
        for name in self.order[1:]:
            if name == "AU":
                stages[name] = unlearn(model, tampered, selection.suspected, self.e2, self.unlearn, context)
            else:
                aside = suspicion.argsort(descending=True, stable=True)[: int(self.set_aside * len(tampered))]
                kept = torch.ones_like(tampered.labels, dtype=torch.bool)
                kept[aside], kept[selection.trusted] = False, True
                trusted = (kept.cumsum(0) - 1)[selection.trusted]  # where they are among those kept
                stages[name] = fixmatch(model, tampered.subset(kept), trusted, self.fixmatch, context)
        return Result(model.eval(), stages, logits, selection)


def agreed_e1(stage: Stage, tampered: Split, gamma: float, threshold: float = 0.98) -> int | None:
    """E1 as a defender may choose it: the first epoch of a recorded stage 1 at which the suspects' agreement lasts.

    Not the paper's, which does not say how to choose; see ``filters.agreement``. None where no epoch reaches the
    ``threshold``, as it should be without poison.
    """
    epochs = range(1, len(stage.history) + 1)
    suspicions = [-entropy(stage.trail.read(epoch).tensors["logits"]) for epoch in epochs]
    lasting = agreement(suspicions, tampered.to("cpu"), gamma) >= threshold
    return int(lasting.double().argmax()) + 1 if lasting.any() else None


# For the embedded set, which is small and quick to learn; how they were found stands in docs/LOG.md.
SHAPES10 = DLP(gamma=0.02, e1=4, unlearn=Unlearn(lr=0.005, reestimate=1000), fixmatch=FixMatch(mu=3, steps=360))


def measure(
    trail: Trail, block: int, model: nn.Module, test: Split, attack: Attack | None = None, reestimated: bool = False
) -> Metrics:
    """CA, ASR and RA of recorded weights, as ``evaluate`` tells them, and recorded as well: never for a choice.

    ``model``: any of the same architecture and size, which is left alone.
    """
    test = test.to(next(model.parameters()).device)
    sent = None if attack is None else (attack.trigger(test.images), attack.goal(test.labels, len(test.classes)))
    name = f"{trail.name}/measured-{digest(block, reestimated, test.digest, sent)}"
    record = trail.store.read(name)
    if record is None:
        model = copy.deepcopy(model)
        trail.load(model, block, reestimated)
        record = trail.store.write(name, {}, asdict(evaluate(model, test, attack)))
    return Metrics(**record.facts)


def after_each(result: Defended, test: Split, attack: Attack | None = None) -> dict[str, Metrics]:
    """CA, ASR and RA of the weights that each stage left: never for a choice."""
    measured: dict[str, Metrics] = {}
    for name, stage in result.stages.items():
        if stage.chosen:
            last = measure(stage.trail, stage.chosen, result.model, test, attack, reestimated=name == "AU")
        measured[name] = last  # where a stage did nothing, what the one before it left
    return measured


def audit(
    stage: Stage, model: nn.Module, test: Split, attack: Attack | None, blocks: range | list, views=(False, True)
) -> list[dict]:
    """CA, ASR and RA at recorded blocks: never for a choice.

    ``views``: of unlearning, whether batch-norm is re-estimated (True), or as the ascent left it (False), or both.
    """
    rows = []
    for block, reestimated in itertools.product(blocks, views if stage.name == "AU" else (False,)):
        metrics = measure(stage.trail, block, model, test, attack, reestimated)
        rows.append({"block": block, "reestimated": reestimated, **asdict(metrics)})
    return rows
