"""Selection: which samples are suspected, and which are trusted, by a score per sample."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checking import check_choice, check_fraction, check_type
from ..data.split import Split

QUOTAS = ("per class", "total", "label_aware", "half")


@dataclass(frozen=True, eq=False)
class Selection:
    """The suspected and the trusted samples, as indices into the tampered set."""

    suspected: Tensor  # D'_p of the paper: the n·gamma most suspicious samples, the worst first
    trusted: Tensor  # D'_c of the paper: the least suspicious samples of every class
    quotas: tuple[int, ...]  # trusted samples of each class
    shortfall: bool  # whether some class was too small for its quota

    def table(self, tampered: Split, suspicion: Tensor, **columns: Tensor) -> list[dict]:
        """Return what is to be known of every sample, the most suspicious one first.

        ``pandas.DataFrame(rows)`` makes a table of it.

        Args:
            tampered: the training set.
            suspicion: (n,) the score per sample by which they were selected.
            columns: further values (n,), by their names: ``entropy=entropy(result.logits)``.

        Returns:
            A row for each of the n samples: "file" (its path, or its number as text where the set
            comes from no files), "label" (a name), the columns, "rank" (1 is the most suspicious),
            and "status": "suspected", "trusted" or "other".

        Raises:
            ValueError: where scores or columns are not one for each sample.
        """
        for name, values in {"suspicion": suspicion, **columns}.items():
            if values.shape != tampered.labels.shape:
                raise ValueError(
                    f"{name}: shape {tuple(values.shape)}; allowed is ({len(tampered)},), one "
                    "value for each sample"
                )
        status = dict.fromkeys(self.suspected.tolist(), "suspected")
        status |= dict.fromkeys(self.trusted.tolist(), "trusted")
        labels = tampered.labels.tolist()
        values_of = {name: values.tolist() for name, values in columns.items()}
        rows = []
        order = most_suspicious(suspicion, len(tampered)).tolist()
        for rank, sample in enumerate(order, start=1):
            row = {
                "file": str(sample) if tampered.paths is None else tampered.paths[sample],
                "label": tampered.classes[labels[sample]],
            }
            for name, values in values_of.items():
                row[name] = values[sample]
            rows.append(row | {"rank": rank, "status": status.get(sample, "other")})
        return rows


def select(
    suspicion: Tensor,
    tampered: Split,
    gamma: float,
    quota: str = "per class",
    left_out: Tensor | None = None,
) -> Selection:
    """Suspect the n·gamma most suspicious samples, and trust the least suspicious of each class.

    The quota "label_aware" is not the paper's. A class then gives fewer trusted samples, the more
    suspects have its label: of n·gamma, the share of the suspects that do not have it, and at least
    one in C of C classes. Where a clean-label attack has poisoned most of a class, n·gamma of its
    least suspicious samples cannot be clean, but a few are.

    Args:
        suspicion: (n,) a score per sample, in the set's order; the higher, the more suspicious. Of
            equal scores, the earlier sample counts as the more suspicious one.
        tampered: the training set.
        gamma: filtering rate, a share of the set.
        quota: how many samples to trust; see ``selection_sizes``.
        left_out: indices (k,) of samples that are not to be trusted, beside the suspects. They do
            not count as members of their class either, of which at most half is trusted.

    Raises:
        ValueError: as ``selection_sizes`` does, for scores that are NaN or not one for each sample,
            and where all samples of a class are suspected.
    """
    count, quota_per_class = selection_sizes(tampered, gamma, quota)
    expect_scores("suspicion", suspicion, len(tampered))
    order = most_suspicious(suspicion, len(tampered))
    suspected = order[:count]
    others = order[count:]
    stays = torch.ones_like(tampered.labels, dtype=torch.bool)
    if left_out is not None:
        stays[left_out] = False
    others = others[stays[others]]
    classes = len(tampered.classes)
    members = count_labels(tampered.labels[stays], classes)
    wanted = [quota_per_class] * classes
    if quota == "label_aware":
        wanted = _label_aware(quota_per_class, tampered.labels[suspected], classes)
    most = [count // 2 for count in members]  # that a class may give
    if quota == "half":
        most = members
        wanted = [max(members) // 2] * len(members)
    labels = tampered.labels[others]
    trusted: list[Tensor] = []
    for label, name in enumerate(tampered.classes):
        at_most = min(wanted[label], most[label])
        least_suspicious = others[labels == label][-at_most:]
        if len(least_suspicious) == 0:
            raise ValueError(f"gamma={gamma}: all of class {name!r} is suspected, none to trust")
        trusted.append(least_suspicious)
    quotas = tuple(len(part) for part in trusted)
    return Selection(suspected, torch.cat(trusted), quotas, shortfall=quotas != tuple(wanted))


def most_suspicious(suspicion: Tensor, count: int) -> Tensor:
    """Return the samples with the highest scores, the most suspicious one first.

    Args:
        suspicion: (n,) a score per sample. Of equal scores, the earlier sample comes first.
        count: how many samples; all, if there are fewer.

    Returns:
        (count,) their indices.
    """
    return suspicion.argsort(descending=True, stable=True)[:count]


def count_labels(labels: Tensor, classes: int) -> list[int]:
    """Return how many of the labels (k,) each of so many classes has."""
    return labels.bincount(minlength=classes).tolist()


def expect_scores(name: str, scores: Tensor, n: int) -> None:
    """Check that scores are a number for each of n samples.

    Raises:
        TypeError: for anything but a tensor.
        ValueError: for another shape, and for NaN.
    """
    check_type(name, scores, Tensor)
    if scores.shape != (n,):
        raise ValueError(f"{name}: of shape {tuple(scores.shape)}; allowed is ({n},), one a sample")
    missing = int(scores.isnan().sum())
    if missing:
        raise ValueError(f"{name}: {missing} of {n} scores are NaN; allowed are numbers")


def _label_aware(quota: int, labels: Tensor, classes: int) -> list[int]:
    """Return how many samples of each class to trust, by the labels (m,) of the suspects."""
    wanted = []
    for suspects in count_labels(labels, classes):
        others_share = 1 - suspects / len(labels)
        share = max(1 / classes, others_share)
        wanted.append(max(1, round(quota * share)))
    return wanted


def selection_sizes(tampered: Split, gamma: float, quota: str) -> tuple[int, int]:
    """Return how many samples gamma asks to suspect, and how many of each class to trust.

    Args:
        tampered: the training set.
        gamma: filtering rate, a share of the set.
        quota: "per class" trusts n·gamma samples of every class, as the paper's text says.
            "total" divides n·gamma evenly among the classes, as its Eq. 7 says. "label_aware"
            trusts at most as many as "per class". A class gives at most half of its samples. With
            "half", not the paper's, each gives half of the largest one, or all that it has.

    Raises:
        ValueError: where gamma selects no sample or leaves fewer than there are classes, and where
            a class has fewer than two.
    """
    n = len(tampered)
    suspected = share_size("gamma", gamma, n)
    check_choice("quota", quota, QUOTAS)
    sharers = len(tampered.classes) if quota == "total" else 1
    trusted = suspected // sharers
    if trusted == 0:
        raise ValueError(
            f"gamma={gamma} selects no sample of {n}, or none of some class: "
            f"at least {sharers / n:.3g}"
        )
    classes = len(tampered.classes)
    sizes = count_labels(tampered.labels, classes)
    if n - suspected < classes:
        raise ValueError(
            f"gamma={gamma} suspects {suspected} samples of {n}, which leaves {n - suspected} to "
            f"trust for {classes} classes: at most {(n - classes) / n:.3g}"
        )
    for name, members in zip(tampered.classes, sizes, strict=True):
        if members < 2:
            raise ValueError(
                f"the tampered set holds {members} samples of class {name!r}: at least 2 are needed"
            )
    return suspected, trusted


def expect_share(name: str, share: float, n: int, leaves: int) -> int:
    """Return how many of n samples a share is, if it is one or more and leaves enough others.

    Args:
        name: of the parameter, for the message.
        share: strictly between 0 and 1.
        n: number of samples.
        leaves: how many others are needed.

    Raises:
        ValueError: where it is none, or leaves fewer.
    """
    count = share_size(name, share, n)
    if count == 0:
        raise ValueError(f"{name}={share}: no sample of {n}; allowed is at least {1 / n:.3g}")
    if n - count < leaves:
        raise ValueError(
            f"{name}={share}: {count} samples of {n}; allowed is what leaves {leaves} or more"
        )
    return count


def share_size(name: str, share: float, n: int) -> int:
    """Return how many of n samples a share is, rounded down.

    Args:
        name: of the parameter, for the message.
        share: strictly between 0 and 1.
        n: number of samples.
    """
    return int(check_fraction(name, share) * n + 1e-9)  # in floats, 0.29·100 is 28.999…
