"""SIG (Barni, Kallas & Tondi 2019, arXiv:1902.11237): a faint sinusoid across the image."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..checking import check_field, check_number
from .base import Attack


@dataclass(frozen=True)
class SIG(Attack):
    """Add a horizontal sinusoid, alike in training and at test; clean-label.

    x' = x + delta·sin(2π·j·frequency/w) in column j of w.
    """

    delta: float = 40.0  # amplitude, in 1/255, above 0; one of the paper's
    frequency: float = 6.0  # periods across the image, above 0; the paper's for MNIST
    clean_label: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "delta", check_number, above=0, most=255)
        check_field(self, "frequency", check_number, above=0)

    def trigger(self, images: Tensor) -> Tensor:
        """Add the sinusoid to images: uint8 (n, 3, h, w) in and out."""
        width = images.shape[-1]
        column = torch.arange(width, dtype=torch.float64)
        angle = 2 * math.pi * self.frequency / width * column
        wave = (self.delta * angle.sin()).round().int()
        changed = images.int() + wave.to(images.device)
        return changed.clamp(0, 255).to(torch.uint8)
