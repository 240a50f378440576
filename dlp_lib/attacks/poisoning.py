"""Poisoning: a clean training set in, a tampered one and the truth about it out."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checking import check_fraction, check_type
from ..context import Context
from ..data.split import Split
from .base import Attack, expect_images


@dataclass(frozen=True, eq=False)
class Truth:
    """What the attacker alone knows. Audits and figures take it; no defence ever does."""

    poisoned: Tensor  # (n,) bool
    labels: Tensor  # (n,) int64, before poisoning
    candidates: int  # among how many images the poisoned ones were chosen

    def __str__(self) -> str:
        count = int(self.poisoned.sum())
        n = len(self.poisoned)
        share = f"{count:,} of {n:,} images poisoned ({count / n:.2%})"
        return f"{share}, out of {self.candidates:,} candidates"


def poison(
    clean: Split, attack: Attack, poisoning_rate: float, context: Context
) -> tuple[Split, Truth]:
    """Tamper with a training set.

    Poison-label attacks take random images of the classes that they relabel, clean-label attacks
    random images of the target class. Some attacks add decoys, which are drawn from all the other
    images: changed images that keep their labels and do not count as poisoned.

    Args:
        clean: the training set.
        attack: ready to use; see ``prepare``.
        poisoning_rate: how many images, as a share of the whole set.
        context: device and random streams.

    Returns:
        The tampered set, and the truth about it.

    Raises:
        ValueError: for a rate that selects no image or more than there are (naming the largest
            possible rate), for more decoys than there are other images, for settings that do not
            fit the data, for an attack that has not been prepared, and for a trigger that changes
            nothing or returns anything but uint8 images of the same shape.
        TypeError: for arguments of other types.
    """
    check_type("clean", clean, Split)
    check_type("attack", attack, Attack)
    check_type("context", context, Context)
    check_fraction("poisoning_rate", poisoning_rate)
    attack.check(clean)
    clean = clean.to(context.runtime.device)
    goal = attack.goal(clean.labels, len(clean.classes))
    is_candidate = (clean.labels == goal) == attack.clean_label
    candidates = int(is_candidate.sum())
    count = _count_poisoned(poisoning_rate, len(clean), candidates)
    decoys = attack.count_decoys(count)
    if count + decoys > len(clean):
        raise ValueError(
            f"poisoning_rate={poisoning_rate} selects {count} images to poison and {decoys} "
            f"decoys; together they can be up to {len(clean)}"
        )
    rows = _draw(is_candidate, count, "poison", context)
    victims = clean.images[rows]
    tampered = attack.tamper(victims.clone(), clean.labels[rows], context)
    tampered = expect_images(f"{type(attack).__name__}.tamper", tampered, victims)
    if torch.equal(tampered, victims):
        raise ValueError(f"{attack} changes no pixel of these images")
    poisoned = torch.zeros_like(clean.labels, dtype=torch.bool).index_fill(0, rows, True)
    images = clean.images.index_copy(0, rows, tampered)
    if decoys:
        rows = _draw(~poisoned, decoys, "noise", context)
        changed = attack.make_decoys(images[rows], context)
        changed = expect_images(f"{type(attack).__name__}.make_decoys", changed, images[rows])
        images = images.index_copy(0, rows, changed)
    labels = clean.labels.where(~poisoned, goal)
    truth = Truth(poisoned, clean.labels, candidates)
    return replace(clean, images=images, labels=labels), truth


def _count_poisoned(poisoning_rate: float, n: int, candidates: int) -> int:
    """Return how many of n images a rate selects; ValueError where there are not so many."""
    count = round(check_fraction("poisoning_rate", poisoning_rate) * n)
    if not 0 < count <= candidates:
        raise ValueError(
            f"poisoning_rate={poisoning_rate} selects {count} of {n} images; it can be 1 to "
            f"{candidates}, so the largest possible rate is {candidates / n:.4g}"
        )
    return count


def _draw(mask: Tensor, count: int, purpose: str, context: Context) -> Tensor:
    """Draw the indices (count,) of some samples of a mask (n,), from the stream of a purpose."""
    members = mask.nonzero()[:, 0]
    order = torch.randperm(len(members), generator=context.runtime.generator(purpose))
    return members[order[:count].to(members.device)]


def cover(tampered: Split, truth: Truth, share: float, context: Context) -> tuple[Split, Truth]:
    """Give some poisoned samples their true labels back, as an attacker who expects filters does.

    Such cover samples (Qi et al. 2023, "Revisiting the assumption of latent separability for
    backdoor defenses") bear the trigger without its label, so that the model stays unsure about
    it. The truth counts them as not poisoned.

    Args:
        tampered: a poisoned training set.
        truth: about it.
        share: of the poisoned samples, which become cover samples.
        context: random streams.

    Raises:
        ValueError: for a clean-label attack, whose labels are the true ones already.
    """
    is_true = tampered.labels == truth.labels
    if (is_true & truth.poisoned).any():
        raise ValueError("cover samples need an attack that changes labels")
    poisoned = int(truth.poisoned.sum())
    count = round(check_fraction("share", share) * poisoned)
    covers = _draw(truth.poisoned, count, "cover", context)
    labels = tampered.labels.index_copy(0, covers, truth.labels[covers])
    poisoned = truth.poisoned.index_fill(0, covers, False)
    return replace(tampered, labels=labels), replace(truth, poisoned=poisoned)
