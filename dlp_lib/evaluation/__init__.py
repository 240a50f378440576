"""Evaluation: the judge, who alone knows the attack and the truth. Never for a choice."""

from .audit import after_each, audit, measure_checkpoint
from .metrics import Metrics, as_row, evaluate, filter_precision, target_recall
