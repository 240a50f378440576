"""BadNets (Gu et al. 2017, arXiv:1708.06733): a small fixed patch, stamped on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import Split
from ..runtime import whole
from .base import Attack


@dataclass(frozen=True)
class BadNets(Attack):
    """A black and white checkerboard in the bottom right corner; poison-label."""

    patch: int = 3  # side of the square, in pixels

    def check(self, clean: Split) -> None:
        super().check(clean)
        fits(self.patch, clean.images)

    def trigger(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) in and out; ValueError where the patch does not fit."""
        fits(self.patch, images)
        return stamp(images, checkerboard(self.patch, images.device))


def stamp(images: Tensor, pattern: Tensor) -> Tensor:
    """A copy of the images with the pattern (side, side) or (3, side, side) in the bottom right corner."""
    images, side = images.clone(), pattern.shape[-1]
    images[..., -side:, -side:] = pattern
    return images


def checkerboard(side: int, device: torch.device) -> Tensor:
    """(side, side) uint8 of black and white; the first corner is white."""
    line = torch.arange(side, device=device)
    return ((line[:, None] + line + 1) % 2 * 255).to(torch.uint8)


def fits(patch: int, images: Tensor, patches: int = 1) -> None:
    """ValueError where so many square patches do not fit beside each other along the image's sides."""
    most = min(images.shape[-2:]) // patches
    if whole("patch", patch) not in range(1, most + 1):
        raise ValueError(f"patch={patch!r}: allowed are 1 to {most} for images of {tuple(images.shape[-2:])} pixels")
