"""SGD: the config of an optimiser, with which the config of every stage begins."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from ..checking import check_bool, check_field, check_int, check_number


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
        check_field(self, "lr", check_number, above=0)
        check_field(self, "momentum", check_number, least=0, below=1)
        check_field(self, "weight_decay", check_number, least=0)
        check_field(self, "nesterov", check_bool)
        check_field(self, "batch", check_int, 2)
        if self.nesterov and self.momentum == 0:
            raise ValueError("momentum=0.0: allowed with nesterov are finite numbers > 0 and < 1")

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimiser of a model's parameters."""
        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )
