"""Split: a set of labelled images, as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from ..store import digest

_MOST_NUMBERED_CLASSES = 100_000  # that get their numbers as names


@dataclass(frozen=True, eq=False)
class Split:
    """A set of labelled images; neither labels nor images need be trustworthy.

    It takes the tensors as they are; ``from_arrays`` copies them.

    Raises:
        ValueError: where the parts do not fit each other.
    """

    images: Tensor  # (n, 3, h, w) uint8
    labels: Tensor  # (n,) int64
    classes: tuple[str, ...]
    # Names of the files, relative to their folder; None: the images come from no files. They do
    # not count for the digest, as no result depends on them.
    paths: tuple[str, ...] | None = None

    def __post_init__(self):
        shape = tuple(self.images.shape)
        is_batch_of_images = len(shape) == 4 and shape[1] == 3 and 0 not in shape
        if self.images.dtype != torch.uint8 or not is_batch_of_images:
            raise ValueError(
                f"images: {self.images.dtype} of shape {shape}; allowed is uint8 (n, 3, h, w), "
                "none of them 0"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != shape[:1]:
            raise ValueError(
                f"labels: {self.labels.dtype} of shape {tuple(self.labels.shape)}; "
                f"allowed are whole numbers, one for each of {shape[0]} images"
            )
        _check_classes(self.classes)
        low = self.labels.min().item()
        high = self.labels.max().item()
        if low < 0 or high >= len(self.classes):
            raise ValueError(
                f"labels: from {low} to {high}; allowed are 0 to {len(self.classes) - 1}"
            )
        if self.paths is not None and len(self.paths) != shape[0]:
            raise ValueError(
                f"paths: {len(self.paths)} names; allowed is one for each of {shape[0]} images"
            )

    @classmethod
    def from_arrays(cls, images, labels, classes: tuple[str, ...] | None = None) -> "Split":
        """Make a set of copies of NumPy arrays, tensors or lists of them.

        Args:
            images: uint8, (n, 3, h, w) or (n, h, w, 3).
            labels: (n,) whole numbers.
            classes: their names; None: "0", "1" and so on.

        Raises:
            ValueError: where the parts do not fit each other.
        """
        images = _copy("images", images)
        labels = _copy("labels", labels)
        if images.ndim == 4 and images.shape[1] != 3 and images.shape[3] == 3:
            images = images.permute(0, 3, 1, 2)
        if not labels.dtype.is_floating_point and not labels.dtype.is_complex:
            labels = labels.long()
        if classes is None:
            classes = _numbers_as_names(labels)
        elif not isinstance(classes, str):
            classes = tuple(classes)
        return cls(images.contiguous(), labels, classes)

    def __len__(self) -> int:
        return len(self.labels)

    def __fingerprint__(self) -> str:
        return self.digest

    @property
    def digest(self) -> str:
        """The hash of the content: part of the key of everything computed from it.

        It is computed once, and again after the tensors were changed in place.
        """
        versions = (_version(self.images), _version(self.labels))
        known = self.__dict__.get("_digest")
        if known is None or known[0] != versions:
            known = (versions, digest(self.images, self.labels, self.classes))
            self.__dict__["_digest"] = known
        return known[1]

    def __getstate__(self) -> dict:
        """Leave the digest out of copies, whose tensors count their changes anew."""
        return {name: value for name, value in vars(self).items() if name != "_digest"}

    def to(self, device: str | torch.device) -> "Split":
        """Return the set on a device; itself where it is there."""
        if self.images.device == torch.device(device) == self.labels.device:
            return self
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, rows: Tensor | slice) -> "Split":
        """Return the samples of some indices, of a mask or of a slice; their paths stay theirs."""
        paths = self.paths
        if paths is not None:
            numbers = torch.arange(len(self), device=self.images.device)[rows]
            paths = tuple(paths[number] for number in numbers.tolist())
        return replace(self, images=self.images[rows], labels=self.labels[rows], paths=paths)


def _copy(name: str, values) -> Tensor:
    """Return a copy of values as a tensor, whatever their strides and byte order are."""
    try:
        if isinstance(values, (list, tuple)) and any(isinstance(row, Tensor) for row in values):
            return torch.stack([_copy(name, row) for row in values])
        if isinstance(values, Tensor):
            return values.detach().clone()
        values = np.array(values, order="C")
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), copy=False))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: {type(values).__name__}; allowed are an array, a tensor, or a list of "
            f"equally large ones ({error})"
        ) from None


def _numbers_as_names(labels: Tensor) -> tuple[str, ...]:
    """Return "0", "1" and so on, up to the largest label."""
    count = int(labels.max()) + 1 if labels.numel() and not labels.dtype.is_complex else 0
    if count > _MOST_NUMBERED_CLASSES:
        raise ValueError(
            f"labels: up to {count - 1:,}; allowed are 0 to {_MOST_NUMBERED_CLASSES - 1:,}, or "
            "any with names for all classes"
        )
    return tuple(str(label) for label in range(count))


def _check_classes(classes: Sequence[str]) -> None:
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"classes={classes!r}: allowed are several names, each of them text")
    names = list(classes)
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f"classes: {', '.join(map(repr, twice[:10]))} more than once; allowed are names that "
            "differ"
        )


def _version(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place; inference tensors do not count it."""
    return 0 if tensor.is_inference() else tensor._version


def imbalanced(split: Split, factor: float) -> Split:
    """Make each class a fixed share smaller than the class after it.

    Of a class the first samples stay.

    Args:
        split: a set of equally frequent classes.
        factor: how many times as large as the first class the last one is, 1 or more.

    Raises:
        ValueError: for a factor below 1, or one that leaves a class without samples.
    """
    if not isinstance(factor, Real) or not 1 <= factor < float("inf"):
        raise ValueError(f"factor={factor!r}: allowed are numbers of 1 and more")
    stays = torch.zeros(len(split), dtype=torch.bool)
    steps = max(1, len(split.classes) - 1)
    for label, name in enumerate(split.classes):
        members = (split.labels == label).nonzero()[:, 0]
        count = int(len(members) * factor ** (label / steps - 1))
        if not count:
            raise ValueError(
                f"factor={factor} leaves no sample of class {name!r}, which has {len(members)}"
            )
        stays[members[:count]] = True
    return split.subset(stays.to(split.images.device))
