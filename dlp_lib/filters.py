"""Which samples look poisoned, and which can be trusted: a score each, and a cut through it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .data import Split
from .runtime import fraction


def entropy(logits: Tensor) -> Tensor:
    """Predictive entropy in bits, 0 to log2(classes), of logits (n, classes); DLP, Eq. 5."""
    log_p = logits.double().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1).div_(math.log(2)).float()


@dataclass(frozen=True, eq=False)
class Selection:
    """The two cuts through a score, as indices into the tampered set."""

    suspected: Tensor  # D'_p: the n·gamma most suspicious samples, the worst first
    trusted: Tensor  # D'_c: the least suspicious of every class
    quotas: tuple[int, ...]  # trusted samples of each class
    cut: bool  # True where some class was too small for what gamma asks of it


def select(suspicion: Tensor, tampered: Split, gamma: float, quota: str = "per class") -> Selection:
    """The n·gamma most suspicious samples and, of the others, each class's least suspicious, as :func:`sizes` has it.

    ``suspicion`` (n,): a score per sample in the set's order, higher = more suspicious; of equals, the earlier sample.
    """
    n_suspected, asked = sizes(tampered, gamma, quota)
    order = suspicion.argsort(descending=True, stable=True)
    suspected, rest = order[:n_suspected], order[n_suspected:]
    labels, trusted = tampered.labels[rest], []
    for label, members in enumerate(tampered.labels.bincount(minlength=len(tampered.classes)).tolist()):
        trusted.append(rest[labels == label][-min(asked, members // 2) :])
        if not len(trusted[-1]):
            raise ValueError(f"gamma={gamma}: all of class {tampered.classes[label]!r} is suspected, none to trust")
    quotas = tuple(map(len, trusted))
    return Selection(suspected, torch.cat(trusted), quotas, cut=min(quotas) < asked)


def sizes(tampered: Split, gamma: float, quota: str) -> tuple[int, int]:
    """How many samples gamma asks to suspect, and how many of each class to trust (it gives half of itself at most).

    ``quota``: "per class", n·gamma of every class, as the paper's sentence says, or "total", n·gamma shared evenly over
    the classes, as its Eq. 7 says. Raises ValueError where that is no sample, or a class holds fewer than two.
    """
    n, n_classes = len(tampered), len(tampered.classes)
    n_suspected = int(fraction("gamma", gamma) * n + 1e-9)  # in floats, 0.29·100 is 28.999…
    if quota not in ("per class", "total"):
        raise ValueError(f"quota={quota!r}: allowed are 'per class' and 'total'")
    sharers = n_classes if quota == "total" else 1
    asked = n_suspected // sharers
    if asked == 0:
        raise ValueError(f"gamma={gamma} selects no sample of {n}, or none of some class: at least {sharers / n:.3g}")
    for name, members in zip(tampered.classes, tampered.labels.bincount(minlength=n_classes).tolist(), strict=True):
        if members < 2:
            raise ValueError(f"the tampered set holds {members} samples of class {name!r}: at least 2 are needed")
    return n_suspected, asked
