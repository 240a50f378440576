"""Trials for sweeps: DLP and the other defences from a flat dict of parameters, and notebooks."""

from .defences import DefenceTrial, DLPTrial, run_defence, run_dlp
from .flatten import flatten
from .notebook import Notebook

# By the names that a plan of a sweep may give
TRIALS = {"run_dlp": run_dlp, "run_defence": run_defence}
