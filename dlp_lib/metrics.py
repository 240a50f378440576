"""What a model does: clean accuracy, attack success rate, recovered accuracy, collapse."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .attacks import Attack, Truth
from .data import Split
from .models import expect_features, pixels
from .runtime import keep_freed_memory

SOURCE = __loader__.get_source(__name__)
_BATCH = 256  # scores do not depend on it; larger ones fall out of the CPU's caches


@dataclass(frozen=True)
class Metrics:
    """Fractions in [0, 1] and the counts behind them; asr and ra are None where no attack is known."""

    ca: float  # clean accuracy: clean test images predicted as their class
    asr: float | None  # attack success rate: triggered images predicted as the attack wants
    ra: float | None  # recovered accuracy: triggered images predicted as their true class
    n_clean: int
    n_triggered: int  # test images whose true class is not what the attack wants
    collapsed: bool  # hardly better than one answer for everything: ASR 0 is then no defence


class Outputs(NamedTuple):
    """What one pass over images tells, in their order; float32."""

    logits: Tensor  # (n, classes)
    features: Tensor  # (n, d), of the penultimate layer


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (n, classes), float32, of uint8 images, in their order and in evaluation mode."""
    return torch.cat(_evaluated(model, images, model)).float()


def observe(model: nn.Module, images: Tensor) -> Outputs:
    """Logits and penultimate features of uint8 images in one pass; TypeError for a model that does not offer them."""
    expect_features(model)

    def both(images: Tensor) -> tuple[Tensor, Tensor]:
        features = model.features(images)
        return model.head(features), features

    logits, features = zip(*_evaluated(model, images, both), strict=True)
    return Outputs(torch.cat(logits).float(), torch.cat(features).float())


@torch.inference_mode()
def _evaluated(model: nn.Module, images: Tensor, function: Callable) -> list:
    """The function of every batch, the model in evaluation mode meanwhile."""
    keep_freed_memory()
    training = model.training
    model.eval()
    parts = [function(pixels(batch)) for batch in images.split(_BATCH)]
    model.train(training)
    return parts


def accuracy(logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> float:
    """Share of the samples (of those in ``mask``) whose largest logit is their label."""
    hits = (logits.argmax(1) == labels).double()
    return (hits if mask is None else hits[mask]).mean().item()


def evaluate(model: nn.Module, test: Split, attack: Attack | None = None) -> Metrics:
    """CA and, for a known attack, ASR and RA on triggered images of the other classes; ValueError if there are none."""
    test = test.to(next(model.parameters()).device)
    on_clean = predict(model, test.images)
    ca = accuracy(on_clean, test.labels)
    asr = ra = None
    victims = torch.zeros_like(test.labels, dtype=torch.bool)
    if attack is not None:
        goal = attack.goal(test.labels, len(test.classes))
        victims = goal != test.labels
        if not victims.any():
            raise ValueError(f"target={attack.target}: the test set holds no image of another class")
        logits = predict(model, attack.trigger(test.images[victims]))
        asr = accuracy(logits, goal[victims])
        ra = accuracy(logits, test.labels[victims])
    return Metrics(ca, asr, ra, len(test), int(victims.sum()), collapsed(on_clean, test.labels))


def collapsed(logits: Tensor, labels: Tensor) -> bool:
    """Whether the mean accuracy of the classes is within 5 points of what one answer for everything would have.

    The mean of the classes, because poison and imbalance make one label frequent: repeating it is no skill.
    """
    classes = labels.unique()
    mean = sum(accuracy(logits, labels, labels == label) for label in classes) / len(classes)
    return mean < 1 / len(classes) + 0.05


def filter_precision(suspected: Tensor, trusted: Tensor, truth: Truth) -> dict[str, float]:
    """Share of the suspected samples that are poisoned, and of the trusted ones that are clean."""
    poisoned = truth.poisoned.double()
    return {"suspected": poisoned[suspected].mean().item(), "trusted": 1 - poisoned[trusted].mean().item()}
