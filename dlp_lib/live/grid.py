"""The settings whose results the lab page of the book holds."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from ..checking import check_field, check_fraction, check_int, check_sequence
from .setting import LabSetting

ATTACKS = ("BadNets", "Blended", "SIG")
SEED = 0
# Filtering needs no training, so that its precision is recorded at more gammas
FILTER_GAMMAS = (0.002, 0.003, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)


@dataclass(frozen=True)
class Grid:
    """Positions of the page's sliders, and those of them from which fine-tuning goes on.

    Raises:
        ValueError: for positions that no slider may have, and for ends outside of the grid.
    """

    epochs: int = 20  # the longest E1, and E2 of every ascent
    e1s: tuple[int, ...] = (1, 2, 4, 10, 20)
    gammas: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2)
    end_e1s: tuple[int, ...] = (4, 10)
    end_gammas: tuple[float, ...] = (0.01, 0.02, 0.05)
    end_e2s: tuple[int, ...] = (0, 11)

    def __post_init__(self):
        check_field(self, "epochs", check_int, 1)
        for name in ("e1s", "end_e1s"):
            check_field(self, name, check_sequence, check_int, least=1, most=self.epochs)
        for name in ("gammas", "end_gammas"):
            check_field(self, name, check_sequence, check_fraction)
        check_field(self, "end_e2s", check_sequence, check_int, least=0, most=self.epochs)
        for name in ("e1s", "gammas"):
            _expect_part(f"end_{name}", getattr(self, f"end_{name}"), getattr(self, name))

    def starts(self, attack: str) -> Iterator[LabSetting]:
        """Yield the settings whose whole ascent is recorded, E2 at its last epoch."""
        for e1, gamma in itertools.product(self.e1s, self.gammas):
            yield LabSetting(attack=attack, e1=e1, gamma=gamma, e2=self.epochs, seed=SEED)

    def ends(self, attack: str) -> Iterator[LabSetting]:
        """Yield the settings that are fine-tuned."""
        for e1, gamma, e2 in itertools.product(self.end_e1s, self.end_gammas, self.end_e2s):
            yield LabSetting(attack=attack, e1=e1, gamma=gamma, e2=e2, seed=SEED)


def _expect_part(name: str, values: tuple, allowed: tuple) -> None:
    for value in values:
        if value not in allowed:
            text = ", ".join(map(str, allowed))
            raise ValueError(f"{name}={value!r}: allowed are those of the grid: {text}")
