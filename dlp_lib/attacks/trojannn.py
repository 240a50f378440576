"""TrojanNN (Liu et al. 2018, NDSS): a patch made to fire chosen neurons of a clean model."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from .. import models
from ..data import Split
from ..models import expect_features, pixels
from ..runtime import whole
from ..store import digest
from ..train import Context
from .badnets import fits, stamp
from .base import Attack

SOURCE = __loader__.get_source(__name__)
_SAMPLE = 16  # clean images on which the trigger is tried


@dataclass(frozen=True)
class TrojanNN(Attack):
    """A square in the bottom right corner, its pixels found by gradient descent on a clean surrogate; poison-label.

    The chosen neurons are those of the last hidden layer with the largest sum of absolute weights into the logits.
    """

    patch: int = 4  # side of the square, in pixels
    neurons: int = 2
    activation: float = 100.0  # what the neurons are pushed towards
    steps: int = 1000
    lr: float = 0.1  # of Adam, for pixels in [0, 1]
    pattern: Tensor | None = field(default=None, repr=False, compare=False)  # (3, patch, patch) uint8, from ``fit``
    needs_surrogate: ClassVar[bool] = True

    def __post_init__(self):
        for name in ("neurons", "steps"):
            whole(name, getattr(self, name), 1)
        if not (self.activation > 0 and self.lr > 0):
            raise ValueError(f"{self}: allowed are activation > 0 and lr > 0")

    def check(self, clean: Split) -> None:
        super().check(clean)
        fits(self.patch, clean.images)

    def fit(self, surrogate: nn.Module, clean: Split, context: Context) -> "TrojanNN":
        """Find the trigger, or read it; TypeError without ``features`` and linear ``head``, ValueError for neurons."""
        expect_features(surrogate)
        if not isinstance(surrogate.head, nn.Linear):
            raise TypeError(f"the surrogate's head is {type(surrogate.head).__name__}: allowed is Linear")
        if self.neurons > surrogate.head.in_features:
            raise ValueError(f"neurons={self.neurons}: the surrogate has {surrogate.head.in_features}")
        rows = torch.randperm(len(clean), generator=context.runtime.generator("TrojanNN"))[:_SAMPLE]
        sample = clean.images[rows.to(clean.images.device)]
        name = f"TrojanNN-{digest(SOURCE, models.SOURCE, self, surrogate, sample)}"
        pattern = context.store.once(name, lambda: {"pattern": self._search(surrogate, pixels(sample))})["pattern"]
        return replace(self, pattern=pattern)

    def _search(self, surrogate: nn.Module, images: Tensor) -> Tensor:
        chosen = surrogate.head.weight.abs().sum(0).topk(self.neurons).indices
        patch = torch.full_like(images[0, :, : self.patch, : self.patch], 0.5).requires_grad_()
        optimiser = torch.optim.Adam([patch], self.lr)
        for _ in range(self.steps):
            loss = (surrogate.features(stamp(images, patch))[:, chosen] - self.activation).square().mean()
            patch.grad = torch.autograd.grad(loss, patch)[0]
            optimiser.step()
            patch.data.clamp_(0, 1)
        return patch.detach().mul(255).round().to(torch.uint8)

    def trigger(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) in and out; ValueError before ``fit``."""
        if self.pattern is None:
            raise ValueError("TrojanNN has no trigger before dlp_lib.prepare(attack, clean, context)")
        return stamp(images, self.pattern.to(images.device))
