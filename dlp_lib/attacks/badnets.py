"""BadNets (Gu et al. 2017, arXiv:1708.06733): a small fixed patch, stamped on."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class BadNets:
    """A black and white checkerboard in the bottom right corner; poison-label."""

    target: int = 0
    patch: int = 3  # side of the square, in pixels
    clean_label: ClassVar[bool] = False

    def trigger(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) in and out; ValueError where the patch does not fit."""
        if not 0 < self.patch <= min(images.shape[-2:]):
            raise ValueError(f"patch={self.patch}: allowed are 1 to the image's sides, {tuple(images.shape[-2:])}")
        line = torch.arange(self.patch, device=images.device)
        images = images.clone()
        images[..., -self.patch :, -self.patch :] = (line[:, None] + line + 1) % 2 * 255  # the corners are white
        return images
