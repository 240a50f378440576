"""What a training step is given: a batch of small tensors, drawn on the CPU and sent in one go.

A batch is a tuple of tensors; a field may itself be such a tuple. It holds positions in the data
and random draws, not images. So a whole block of batches is small.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..fingerprint import neutral

Batch = Any  # a tuple of tensors and of such tuples
Shapes = tuple[tuple[torch.Size, torch.dtype], ...]


class Stack(NamedTuple):
    """Batches of equal shapes, one after another: each tensor has the steps as first dimension."""

    batch: Batch
    steps: int

    def unstack(self) -> Iterator[Batch]:
        """Yield the batches."""
        for step in range(self.steps):
            yield map_tensors(lambda tensor, at=step: tensor[at], self.batch)

    def part(self, start: int, stop: int) -> "Stack":
        """Return the batches from ``start`` up to ``stop``, without it."""
        return Stack(map_tensors(lambda tensor: tensor[start:stop], self.batch), stop - start)


def tensors_of(batch: Batch) -> list[Tensor]:
    """Return the tensors of a batch, in their order.

    Raises:
        TypeError: where it holds anything else. A number would be the same in every step of a
            graph that was captured.
    """
    if isinstance(batch, Tensor):
        return [batch]
    if not isinstance(batch, tuple):
        raise TypeError(f"a batch holds {type(batch).__name__}: allowed are tensors and tuples")
    found = []
    for part in batch:
        found += tensors_of(part)
    return found


def map_tensors(function: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """Return the batch with each tensor replaced by what the function gives for it."""
    if isinstance(batch, Tensor):
        return function(batch)
    parts = [map_tensors(function, part) for part in batch]
    is_named = hasattr(batch, "_fields")
    return type(batch)(*parts) if is_named else tuple(parts)


def shapes_of(batch: Batch) -> Shapes:
    """Return the shape and dtype of each tensor of a batch."""
    return tuple((tensor.shape, tensor.dtype) for tensor in tensors_of(batch))


@neutral
def stacked(batches: Iterable[Batch], device: torch.device) -> Iterator[Stack]:
    """Stack neighbours of equal shapes, and send each tensor of a stack to the device.

    So a block is sent with a few copies, and no step waits for one.
    """
    neighbours: list[Batch] = []
    shapes: Shapes = ()
    for batch in batches:
        new_shapes = shapes_of(batch)
        if neighbours and new_shapes != shapes:
            yield _stack(neighbours, device)
            neighbours = []
        neighbours.append(batch)
        shapes = new_shapes
    if neighbours:
        yield _stack(neighbours, device)


def _stack(batches: list[Batch], device: torch.device) -> Stack:
    columns = zip(*[tensors_of(batch) for batch in batches], strict=True)
    sent = iter([torch.stack(column).to(device, non_blocking=True) for column in columns])
    return Stack(map_tensors(lambda _: next(sent), batches[0]), len(batches))
