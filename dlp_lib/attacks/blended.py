"""Blended (Chen et al. 2017, arXiv:1712.05526): a faint pattern over the whole image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import Attack


@dataclass(frozen=True)
class Blended(Attack):
    """x' = (1 − alpha)·x + alpha·pattern, the pattern a fixed image of uniform noise; poison-label."""

    alpha: float = 0.2  # the pattern's share, in training and at test alike
    pattern_seed: int = 0

    def __post_init__(self):
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha}: allowed are shares above 0, up to 1")

    def pattern(self, images: Tensor) -> Tensor:
        """The blended-in image (3, h, w), float32, 0 to 255; drawn on the CPU, so alike on every device."""
        noise = torch.randint(256, images.shape[1:], generator=torch.Generator().manual_seed(self.pattern_seed))
        return noise.to(images.device, torch.float32)

    def trigger(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) in and out."""
        return images.float().lerp(self.pattern(images), self.alpha).round().clamp(0, 255).to(torch.uint8)
