"""Batch-norm's running statistics: kept as they are, or estimated anew."""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ..models.interface import copied, to_float

_BATCH = 250  # images a pass


@contextlib.contextmanager
def preserve_batchnorm(model: nn.Module) -> Iterator[None]:
    """Pass without gradient, and leave batch-norm's running statistics as they were before.

    They are copied back in place, as a recorded CUDA graph needs the same addresses.
    """
    buffers = list(model.buffers())
    before = [buffer.clone() for buffer in buffers]
    with torch.no_grad():
        yield
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


def with_reestimated_batchnorm(model: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of the model whose batch-norm statistics are those of the images.

    Args:
        model: left as it is.
        images: (n, 3, h, w) uint8.
    """
    judged = copied(model)
    parts = images.chunk(math.ceil(len(images) / _BATCH))
    update_bn((to_float(part) for part in parts), judged)
    return judged
