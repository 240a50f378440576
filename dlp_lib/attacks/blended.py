"""Blended (Chen et al. 2017, arXiv:1712.05526): a faint pattern over the whole image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..checking import check_field, check_number, check_seed
from .base import Attack


@dataclass(frozen=True)
class Blended(Attack):
    """Mix every image with a fixed image of uniform noise; poison-label.

    x' = (1 − alpha)·x + alpha·pattern, alike in training and at test.
    """

    alpha: float = 0.2  # the pattern's share, above 0 and up to 1; the paper's
    pattern_seed: int = 0  # of the pattern

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "alpha", check_number, above=0, most=1)
        check_field(self, "pattern_seed", check_seed)

    def pattern(self, images: Tensor) -> Tensor:
        """Return the image (3, h, w) that is mixed in, float32 of 0 to 255.

        It is drawn on the CPU, so that it is alike on every device.

        Args:
            images: (n, 3, h, w), which give its size and its device.
        """
        generator = torch.Generator().manual_seed(self.pattern_seed)
        noise = torch.randint(256, images.shape[1:], generator=generator)
        return noise.to(images.device, torch.float32)

    def trigger(self, images: Tensor) -> Tensor:
        """Mix the pattern into images: uint8 (n, 3, h, w) in and out."""
        mixed = images.float().lerp(self.pattern(images), self.alpha)
        return mixed.round().clamp(0, 255).to(torch.uint8)
