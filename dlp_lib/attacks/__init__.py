"""Backdoor attacks: what one must offer, and how it poisons a training set."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..data import Split
from ..runtime import Runtime, fraction
from .badnets import BadNets
from .blended import Blended


class Attack(Protocol):
    """An all-to-one attack: a frozen dataclass of settings."""

    target: int  # the class that triggered images are to be taken for
    clean_label: bool  # True: it poisons images of the target class and changes no label

    def trigger(self, images: Tensor) -> Tensor: ...  # uint8 (n, 3, h, w), with the trigger as at test time


ATTACKS = {kind.__name__: kind for kind in (BadNets, Blended)}


@dataclass(frozen=True, eq=False)
class Truth:
    """What the attacker alone knows. Audits and plots take it; no defence ever does."""

    poisoned: Tensor  # (n,) bool
    labels: Tensor  # (n,) int64, before poisoning


def poison(clean: Split, attack: Attack, poisoning_rate: float, runtime: Runtime) -> tuple[Split, Truth]:
    """The tampered set, and the truth about it.

    ``poisoning_rate`` is a share of the whole set. Poison-label attacks take random images of the other classes and
    relabel them as the target; clean-label ones take random images of the target class. Raises ValueError for a rate
    that selects no image or more than there are (naming the largest possible), and a target outside the classes.
    """
    check_target(attack, len(clean.classes))
    n = len(clean)
    count = round(fraction("poisoning_rate", poisoning_rate) * n)
    candidates = ((clean.labels == attack.target) == attack.clean_label).nonzero()[:, 0].cpu()
    if not 0 < count <= len(candidates):
        most = f"{len(candidates)}, so the largest possible rate is {len(candidates) / n:.4g}"
        raise ValueError(f"poisoning_rate={poisoning_rate} selects {count} of {n} images; it can be 1 to {most}")
    order = torch.randperm(len(candidates), generator=runtime.generator("poison"))
    rows = candidates[order[:count]].to(clean.images.device)
    poisoned = torch.zeros_like(clean.labels, dtype=torch.bool).index_fill(0, rows, True)
    images = clean.images.index_copy(0, rows, attack.trigger(clean.images[rows]))
    labels = clean.labels.index_fill(0, rows, attack.target)
    return replace(clean, images=images, labels=labels), Truth(poisoned, clean.labels)


def check_target(attack: Attack, n_classes: int) -> None:
    """ValueError where the target is not one of the classes."""
    if attack.target not in range(n_classes):
        raise ValueError(f"target={attack.target}: allowed are the classes 0 to {n_classes - 1}")
