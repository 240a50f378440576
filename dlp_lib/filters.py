"""Which samples look poisoned, and which can be trusted: a score each, and a cut through it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from .data import Split
from .metrics import Outputs
from .runtime import fraction, whole


def entropy(logits: Tensor) -> Tensor:
    """Predictive entropy in bits, 0 to log2(classes), of logits (n, classes); DLP, Eq. 5."""
    log_p = logits.double().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1).div_(math.log(2)).float()


def low_entropy(seen: Outputs, labels: Tensor) -> Tensor:
    """DLP's suspicion: minus the predictive entropy, in bits; the labels do not matter."""
    return -entropy(seen.logits)


def low_loss(seen: Outputs, labels: Tensor) -> Tensor:
    """Minus the training loss, cross-entropy in nats, as ABL judges samples (Li et al. 2021, arXiv:2110.11571)."""
    return -functional.cross_entropy(seen.logits.double(), labels, reduction="none").float()


def activation_clustering(seen: Outputs, labels: Tensor) -> Tensor:
    """Chen et al. 2018, arXiv:1811.03728: each class's features, reduced to 10 dimensions, fall into two clusters.

    The score, -1 to 1, is the difference of the distances to the centres of the larger and the smaller cluster over
    their sum: positive in the smaller one. The paper suspects a cluster as a whole; a score per sample can be cut like
    any other. Where poison fills half of a class, which cluster is the smaller is a toss-up.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    def of_class(features: ndarray) -> ndarray:
        if len(features) < 3:
            return np.zeros(len(features))  # two samples are no clusters
        reduced = PCA(min(10, *features.shape), svd_solver="full").fit_transform(features)
        clusters = KMeans(2, n_init=10, random_state=0).fit(reduced)
        small = np.bincount(clusters.labels_, minlength=2).argmin()
        distances = clusters.transform(reduced)
        return (distances[:, 1 - small] - distances[:, small]) / distances.sum(1).clip(1e-12)

    return _by_class(of_class, seen.features, labels)


def spectral_signatures(seen: Outputs, labels: Tensor) -> Tensor:
    """Tran, Li & Madry 2018, arXiv:1811.00636: squared projection of the class-centred features on their main axis."""
    from sklearn.decomposition import PCA

    return _by_class(lambda x: PCA(1, svd_solver="full").fit_transform(x)[:, 0] ** 2, seen.features, labels)


def _by_class(score: Callable[[ndarray], ndarray], features: Tensor, labels: Tensor) -> Tensor:
    scores = torch.empty(len(labels), device=labels.device)
    for label in labels.unique():
        rows = labels == label
        scores[rows] = torch.from_numpy(score(features[rows].double().cpu().numpy())).to(scores)
    return scores


# Each takes what observe() gives and the labels, and gives a score per sample, higher = more suspicious.
FILTERS: dict[str, Callable[[Outputs, Tensor], Tensor]] = {
    "entropy": low_entropy,
    "loss": low_loss,
    "activation clustering": activation_clustering,
    "spectral signatures": spectral_signatures,
}


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
    With the quota "wary" a class gives the fewer samples, the more suspects carry its label: of n·gamma, the share of
    the suspects that do not, and at least one in C. Not the paper's: where a clean-label attack has poisoned most of a
    class, the hardest few are clean while n·gamma of them cannot be.
    """
    n_suspected, asked = sizes(tampered, gamma, quota)
    order = suspicion.argsort(descending=True, stable=True)
    suspected, rest = order[:n_suspected], order[n_suspected:]
    labels, trusted, cut, n_classes = tampered.labels[rest], [], False, len(tampered.classes)
    carried = tampered.labels[suspected].bincount(minlength=n_classes).tolist()
    for label, members in enumerate(tampered.labels.bincount(minlength=n_classes).tolist()):
        doubt = carried[label] / n_suspected if quota == "wary" else 0
        ours = max(1, round(asked * max(1 / n_classes, 1 - doubt)))
        trusted.append(rest[labels == label][-min(ours, members // 2) :])
        cut |= len(trusted[-1]) < ours
        if not len(trusted[-1]):
            raise ValueError(f"gamma={gamma}: all of class {tampered.classes[label]!r} is suspected, none to trust")
    return Selection(suspected, torch.cat(trusted), tuple(map(len, trusted)), cut)


def agreement(suspicions: list[Tensor], tampered: Split, gamma: float, window: int = 3) -> Tensor:
    """How lasting the suspicion is: for every epoch (epochs,), a share in [0, 1] that a defender can see.

    ``suspicions``: a score per sample for every epoch. Of the suspects of an epoch and of the ``window`` - 1 before it,
    the largest mean share that one class has; where there was no epoch before, that counts as 0. Which clean samples
    are the easiest changes from epoch to epoch, poison with one target stays: not the paper's, but a way to choose E1.
    It says nothing of all-to-all attacks.
    """
    n, _ = sizes(tampered, gamma, "per class")
    whole("window", window, 1)
    suspects = torch.stack([suspicion.argsort(descending=True, stable=True)[:n] for suspicion in suspicions])
    shares = functional.one_hot(tampered.labels[suspects], len(tampered.classes)).double().mean(1)  # (epochs, classes)
    padded = torch.cat([shares.new_zeros(window - 1, shares.shape[1]), shares])
    return padded.unfold(0, window, 1).mean(-1).amax(1)


def sizes(tampered: Split, gamma: float, quota: str) -> tuple[int, int]:
    """How many samples gamma asks to suspect, and how many of each class to trust (it gives half of itself at most).

    ``quota``: "per class", n·gamma of every class, as the paper's sentence says ("wary": at most as many); or "total",
    n·gamma shared evenly over the classes, as its Eq. 7 says. Raises ValueError where that is no sample, or a class
    holds fewer than two.
    """
    n, n_classes = len(tampered), len(tampered.classes)
    n_suspected = int(fraction("gamma", gamma) * n + 1e-9)  # in floats, 0.29·100 is 28.999…
    if quota not in ("per class", "total", "wary"):
        raise ValueError(f"quota={quota!r}: allowed are 'per class', 'total' and 'wary'")
    sharers = n_classes if quota == "total" else 1
    asked = n_suspected // sharers
    if asked == 0:
        raise ValueError(f"gamma={gamma} selects no sample of {n}, or none of some class: at least {sharers / n:.3g}")
    for name, members in zip(tampered.classes, tampered.labels.bincount(minlength=n_classes).tolist(), strict=True):
        if members < 2:
            raise ValueError(f"the tampered set holds {members} samples of class {name!r}: at least 2 are needed")
    return n_suspected, asked
