"""Data sets as tensors: uint8 images and labels that live on the device from the start."""

from .datasets import DATASETS, load
from .split import Split, imbalanced
