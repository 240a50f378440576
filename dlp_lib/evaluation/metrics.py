"""Clean accuracy (CA), attack success rate (ASR) and recovered accuracy (RA) of a model."""

from dataclasses import asdict, dataclass

from torch import Tensor, nn

from ..attacks.base import Attack, apply_trigger
from ..attacks.poisoning import Truth
from ..checking import check_type
from ..data.split import Split
from ..models.interface import device_of
from ..training.admission import expect_classes
from ..training.inference import accuracy, collapsed, predict


@dataclass(frozen=True)
class Metrics:
    """Fractions in [0, 1] and the counts behind them; asr and ra are None without an attack."""

    ca: float  # clean accuracy: clean test images predicted as their class
    asr: float | None  # attack success rate: triggered images predicted as the attack wants
    ra: float | None  # recovered accuracy: triggered images predicted as their true class
    n_clean: int  # test images
    n_triggered: int  # test images whose true class is not what the attack wants
    collapsed: bool  # hardly better than one answer for everything: ASR 0 is then no defence
    # By class, the share of its clean test images that are recognised; None: the test set has none
    # of it. Empty in records from before it was measured
    recalls: tuple[float | None, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "recalls", tuple(self.recalls))  # JSON knows lists only

    @property
    def least_recall(self) -> float | None:
        """The recall of the class that is recognised worst; None: it is not known of any."""
        known = [recall for recall in self.recalls if recall is not None]
        return min(known, default=None)

    def recall(self, label: int) -> float | None:
        """Return the recall of a class; None: it is not known."""
        return self.recalls[label] if self.recalls else None

    def forgets(self, label: int) -> bool:
        """Tell whether a class is recognised less than half as often as the others, in the mean.

        CA alone hides this: of ten classes, one that is given up costs ten points at most. A model
        that has collapsed forgets no class in particular.
        """
        recall = self.recall(label)
        others = [
            other
            for other_label, other in enumerate(self.recalls)
            if other_label != label and other is not None
        ]
        if self.collapsed or recall is None or not others:
            return False
        return recall < sum(others) / len(others) / 2


def target_recall(metrics: Metrics, attack: Attack | None) -> float | None:
    """Return the recall of the class that an attacker wants, which CA hides.

    Args:
        metrics: of a model.
        attack: None, or one that wants no single class, has no such recall.
    """
    if attack is None or not isinstance(attack.target, int):
        return None
    return metrics.recall(attack.target)


def as_row(metrics: Metrics, attack: Attack | None) -> dict:
    """Return the fields of Metrics, and "target_recall".

    Args:
        metrics: of a model.
        attack: see ``target_recall``.
    """
    return {**asdict(metrics), "target_recall": target_recall(metrics, attack)}


def evaluate(model: nn.Module, test: Split, attack: Attack | None = None) -> Metrics:
    """Measure CA, every class's recall and, for a known attack, ASR and RA on other classes.

    Args:
        model: left as it is.
        test: a clean test set.
        attack: None: ASR and RA are not measured.

    Raises:
        ValueError: where the test set holds no image of another class than the target, where the
            model has another number of classes, and for a trigger that returns anything but uint8
            images of the same shape.
        TypeError: for arguments of other types, and for a model that returns no logits (n, C).
    """
    check_type("model", model, nn.Module)
    check_type("test", test, Split)
    test = test.to(device_of(model, test.images))
    if attack is not None:
        check_type("attack", attack, Attack)
        goal, victims = _expect_victims(test, attack)
        triggered = apply_trigger(attack, test.images[victims])
    on_clean = predict(model, test.images)
    expect_classes(on_clean, test)
    ca = accuracy(on_clean, test.labels)
    has_collapsed = collapsed(on_clean, test.labels)
    recalls = recall_by_class(on_clean, test.labels, len(test.classes))
    if attack is None:
        return Metrics(ca, None, None, len(test), 0, has_collapsed, recalls)
    on_triggered = predict(model, triggered)
    asr = accuracy(on_triggered, goal[victims])
    ra = accuracy(on_triggered, test.labels[victims])
    return Metrics(ca, asr, ra, len(test), int(victims.sum()), has_collapsed, recalls)


def recall_by_class(logits: Tensor, labels: Tensor, n_classes: int) -> tuple[float | None, ...]:
    """Return the share of each class's samples that are recognised; None for a class without any.

    Args:
        logits: (n, classes).
        labels: (n,).
        n_classes: number of classes.
    """
    hits = logits.argmax(1) == labels
    found = labels[hits].bincount(minlength=n_classes).tolist()
    members = labels.bincount(minlength=n_classes).tolist()
    recalls = []
    for hit, count in zip(found, members, strict=True):
        recalls.append(hit / count if count else None)
    return tuple(recalls)


def _expect_victims(test: Split, attack: Attack) -> tuple[Tensor, Tensor]:
    """Return what triggered test images are to be taken for, and which are of another class."""
    goal = attack.goal(test.labels, len(test.classes))
    victims = goal != test.labels
    if not victims.any():
        raise ValueError(f"target={attack.target}: the test set holds no image of another class")
    return goal, victims


def filter_precision(suspected: Tensor, trusted: Tensor, truth: Truth) -> dict[str, float]:
    """Return the poisoned share of the suspected samples, and the clean share of the trusted.

    Args:
        suspected: indices (m,) into the tampered set.
        trusted: indices (k,) into the tampered set.
        truth: which samples are poisoned.
    """
    poisoned = truth.poisoned.double()
    suspected = suspected.to(poisoned.device)
    trusted = trusted.to(poisoned.device)
    return {
        "suspected": poisoned[suspected].mean().item(),
        "trusted": 1 - poisoned[trusted].mean().item(),
    }
