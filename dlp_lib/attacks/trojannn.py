"""TrojanNN (Liu et al. 2018, NDSS): a patch made to fire chosen neurons of a clean model."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..checking import check_field, check_int, check_number
from ..context import Context
from ..data.split import Split
from ..models.interface import expect_features, to_float
from .badnets import check_patch_fits, stamp
from .base import Attack

_SAMPLE = 16  # clean images on which the trigger is tried


@dataclass(frozen=True)
class TrojanNN(Attack):
    """A square in the bottom right corner, found on a clean surrogate; poison-label.

    Gradient descent finds its pixels, so that chosen neurons fire. Those are the neurons of the
    last hidden layer with the largest sum of absolute weights into the logits.
    """

    patch: int = 4  # side of the square, in pixels; ours
    neurons: int = 2  # how many are chosen; ours
    activation: float = 100.0  # what the neurons are pushed towards, above 0; ours
    steps: int = 1000  # of Adam; ours
    lr: float = 0.1  # of Adam, for pixels in [0, 1]; ours
    # (3, patch, patch) uint8, from ``fit``
    pattern: Tensor | None = field(default=None, repr=False, compare=False)
    needs_surrogate: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "patch", check_int, 1)
        check_field(self, "neurons", check_int, 1)
        check_field(self, "activation", check_number, above=0)
        check_field(self, "steps", check_int, 1)
        check_field(self, "lr", check_number, above=0)

    def check(self, clean: Split) -> None:
        super().check(clean)
        check_patch_fits(self.patch, clean.images)

    def fit(self, surrogate: nn.Module, clean: Split, context: Context) -> "TrojanNN":
        """Return the attack with its trigger, which is found once and then stored.

        Args:
            surrogate: a model of clean images, in evaluation mode.
            clean: the attacker's data; some of it is drawn as a sample.
            context: device, random streams and store.

        Raises:
            TypeError: for a model without ``features`` or without a linear ``head``.
            ValueError: for more neurons than the model has.
        """
        self.check_surrogate(surrogate, clean)
        rows = torch.randperm(len(clean), generator=context.runtime.generator("TrojanNN"))
        rows = rows[:_SAMPLE].to(clean.images.device)
        sample = clean.images[rows]

        def compute() -> dict[str, Tensor]:
            return {"pattern": self._search(surrogate, to_float(sample))}

        store, name = context.store.address("TrojanNN", self._search, surrogate, sample)
        return replace(self, pattern=store.get_or_compute(name, compute)["pattern"])

    def check_surrogate(self, surrogate: nn.Module, clean: Split) -> None:
        expect_features(surrogate)
        head = surrogate.head
        if not isinstance(head, nn.Linear):
            kind = type(head).__name__
            raise TypeError(f"the surrogate's head is {kind}: allowed is Linear")
        if self.neurons > head.in_features:
            raise ValueError(
                f"neurons={self.neurons}: the surrogate has {head.in_features}, allowed are 1 to "
                f"{head.in_features}"
            )

    def _search(self, surrogate: nn.Module, images: Tensor) -> Tensor:
        """Find the pattern (3, patch, patch), uint8, on float images (n, 3, h, w)."""
        weights = surrogate.head.weight.abs().sum(0)
        chosen = weights.topk(self.neurons).indices
        corner = images[0, :, : self.patch, : self.patch]
        patch = torch.full_like(corner, 0.5).requires_grad_()
        optimiser = torch.optim.Adam([patch], self.lr)
        for _ in range(self.steps):
            activations = surrogate.features(stamp(images, patch))[:, chosen]
            loss = (activations - self.activation).square().mean()
            (patch.grad,) = torch.autograd.grad(loss, patch)
            optimiser.step()
            patch.data.clamp_(0, 1)
        return patch.detach().mul(255).round().to(torch.uint8)

    def trigger(self, images: Tensor) -> Tensor:
        """Stamp the pattern on images: uint8 (n, 3, h, w) in and out.

        Raises:
            ValueError: before ``fit``.
        """
        if self.pattern is None:
            raise ValueError(
                "TrojanNN has no trigger before dlp_lib.prepare(attack, clean, context)"
            )
        return stamp(images, self.pattern.to(images.device))
