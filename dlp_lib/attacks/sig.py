"""SIG (Barni, Kallas & Tondi 2019, arXiv:1902.11237): a faint sinusoid across the image, labels untouched."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import Attack


@dataclass(frozen=True)
class SIG(Attack):
    """x' = x + delta·sin(2π·j·frequency/w) in column j of w, alike in training and at test; clean-label."""

    delta: float = 40.0  # amplitude, in 1/255
    frequency: float = 6.0  # periods across the image
    clean_label: ClassVar[bool] = True

    def __post_init__(self):
        if not (0 < self.delta <= 255 and self.frequency > 0):
            raise ValueError(f"{self}: allowed are 0 < delta ≤ 255 and frequency > 0")

    def trigger(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) in and out."""
        column = torch.arange(images.shape[-1], dtype=torch.float64)
        wave = self.delta * (2 * math.pi * self.frequency / images.shape[-1] * column).sin()
        return (images.int() + wave.round().int().to(images.device)).clamp(0, 255).to(torch.uint8)
