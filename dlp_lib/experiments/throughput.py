"""Throughput: how many images a model trains on in a second, on this machine."""

import time

import torch
from torch import nn
from torch.nn import functional

from ..data import Split
from ..models.interface import to_float


def images_per_second(model: nn.Module, data: Split, batch: int = 32, repeats: int = 3) -> float:
    """Return how many images a second pass forward and backward.

    Args:
        model: its gradients, and its batch-norm statistics, change.
        data: of which the first batch is taken, again and again.
        batch: images in a batch.
        repeats: how many batches are timed. One more comes before them, as the first is slower.
    """
    images = to_float(data.images[:batch])
    labels = data.labels[:batch]
    functional.cross_entropy(model(images), labels).backward()
    start = time.perf_counter()
    for _ in range(repeats):
        functional.cross_entropy(model(images), labels).backward()
    if images.is_cuda:
        torch.cuda.synchronize()
    return repeats * len(images) / (time.perf_counter() - start)
