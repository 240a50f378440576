"""Random weak and strong views of a whole batch at once.

All draws come from one CPU generator. So views are the same on every device, and a GPU need not
wait for them.
"""

import torch
from torch import Tensor

from .operations import OPERATIONS


def weak(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip each image (probability ½) and shift it by up to an eighth of the side.

    Args:
        images: (n, c, h, w) uint8; they stay as they are. Edges are reflected.
        generator: on the CPU.

    Returns:
        The views, of the same shape and dtype.
    """
    n, channels, height, width = images.shape
    draws = move_like(torch.rand(n, 3, generator=generator), images)
    flip, down, across = draws.split(1, dim=1)
    rows = _window(down, height)
    columns = _window(across, width)
    columns = torch.where(flip < 0.5, columns.flip(1), columns)
    rows = rows.unsqueeze(2)
    columns = columns.unsqueeze(1)
    # The index of every pixel's source is the same in all channels.
    source = (rows * width + columns).view(n, 1, -1)
    source = source.expand(-1, channels, -1)
    return images.flatten(2).gather(2, source).view(images.shape)


def strong(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return FixMatch's strong views (Sohn et al. 2020, arXiv:2001.07685).

    A strong view is a weak one, changed by two random operations of RandAugment and by Cutout.

    Args:
        images: (n, 3, h, w) uint8; they stay as they are.
        generator: on the CPU.
    """
    images = weak(images, generator)
    images = _random_operation(images, generator)
    images = _random_operation(images, generator)
    centres = move_like(torch.rand(len(images), 2, generator=generator), images)
    return _cutout(images, centres)


def move_like(drawn: Tensor, images: Tensor) -> Tensor:
    """Copy what was drawn on the CPU to where the images are.

    If it is small, nothing waits for the copy, and a GPU may lag behind.
    """
    return drawn.to(images.device, non_blocking=True)


def _window(shift: Tensor, size: int) -> Tensor:
    """Return the source index (n, size) of every row of a crop from the reflected side.

    Args:
        shift: (n, 1) in [0, 1), from the largest shift one way to the largest the other way.
        size: of the side, in pixels.
    """
    reach = size // 8
    count = 2 * reach + 1
    offset = (shift * count).long() - reach
    line = torch.arange(size, device=shift.device) + offset
    last = size - 1
    return last - (last - line.abs()).abs()


def _random_operation(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change each image by one operation.

    Images are sorted by operation, so that each operation runs once.
    """
    choice = torch.randint(len(OPERATIONS), (len(images),), generator=generator)
    amount = move_like(torch.rand(len(images), generator=generator), images)
    order = move_like(choice.argsort(), images)
    counts = choice.bincount(minlength=len(OPERATIONS))  # on the CPU: no GPU is waited for
    sizes = counts.tolist()
    groups = images[order].split(sizes)
    amounts = amount[order].split(sizes)
    views = []
    for operation, group, share in zip(OPERATIONS.values(), groups, amounts, strict=True):
        if len(group):
            width = operation.high - operation.low
            magnitude = operation.low + width * share
            views.append(operation.apply(group, magnitude))
    return torch.cat(views)[order.argsort()]


def _cutout(images: Tensor, centres: Tensor) -> Tensor:
    """Blank a square of half the side around ``centres`` (n, 2) in [0, 1), cut off at the edges."""
    height, width = images.shape[-2:]
    down, across = centres.unbind(1)
    rows = _near(down, height)[:, None, :, None]
    columns = _near(across, width)[:, None, None, :]
    return images.masked_fill(rows & columns, 127)


def _near(centre: Tensor, side: int) -> Tensor:
    """Return which pixels of a side lie within a quarter of it from a centre: (n, side) bool."""
    middle = (centre * side).long().unsqueeze(1)
    distance = torch.arange(side, device=centre.device) - middle
    reach = side // 4
    return (distance >= -reach) & (distance < reach)
