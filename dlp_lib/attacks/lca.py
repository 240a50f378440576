"""LCA (Turner, Tsipras & Madry 2019, arXiv:1912.02771): images made hard, so that the trigger is the easier thing."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import models
from ..data import Split
from ..models import pixels
from ..runtime import whole
from ..store import digest
from ..train import Context
from .badnets import checkerboard, fits
from .base import Attack

SOURCE = __loader__.get_source(__name__)
_BATCH = 256


@dataclass(frozen=True)
class LCA(Attack):
    """Adversarial noise against a clean surrogate, then a checkerboard in all four corners; clean-label.

    The noise is for training images alone: at test the trigger does without. It is found by projected gradient ascent
    on the surrogate's cross-entropy, within ``epsilon`` of every pixel.
    """

    patch: int = 3  # side of each square, in pixels
    epsilon: int = 16  # largest change of a pixel by the noise, in 1/255
    step: float = 1.5  # of the ascent, in 1/255
    steps: int = 100
    surrogate: nn.Module | None = field(default=None, repr=False, compare=False)  # what ``fit`` puts in
    clean_label: ClassVar[bool] = True
    needs_surrogate: ClassVar[bool] = True

    def __post_init__(self):
        whole("steps", self.steps)
        whole("epsilon", self.epsilon, 1)
        if not self.step > 0:
            raise ValueError(f"step={self.step}: allowed are values above 0")

    def check(self, clean: Split) -> None:
        super().check(clean)
        fits(self.patch, clean.images, 2)

    def fit(self, surrogate: nn.Module, clean: Split, context: Context) -> "LCA":
        return replace(self, surrogate=surrogate)

    def trigger(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) in and out; ValueError where two patches do not fit beside each other."""
        fits(self.patch, images, 2)
        images, board = images.clone(), checkerboard(self.patch, images.device)
        for rows, down in ((slice(self.patch), board), (slice(-self.patch, None), board.flip(0))):
            images[..., rows, : self.patch] = down
            images[..., rows, -self.patch :] = down.flip(1)
        return images

    def tamper(self, images: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Noise, kept in the store, and trigger; ValueError without a surrogate."""
        if self.surrogate is None:
            raise ValueError("LCA needs a clean surrogate for its noise: poison with dlp_lib.prepare(attack, …)")
        name = f"LCA-{digest(SOURCE, models.SOURCE, self, images, labels)}"
        noisy = context.store.once(name, lambda: {"images": self._noisy(images, labels)})["images"]
        return self.trigger(noisy.to(images.device))

    def _noisy(self, images: Tensor, labels: Tensor) -> Tensor:
        batches = zip(images.split(_BATCH), labels.split(_BATCH), strict=True)
        return torch.cat([self._ascend(pixels(batch), truth) for batch, truth in batches])

    def _ascend(self, start: Tensor, labels: Tensor) -> Tensor:
        x, reach = start, self.epsilon / 255
        for _ in range(self.steps):
            x = x.detach().requires_grad_()
            loss = functional.cross_entropy(self.surrogate(x), labels)
            x = x + self.step / 255 * torch.autograd.grad(loss, x)[0].sign()
            x = x.clamp(start - reach, start + reach).clamp(0, 1)
        return x.detach().mul(255).round().to(torch.uint8)
