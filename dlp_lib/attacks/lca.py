"""LCA (Turner, Tsipras & Madry 2019, arXiv:1912.02771): noise makes the image harder to learn.

The model then learns the trigger, which is the easier thing.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_field, check_int, check_number
from ..context import Context
from ..data.split import Split
from ..models.interface import to_float
from .badnets import check_patch_fits, checkerboard
from .base import Attack

_BATCH = 256


@dataclass(frozen=True)
class LCA(Attack):
    """Adversarial noise against a clean surrogate, then a patch in all four corners; clean-label.

    The noise is for training images alone: at test the trigger is the patches. It is found by
    projected gradient ascent on the surrogate's cross-entropy, within ``epsilon`` of every pixel.
    """

    patch: int = 3  # side of each square, in pixels; the paper's
    epsilon: int = 16  # largest change of a pixel by the noise, in 1/255; one of the paper's
    step: float = 1.5  # of the ascent, in 1/255, above 0; ours
    steps: int = 100  # of the ascent; ours
    surrogate: nn.Module | None = field(default=None, repr=False, compare=False)  # from ``fit``
    clean_label: ClassVar[bool] = True
    needs_surrogate: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "patch", check_int, 1)
        check_field(self, "epsilon", check_int, 1)
        check_field(self, "step", check_number, above=0)
        check_field(self, "steps", check_int)

    def check(self, clean: Split) -> None:
        super().check(clean)
        check_patch_fits(self.patch, clean.images, patches=2)

    def fit(self, surrogate: nn.Module, clean: Split, context: Context) -> "LCA":
        """Return the attack with its surrogate."""
        return replace(self, surrogate=surrogate)

    def trigger(self, images: Tensor) -> Tensor:
        """Stamp the four corners of images, each the mirror image of its neighbours.

        Args:
            images: (n, 3, h, w) uint8.

        Raises:
            ValueError: where two patches do not fit beside each other.
        """
        check_patch_fits(self.patch, images, patches=2)
        board = checkerboard(self.patch, images.device)
        upside_down = board.flip(0)
        start = slice(self.patch)
        end = slice(-self.patch, None)
        stamped = images.clone()
        stamped[..., start, start] = board
        stamped[..., start, end] = board.flip(1)
        stamped[..., end, start] = upside_down
        stamped[..., end, end] = upside_down.flip(1)
        return stamped

    def tamper(self, images: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Add the noise, which is computed once and then stored, and the trigger.

        Raises:
            ValueError: without a surrogate.
        """
        if self.surrogate is None:
            raise ValueError(
                "LCA needs a clean surrogate for its noise: poison with dlp_lib.prepare(attack, …)"
            )

        def compute() -> dict[str, Tensor]:
            return {"images": self._add_noise(images, labels)}

        store, name = context.store.address("LCA", self._add_noise, images, labels)
        noisy = store.get_or_compute(name, compute)["images"]
        return self.trigger(noisy.to(images.device))

    def _add_noise(self, images: Tensor, labels: Tensor) -> Tensor:
        noisy = []
        for batch, batch_labels in zip(images.split(_BATCH), labels.split(_BATCH), strict=True):
            noisy.append(self._ascend(to_float(batch), batch_labels))
        return torch.cat(noisy)

    def _ascend(self, start: Tensor, labels: Tensor) -> Tensor:
        """Climb the loss from float images in [0, 1]; return uint8 images."""
        x = start
        radius = self.epsilon / 255
        for _ in range(self.steps):
            x = x.detach().requires_grad_()
            loss = functional.cross_entropy(self.surrogate(x), labels)
            (gradient,) = torch.autograd.grad(loss, x)
            x = x + self.step / 255 * gradient.sign()
            x = x.clamp(start - radius, start + radius).clamp(0, 1)
        return x.detach().mul(255).round().to(torch.uint8)
