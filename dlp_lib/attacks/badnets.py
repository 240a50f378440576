"""BadNets (Gu et al. 2017, arXiv:1708.06733): a small fixed patch, stamped on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checking import check_field, check_int
from ..data.split import Split
from .base import Attack


@dataclass(frozen=True)
class BadNets(Attack):
    """A black and white checkerboard in the bottom right corner; poison-label."""

    patch: int = 3  # side of the square, in pixels; usual for CIFAR-10

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "patch", check_int, 1)

    def check(self, clean: Split) -> None:
        super().check(clean)
        check_patch_fits(self.patch, clean.images)

    def trigger(self, images: Tensor) -> Tensor:
        """Stamp the checkerboard on images: uint8 (n, 3, h, w) in and out.

        Raises:
            ValueError: where the patch does not fit.
        """
        check_patch_fits(self.patch, images)
        return stamp(images, checkerboard(self.patch, images.device))


def stamp(images: Tensor, pattern: Tensor) -> Tensor:
    """Return a copy of images (n, 3, h, w) with a pattern in the bottom right corner.

    Args:
        images: of any dtype.
        pattern: (side, side) or (3, side, side).
    """
    side = pattern.shape[-1]
    stamped = images.clone()
    stamped[..., -side:, -side:] = pattern
    return stamped


def checkerboard(side: int, device: torch.device) -> Tensor:
    """Return (side, side) uint8 of black and white; the first corner is white."""
    line = torch.arange(side, device=device)
    is_white = (line[:, None] + line + 1) % 2
    return (is_white * 255).to(torch.uint8)


def check_patch_fits(patch: int, images: Tensor, patches: int = 1) -> None:
    """Check that square patches fit beside each other along the sides of images.

    Args:
        patch: side of a patch, in pixels.
        images: (n, 3, h, w).
        patches: how many lie beside each other.

    Raises:
        ValueError: where they do not fit.
    """
    height, width = images.shape[-2:]
    largest = min(height, width) // patches
    if not 1 <= check_int("patch", patch) <= largest:
        raise ValueError(
            f"patch={patch!r}: allowed are 1 to {largest} for images of {(height, width)} pixels"
        )
