"""Trials for sweeps: DLP and the other defences from a flat dict of parameters, and any notebook."""

from .experiments import Contest, Experiment, defended, dlp
from .notebook import Notebook, flat
