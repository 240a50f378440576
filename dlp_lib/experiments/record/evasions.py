"""Attacks that no affine map of pixels describes: each image gets another form of the trigger.

Which form an image gets is a function of its pixels, so that it is the same whenever it is asked.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...attacks import SIG, BadNets
from ...attacks.badnets import checkerboard


def _choose(images: Tensor, forms: int) -> Tensor:
    """Return a number below ``forms`` for each image (n, 3, h, w), by the sum of its pixels."""
    return images.long().sum((1, 2, 3)) % forms


@dataclass(frozen=True)
class RandomPlace(BadNets):
    """BadNets' checkerboard, at another place in each image."""

    def trigger(self, images: Tensor) -> Tensor:
        """Stamp the checkerboard on images: uint8 (n, 3, h, w) in and out."""
        height, width = images.shape[-2:]
        rows = height - self.patch + 1
        columns = width - self.patch + 1
        board = checkerboard(self.patch, images.device)
        stamped = images.clone()
        for image, place in zip(stamped, _choose(images, rows * columns).tolist(), strict=True):
            top = place // columns
            left = place % columns
            image[:, top : top + self.patch, left : left + self.patch] = board
        return stamped


@dataclass(frozen=True)
class TwoTriggers(BadNets):
    """BadNets' checkerboard at the bottom right in half of the images, a wave in the others."""

    delta: float = 40.0  # amplitude of the wave, in 1/255

    def trigger(self, images: Tensor) -> Tensor:
        """Put one of the triggers on each image: uint8 (n, 3, h, w) in and out."""
        stamped = super().trigger(images)
        waves = SIG(delta=self.delta).trigger(images)
        is_wave = _choose(images, 2) == 1
        return torch.where(is_wave.view(-1, 1, 1, 1), waves, stamped)


@dataclass(frozen=True)
class RandomPhase(SIG):
    """SIG's wave with another phase in each image, by an attacker who knows what immunises.

    The waves cancel out in the mean of the suspects' pixels, so that no shift is seen.
    """

    phases: int = 16

    def trigger(self, images: Tensor) -> Tensor:
        """Add the sinusoid to images: uint8 (n, 3, h, w) in and out."""
        width = images.shape[-1]
        column = torch.arange(width, dtype=torch.float64, device=images.device)
        phase = _choose(images, self.phases).double() / self.phases
        periods = self.frequency / width * column + phase[:, None]
        wave = (self.delta * (2 * math.pi * periods).sin()).round().int()
        changed = images.int() + wave[:, None, None, :]
        return changed.clamp(0, 255).to(torch.uint8)
