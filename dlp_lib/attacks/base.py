"""What every attack says of itself."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..data import Split
from ..train import Context


@dataclass(frozen=True)
class Attack:
    """Settings of an attack. One of your own needs no more than ``trigger``.

    Poison-label attacks tamper with images of other classes and relabel them; clean-label ones tamper with images that
    have the label already.
    """

    target: int | str = 0  # the class that triggered images are taken for; or "all-to-all": y is taken for y + 1 mod C
    clean_label: ClassVar[bool] = False
    needs_surrogate: ClassVar[bool] = False  # True: it is of no use before ``fit``

    def check(self, clean: Split) -> None:
        """ValueError for settings that do not fit the data; asked before any work."""
        self.goal(clean.labels[:1], len(clean.classes))

    def trigger(self, images: Tensor) -> Tensor:
        """Images as at test time: uint8 (n, 3, h, w) in and out."""
        raise NotImplementedError

    def tamper(self, images: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Images as in the training set, for an attack that does more to those than to test images."""
        return self.trigger(images)

    def fit(self, surrogate: nn.Module, clean: Split, context: Context) -> "Attack":
        """The attack, made ready on a clean model of the attacker's own and their clean data."""
        return self

    def goal(self, labels: Tensor, n_classes: int) -> Tensor:
        """What triggered images of classes ``labels`` (n,) are to be taken for; ValueError for no such target."""
        if self.target == "all-to-all" and not self.clean_label:
            return (labels + 1) % n_classes
        if self.target not in range(n_classes):
            others = "" if self.clean_label else " and 'all-to-all'"
            raise ValueError(f"target={self.target!r}: allowed are the classes 0 to {n_classes - 1}{others}")
        return torch.full_like(labels, self.target)
