"""The paper's experiments with the paper's settings, on CIFAR-10."""

from .parts import PARTS, Part
from .tables import TABLES, measure
