"""Bearers: all samples that have in their pixels what the suspects have in common.

This is Fisher's linear discriminant between the suspects and all other samples, on pixels, and made
anew from those whom it finds. It is not DLP's paper's. The distance that it finds is Hotelling's
statistic without its sample sizes: a sign of poison, beside the suspects' lasting agreement.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..data.split import Split
from ..training.admission import expect_indices

_BATCH = 256  # images at a time, so that memory does not grow with the set
# Larger images are averaged to that many pixels a side, as the covariance has (3·side²)² entries,
# and to fewer, so that there are some samples for each pixel. Both are ours
_SIDE = 32
_SAMPLES_FOR_EACH_PIXEL = 5
_RIDGE = 8.0  # standard deviation of noise that is added to every pixel, in 1/255; ours
_ROUNDS = 10  # of growing, and of settling, at most; ours
_OUTLYING = 5.0  # standard deviations of most scores: one in three million if they are normal; ours
# From here on the distance is a sign. On shapes10 a fixed trigger has 600 and more, and clean
# suspects have 25 or less. Ours: see docs/LOG.md
_CLEAR = 100.0


class Bearers(NamedTuple):
    """The samples that bear what the suspects have in common."""

    samples: Tensor  # (k,) indices into the tampered set, in its order
    distance: float  # squared Mahalanobis distance between their mean and that of the others

    @property
    def is_clear(self) -> bool:
        """Whether the two are so far apart that there is a trigger, and not the look of a class."""
        return self.distance > _CLEAR

    def usable(self, tampered: Split) -> Tensor:
        """Return the samples if they are clear and leave two or more of every class, else none."""
        others = torch.ones_like(tampered.labels, dtype=torch.bool)
        others[self.samples] = False
        left = tampered.labels[others].bincount(minlength=len(tampered.classes))
        return self.samples if self.is_clear and left.min() >= 2 else self.samples[:0]


def find_bearers(
    tampered: Split, suspected: Tensor, pixels: "PixelCovariance | None" = None
) -> Bearers:
    """Find all samples that bear what the suspects show, without a clean image and without a model.

    With means m and m' of suspects and others, and the covariance C of pixels within the two, a
    sample x has the score (m − m')ᵀ C⁻¹ (x − (m + m')/2). Those that bear it take the suspects'
    place, and scores are computed anew, until nothing changes. So a few suspects find the rest of
    the poison. That is done twice. While the set grows, a score above 0 bears it, and so does one
    far above most scores: poison among the others blurs the two. When it settles, only a score
    above 0 does. A trigger that lies at another place in each image, or warps it, is not found.

    Args:
        tampered: the training set. Images of more than 32 pixels a side are averaged to 32, and to
            fewer where there are not five samples for each value of an image.
        suspected: indices (m,) of the suspects.
        pixels: of the set, where it is asked more than once; None: they are computed.

    Raises:
        TypeError: for anything but indices.
        ValueError: for fewer than two suspects, or fewer than two others.
    """
    expect_indices("suspected", suspected, len(tampered))
    bears = torch.zeros(len(tampered), dtype=torch.bool, device=tampered.images.device)
    bears[suspected.to(bears.device)] = True
    if not _can_be_told(bears):
        raise ValueError(
            f"suspected: {int(bears.sum())} of {len(tampered)} samples; allowed are 2 to "
            f"{len(tampered) - 2}, as suspects and others are compared"
        )
    pixels = pixels or PixelCovariance(tampered.images)
    bears, _ = _repeat(pixels, bears, _growing_bound)
    bears, distance = _repeat(pixels, bears, _settled_bound)
    return Bearers(bears.nonzero()[:, 0], distance)


def _repeat(
    pixels: "PixelCovariance", bears: Tensor, bound: Callable[[Tensor], float]
) -> tuple[Tensor, float]:
    """Find those whose scores are above the bound, and from them again, until nothing changes."""
    for _ in range(_ROUNDS):
        scores, distance = pixels.discriminant(bears)
        found = scores > bound(scores)
        if not _can_be_told(found) or torch.equal(found, bears):
            break
        bears = found
    return bears, distance


def _growing_bound(scores: Tensor) -> float:
    """Return 0, or less where a score below it is far above most: from median and deviation."""
    median = scores.median()
    deviation = 1.4826 * (scores - median).abs().median()  # as a normal distribution has it
    return min(0.0, float(median + _OUTLYING * deviation))


def _settled_bound(_: Tensor) -> float:
    return 0.0


def _can_be_told(mask: Tensor) -> bool:
    """Return whether a mask (n,) leaves two samples or more on either side."""
    count = int(mask.sum())
    return 2 <= count <= len(mask) - 2


class PixelCovariance:
    """The pixels of a set, with their covariance, which takes the most time.

    Args:
        images: (n, 3, h, w) uint8.
    """

    def __init__(self, images: Tensor):
        self.images = images
        self.side = side_for(images)
        self.mean = torch.cat([rows.sum(0, keepdim=True) for rows in self._batches()]).sum(0)
        self.mean = self.mean / len(images)
        d = len(self.mean)
        self.scatter = torch.zeros(d, d, dtype=torch.float64, device=images.device)
        for rows in self._batches():
            centred = rows - self.mean
            self.scatter += centred.T @ centred

    def discriminant(self, mask: Tensor) -> tuple[Tensor, float]:
        """Return every sample's score (n,), above 0 on the side of the mask, and the distance."""
        n = len(mask)
        count = int(mask.sum())
        total = torch.zeros_like(self.mean)
        for rows, members in zip(self._batches(), mask.split(_BATCH), strict=True):
            total += (rows[members] - self.mean).sum(0)
        mean = total / count
        mean_of_others = -total / (n - count)  # as the mean of all is 0
        between = count * mean.outer(mean) + (n - count) * mean_of_others.outer(mean_of_others)
        covariance = (self.scatter - between) / n
        covariance.diagonal().add_(_RIDGE**2)
        difference = mean - mean_of_others
        direction = torch.linalg.solve(covariance, difference)
        middle = self.mean + (mean + mean_of_others) / 2
        scores = [(rows - middle) @ direction for rows in self._batches()]
        return torch.cat(scores), float(direction @ difference)

    def _batches(self) -> Iterator[Tensor]:
        """Yield the pixels (b, d), float64 in 1/255, of some images at a time."""
        for batch in self.images.split(_BATCH):
            yield _reduced(batch.double(), self.side).flatten(1)


def side_for(images: Tensor) -> int:
    """Return to how many pixels a side images (n, 3, h, w) are averaged, where they have more."""
    n, channels, height, width = images.shape
    enough = math.isqrt(n // (_SAMPLES_FOR_EACH_PIXEL * channels))
    return max(2, min(_SIDE, enough, max(height, width)))


def _reduced(images: Tensor, side: int) -> Tensor:
    """Return images (n, 3, h, w) averaged to so many pixels a side, where they have more."""
    height, width = images.shape[2:]
    size = (min(height, side), min(width, side))
    return images if size == (height, width) else functional.adaptive_avg_pool2d(images, size)
