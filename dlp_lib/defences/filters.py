"""Filters: how suspicious every sample of a tampered set is, by four papers."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from ..checking import check_type
from ..training.inference import Outputs

Filter = Callable[[Outputs, Tensor], Tensor]
_DIMENSIONS = 10  # to which activation clustering reduces the features; its paper's


def entropy(logits: Tensor) -> Tensor:
    """Return the predictive entropy in bits (DLP, Eq. 5).

    Args:
        logits: (n, classes).

    Returns:
        (n,) float32, from 0 to log2(classes).
    """
    log_p = logits.double().log_softmax(1)
    nats = -(log_p.exp() * log_p).sum(1)
    return nats.div_(math.log(2)).float()


def low_entropy(outputs: Outputs, labels: Tensor) -> Tensor:
    """Return DLP's suspicion: minus the predictive entropy, in bits. The labels do not matter."""
    expect_outputs(outputs, labels)
    return -entropy(outputs.logits)


def low_loss(outputs: Outputs, labels: Tensor) -> Tensor:
    """Return ABL's suspicion: minus the training loss, cross-entropy in nats.

    Li et al. 2021, arXiv:2110.11571.
    """
    expect_outputs(outputs, labels)
    return -sample_losses(outputs.logits, labels)


def expect_outputs(outputs: Outputs, labels: Tensor) -> None:
    """Check that logits, features and labels are of the same samples.

    Raises:
        TypeError: for anything but tensors.
        ValueError: for other shapes than (n, d), and for features that are not finite.
    """
    n = len(labels)
    for name, rows in zip(("logits", "features"), outputs, strict=True):
        check_type(name, rows, Tensor)
        if rows.ndim != 2 or len(rows) != n:
            raise ValueError(
                f"{name}: of shape {tuple(rows.shape)}; allowed is ({n}, d), for {n} labels"
            )
    if not outputs.features.isfinite().all():
        raise ValueError("features: some are infinite or NaN; allowed are finite numbers")


def sample_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy (n,) of every sample, in nats, float32.

    Args:
        logits: (n, classes).
        labels: (n,).
    """
    return functional.cross_entropy(logits.double(), labels, reduction="none").float()


def activation_clustering(outputs: Outputs, labels: Tensor) -> Tensor:
    """Return by how much a sample is nearer to the smaller of the two clusters of its class.

    Chen et al. 2018, arXiv:1811.03728. The features of each class are reduced to 10 dimensions and
    fall into two clusters. The score is the difference of the distances to the centres of the
    larger and the smaller cluster over their sum. It is positive in the smaller cluster.

    The paper suspects a cluster as one. A score per sample can be compared with other filters.
    Where poison fills half of a class, which cluster is the smaller is up to chance.

    Returns:
        (n,) from -1 to 1.
    """
    expect_outputs(outputs, labels)
    return _by_class(_nearness_to_small_cluster, outputs.features, labels)


def _nearness_to_small_cluster(features: ndarray) -> ndarray:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    if len(features) < 3 or _are_alike(features):  # two samples are no clusters
        return np.zeros(len(features))
    pca = PCA(min(_DIMENSIONS, *features.shape), svd_solver="full")
    reduced = pca.fit_transform(features)
    clusters = KMeans(2, n_init=10, random_state=0).fit(reduced)
    small = np.bincount(clusters.labels_, minlength=2).argmin()
    distances = clusters.transform(reduced)
    to_small = distances[:, small]
    to_large = distances[:, 1 - small]
    return (to_large - to_small) / distances.sum(1).clip(1e-12)


def spectral_signatures(outputs: Outputs, labels: Tensor) -> Tensor:
    """Return the squared projection of the class-centred features on their main axis.

    Tran, Li & Madry 2018, arXiv:1811.00636.
    """
    expect_outputs(outputs, labels)
    return _by_class(_squared_projection, outputs.features, labels)


def _squared_projection(features: ndarray) -> ndarray:
    from sklearn.decomposition import PCA

    if _are_alike(features):
        return np.zeros(len(features))
    projection = PCA(1, svd_solver="full").fit_transform(features)[:, 0]
    return projection**2


def _are_alike(features: ndarray) -> bool:
    """Return whether all rows (n, d) are the same, as where every neuron is dead."""
    return bool((features == features[0]).all())


def _by_class(score: Callable[[ndarray], ndarray], features: Tensor, labels: Tensor) -> Tensor:
    """Score the features (n, d) of each class by themselves; return the scores (n,)."""
    scores = torch.empty(len(labels), device=labels.device)
    for label in labels.unique():
        rows = labels == label
        of_class = features[rows].double().cpu().numpy()
        scores[rows] = torch.from_numpy(score(of_class)).to(scores)
    return scores


# Each takes what ``logits_and_features`` returns and the labels (n,), and returns a score per
# sample (n,): the higher, the more suspicious.
PAPER_FILTERS: dict[str, Filter] = {  # the four of Fig. 5
    "entropy": low_entropy,
    "loss": low_loss,
    "activation clustering": activation_clustering,
    "spectral signatures": spectral_signatures,
}
FILTERS: dict[str, Filter] = {**PAPER_FILTERS}  # all that the library has
