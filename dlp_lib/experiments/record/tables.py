"""The tables of shapes10, by the names of their files."""

from collections.abc import Callable, Iterator

from ..scenario import Scenario
from .beyond import measure_beyond, measure_beyond_others, measure_evasions
from .compare import measure_baselines
from .limits import measure_limits
from .stages import measure_architectures, measure_orders, measure_stages
from .sweeps import measure_alpha_gamma, measure_lengths
from .undefended import (
    measure_attacks,
    measure_epochs,
    measure_filters,
    measure_rates,
    measure_speed,
)

TABLES: dict[str, Callable[[Scenario], Iterator[dict]]] = {
    "attacks": measure_attacks,
    "filters": measure_filters,
    "epochs": measure_epochs,
    "speed": measure_speed,
    "rates": measure_rates,
    "stages": measure_stages,
    "orders": measure_orders,
    "architectures": measure_architectures,
    "baselines": measure_baselines,
    "limits": measure_limits,
    "alpha_gamma": measure_alpha_gamma,
    "lengths": measure_lengths,
    "beyond": measure_beyond,
    "beyond_others": measure_beyond_others,
    "evasions": measure_evasions,
}
