"""SGD: the config of an optimiser, with which the config of every stage begins."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent.

    A stage with another optimiser, or with several parameter groups, overrides ``optimiser``.
    """

    lr: float = 0.01  # learning rate; the paper's
    momentum: float = 0.9  # the paper's
    weight_decay: float = 5e-4  # beta of Eq. 7; the paper does not say
    nesterov: bool = False  # the paper does not say
    batch: int = 128  # images a step; the paper's

    def __post_init__(self):
        in_range = self.lr > 0 and 0 <= self.momentum < 1 and self.weight_decay >= 0
        nesterov_has_momentum = self.momentum > 0 or not self.nesterov
        if not in_range or not nesterov_has_momentum or self.batch < 2:
            raise ValueError(
                f"{self}: allowed are lr > 0, 0 ≤ momentum < 1 (nesterov > 0), "
                "weight_decay ≥ 0, batch ≥ 2"
            )

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimiser of a model's parameters."""
        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )
