"""Backdoor attacks, one paper a file, and how they poison a training set."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..data import Split
from ..runtime import fraction
from ..train import Context
from .badnets import BadNets
from .base import Attack
from .blended import Blended
from .lca import LCA
from .sig import SIG
from .trojannn import TrojanNN


class Setting(NamedTuple):
    """An attack, and how much of the training set it takes."""

    attack: Attack
    poisoning_rate: float  # share of the whole set


# The papers' settings, for images of 32×32 and more; clean-label attacks take 80 % of one class in ten.
CIFAR10 = {
    "BadNets": Setting(BadNets(), 0.1),
    "TrojanNN": Setting(TrojanNN(), 0.1),
    "Blended": Setting(Blended(), 0.1),
    "LCA": Setting(LCA(), 0.08),
    "SIG": Setting(SIG(), 0.08),
}
# On images of 16×16 the clean-label attacks must be stronger, and take 90 % of the class, to last: see docs/LOG.md.
SHAPES10 = CIFAR10 | {"LCA": Setting(LCA(patch=5, epsilon=32), 0.09), "SIG": Setting(SIG(delta=60), 0.09)}


def suited(setting: Setting, clean: Split) -> Setting:
    """The setting, a clean-label rate lowered to nine tenths of the target class where it asks for more."""
    if not setting.attack.clean_label:
        return setting
    share = (clean.labels == setting.attack.target).double().mean().item()
    return setting._replace(poisoning_rate=min(setting.poisoning_rate, 0.9 * share))


def settings(dataset: str, clean: Split) -> dict[str, Setting]:
    """The five attacks as they suit a data set: SHAPES10 for "shapes10", the papers' for all others."""
    kinds = SHAPES10 if dataset == "shapes10" else CIFAR10
    return {name: suited(setting, clean) for name, setting in kinds.items()}


@dataclass(frozen=True, eq=False)
class Truth:
    """What the attacker alone knows. Audits and plots take it; no defence ever does."""

    poisoned: Tensor  # (n,) bool
    labels: Tensor  # (n,) int64, before poisoning
    candidates: int  # among how many images they were chosen

    def __str__(self) -> str:
        count, n = int(self.poisoned.sum()), len(self.poisoned)
        return f"{count:,} of {n:,} images poisoned ({count / n:.2%}), out of {self.candidates:,} candidates"


def poison(clean: Split, attack: Attack, poisoning_rate: float, context: Context) -> tuple[Split, Truth]:
    """The tampered set, and the truth about it.

    ``poisoning_rate`` is a share of the whole set. Poison-label attacks take random images of the classes that they
    relabel, clean-label ones random images of the target class. Raises ValueError for a rate that selects no image or
    more than there are (naming the largest possible), settings that do not fit the data, an attack that has not been
    prepared, and a trigger that changes nothing.
    """
    attack.check(clean)
    clean = clean.to(context.runtime.device)
    goal, n = attack.goal(clean.labels, len(clean.classes)), len(clean)
    count = round(fraction("poisoning_rate", poisoning_rate) * n)
    candidates = ((clean.labels == goal) == attack.clean_label).nonzero()[:, 0].cpu()
    if not 0 < count <= len(candidates):
        most = f"{len(candidates)}, so the largest possible rate is {len(candidates) / n:.4g}"
        raise ValueError(f"poisoning_rate={poisoning_rate} selects {count} of {n} images; it can be 1 to {most}")
    order = torch.randperm(len(candidates), generator=context.runtime.generator("poison"))
    rows = candidates[order[:count]].to(clean.images.device)
    tampered = attack.tamper(clean.images[rows], clean.labels[rows], context)
    if torch.equal(tampered, clean.images[rows]):
        raise ValueError(f"{attack} changes no pixel of these images")
    poisoned = torch.zeros_like(clean.labels, dtype=torch.bool).index_fill(0, rows, True)
    images, labels = clean.images.index_copy(0, rows, tampered), clean.labels.where(~poisoned, goal)
    return replace(clean, images=images, labels=labels), Truth(poisoned, clean.labels, len(candidates))


def cover(tampered: Split, truth: Truth, share: float, context: Context) -> tuple[Split, Truth]:
    """The set of an attacker who knows entropy filters: a ``share`` of the poisoned samples has its true label back.

    Such cover samples (Qi et al. 2023, "Revisiting the assumption of latent separability for backdoor defenses") bear
    the trigger without its lesson, so that the model stays in two minds about it. The truth counts them as not
    poisoned. ValueError for a clean-label attack, whose labels are the true ones already.
    """
    rows = truth.poisoned.nonzero()[:, 0]
    if (tampered.labels == truth.labels)[rows].any():
        raise ValueError("cover samples need an attack that changes labels")
    order = torch.randperm(len(rows), generator=context.runtime.generator("cover"))
    kept = rows[order[: round(fraction("share", share) * len(rows))].to(rows.device)]
    labels = tampered.labels.index_copy(0, kept, truth.labels[kept])
    return replace(tampered, labels=labels), replace(truth, poisoned=truth.poisoned.index_fill(0, kept, False))
