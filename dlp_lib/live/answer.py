"""What the live lab knows about a setting: plain data, from which figures and words are made."""

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from ..data import Split
from ..defences import Selection, entropy
from ..evaluation import as_row, measure_checkpoint
from ..experiments import Scenario
from ..training import Checkpoints, accuracy
from .setting import LabSetting


class Agreement(NamedTuple):
    """What a defender sees of the suspects' labels."""

    label: str  # the class that most suspects carry
    share: float  # of the suspects, that carry it


@dataclass(frozen=True, eq=False)
class Answer:
    """What is known about a setting so far. None, and what is empty, is not known yet."""

    setting: LabSetting
    scenario: Scenario | None = None
    # Training accuracy per epoch: "all" is visible; "clean" and "poisoned" are the truth
    gap: dict[str, list[float]] = field(default_factory=dict)
    entropy: Tensor | None = None  # (n,) bits, after E1
    selection: Selection | None = None
    precision: dict[str, float] = field(default_factory=dict)  # the truth
    agreement: Agreement | None = None  # visible
    # A row an epoch of unlearning: the suspects' accuracy is visible; the others are the truth
    ascent: list[dict] = field(default_factory=list)
    # ca, asr, ra and target_recall after each: the truth
    stages: dict[str, dict] = field(default_factory=dict)


class LearnedEpoch(NamedTuple):
    """What the page shows of an epoch of supervised learning."""

    entropy: Tensor  # (n,) bits
    accuracy: float  # on all training samples
    accuracy_clean: float
    accuracy_poisoned: float


def learned_epoch(logits: Tensor, scenario: Scenario) -> LearnedEpoch:
    labels = scenario.tampered.labels
    poisoned = scenario.truth.poisoned
    logits = logits.to(labels.device)
    return LearnedEpoch(
        entropy(logits),
        accuracy(logits, labels),
        accuracy(logits, labels, ~poisoned),
        accuracy(logits, labels, poisoned),
    )


def training_curves(learned: list[LearnedEpoch]) -> dict[str, list[float]]:
    """Return training accuracy by epoch, of all samples and of the two parts."""
    if not learned:
        return {}
    return {
        "all": [epoch.accuracy for epoch in learned],
        "clean": [epoch.accuracy_clean for epoch in learned],
        "poisoned": [epoch.accuracy_poisoned for epoch in learned],
    }


def agreement(tampered: Split, suspected: Tensor) -> Agreement:
    counts = tampered.labels[suspected].bincount(minlength=len(tampered.classes))
    label = tampered.classes[int(counts.argmax())]
    return Agreement(label, counts.max().item() / len(suspected))


def measured(
    scenario: Scenario, checkpoints: Checkpoints, block: int, reestimated: bool = False
) -> dict:
    """Return the fields of Metrics of recorded weights, and the target's recall."""
    model = scenario.untrained()
    metrics = measure_checkpoint(
        checkpoints, block, model, scenario.test, scenario.attack, reestimated
    )
    return as_row(metrics, scenario.attack)
