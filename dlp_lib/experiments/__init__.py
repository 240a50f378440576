"""Experiments: scenarios, sweeps, trials, and the recorded tables."""

from .report import notebook_parameters, report
from .scenario import NO_ATTACK, Scenario, scenario
