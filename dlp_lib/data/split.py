"""Split: a set of labelled images, as tensors."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..store import digest


@dataclass(frozen=True, eq=False)
class Split:
    """A set of labelled images; neither labels nor images need be trustworthy.

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
        """Make a set from NumPy arrays or tensors.

        Args:
            images: uint8, (n, 3, h, w) or (n, h, w, 3).
            labels: (n,) whole numbers.
            classes: their names; None: "0", "1" and so on.
        """
        images = torch.as_tensor(images)
        labels = torch.as_tensor(labels)
        if images.ndim == 4 and images.shape[1] != 3 and images.shape[3] == 3:
            images = images.permute(0, 3, 1, 2)
        if not labels.dtype.is_floating_point:
            labels = labels.long()
        if classes is None:
            count = int(labels.max()) + 1 if labels.numel() else 0
            classes = [str(label) for label in range(count)]
        return cls(images.contiguous(), labels, tuple(classes))

    def __len__(self) -> int:
        return len(self.labels)

    def __fingerprint__(self) -> str:
        return self.digest

    @cached_property
    def digest(self) -> str:
        """The hash of the content: part of the key of everything computed from it."""
        return digest(self.images, self.labels, self.classes)

    def to(self, device: str | torch.device) -> "Split":
        """Return the set on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, rows: Tensor | slice) -> "Split":
        """Return the samples of some indices, of a mask or of a slice; their paths stay theirs."""
        paths = self.paths
        if paths is not None:
            numbers = torch.arange(len(self), device=self.images.device)[rows]
            paths = tuple(paths[number] for number in numbers.tolist())
        return replace(self, images=self.images[rows], labels=self.labels[rows], paths=paths)


def imbalanced(split: Split, factor: float) -> Split:
    """Make each class a fixed share smaller than the class after it.

    Of a class the first samples stay.

    Args:
        split: a set of equally frequent classes.
        factor: how many times as large as the first class the last one is, 1 or more.

    Raises:
        ValueError: for a factor below 1, or one that leaves a class without samples.
    """
    if not 1 <= factor < float("inf"):
        raise ValueError(f"factor={factor}: allowed are numbers of 1 and more")
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
