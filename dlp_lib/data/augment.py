"""Random weak and strong views of a whole batch at once.

All draws come from one CPU generator, and are made apart from the views. So views are the same on
every device, and a training step only applies what was drawn before.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .operations import OPERATIONS, operate, parameters

Size = tuple[int, int]  # height and width, in pixels


class StrongDraws(NamedTuple):
    """What decides the strong views of a batch of n images.

    RandAugment runs twice. Each time the images fall at random on m places, where m is the next
    multiple of fourteen, and each fourteenth of the places has one operation. Some images stand
    on a second place, and what comes of that is dropped. So each image gets each operation with
    probability 1/14.

    ``draw_strong`` gives a first dimension more: the steps.
    """

    weak: Tensor  # (n, 3), of ``draw_weak``
    images: Tensor  # (m,) which image stands on each place at first
    operations: Tensor  # (m, 6), of operations.parameters
    second_images: Tensor  # (m,) on which place that one stood which stands here afterwards
    second_operations: Tensor  # (m, 6)
    back: Tensor  # (n,) on which place each image stands at the end
    centres: Tensor  # (n, 2) long: row and column in the middle of the blanked square


def draw_weak(steps: int, n: int, size: Size, generator: torch.Generator) -> Tensor:
    """Draw what decides weak views, for several steps at once.

    Args:
        steps: how many steps; the first dimension of what is returned.
        n: images a step.
        size: of the images, height and width in pixels.
        generator: on the CPU.

    Returns:
        (steps, n, 3) long: whether to flip (0 or 1), and how far to go down and across, in pixels.
    """
    draws = torch.rand(steps, n, 3, generator=generator)
    reach = torch.tensor([side // 8 for side in size])
    flip = (draws[..., :1] < 0.5).long()
    shifts = (draws[..., 1:] * (2 * reach + 1)).long() - reach
    return torch.cat([flip, shifts], dim=2)


def draw_strong(steps: int, n: int, size: Size, generator: torch.Generator) -> StrongDraws:
    """Draw what decides strong views, for several steps at once; the arguments of ``draw_weak``."""
    weak = draw_weak(steps, n, size, generator)
    first = _draw_places(steps, n, generator)
    first_operations = _draw_operations(steps, n, size, generator)
    second = _draw_places(steps, n, generator)
    second_operations = _draw_operations(steps, n, size, generator)
    centres = (torch.rand(steps, n, 2, generator=generator) * torch.tensor(size)).long()
    place_after_first = first.argsort(1)[:, :n]  # of each image
    place_after_second = second.argsort(1)[:, :n]
    images = first % n
    second_images = place_after_first.gather(1, second % n)
    return StrongDraws(
        weak,
        images,
        first_operations,
        second_images,
        second_operations,
        place_after_second,
        centres,
    )


def _draw_places(steps: int, n: int, generator: torch.Generator) -> Tensor:
    """Draw a random order (steps, m) of m places: n and more stand for images that repeat."""
    m = len(OPERATIONS) * math.ceil(n / len(OPERATIONS))
    # In double precision two draws are never equal in practice, and each order is as probable
    draws = torch.rand(steps, m, generator=generator, dtype=torch.float64)
    return draws.argsort(1)


def _draw_operations(steps: int, n: int, size: Size, generator: torch.Generator) -> Tensor:
    """Draw a magnitude for each place, and return the operations' parameters (steps, m, 6)."""
    k = math.ceil(n / len(OPERATIONS))
    low = torch.tensor([range_.low for range_ in OPERATIONS.values()])
    high = torch.tensor([range_.high for range_ in OPERATIONS.values()])
    shares = torch.rand(steps, len(OPERATIONS), k, generator=generator)
    magnitudes = low[:, None] + (high - low)[:, None] * shares
    return parameters(magnitudes, *size)


def weak(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw, and return, weak views: each image flipped (probability ½) and shifted.

    Args:
        images: (n, c, h, w) uint8; they stay as they are.
        generator: on the CPU.

    Returns:
        The views, of the same shape and dtype.
    """
    draws = draw_weak(1, len(images), images.shape[2:], generator)
    return apply_weak(images, draws[0].to(images.device))


def strong(images: Tensor, generator: torch.Generator) -> Tensor:
    """Draw, and return, FixMatch's strong views (Sohn et al. 2020, arXiv:2001.07685).

    A strong view is a weak one, changed by two random operations of RandAugment and by Cutout.

    Args:
        images: (n, 3, h, w) uint8; they stay as they are.
        generator: on the CPU.
    """
    draws = draw_strong(1, len(images), images.shape[2:], generator)
    return apply_strong(images, StrongDraws(*[part[0].to(images.device) for part in draws]))


def apply_weak(images: Tensor, draws: Tensor) -> Tensor:
    """Flip and shift each image, by up to an eighth of the side. Edges are reflected.

    Args:
        images: (n, c, h, w) uint8; they stay as they are.
        draws: (n, 3), one step of ``draw_weak``, on the images' device.
    """
    n, channels, height, width = images.shape
    flip, down, across = draws.split(1, dim=1)
    rows = _window(down, height)
    columns = _window(across, width)
    columns = torch.where(flip == 1, columns.flip(1), columns)
    # The index of every pixel's source is the same in all channels.
    source = (rows * width).unsqueeze(2) + columns.unsqueeze(1)
    source = source.view(n, 1, -1).expand(-1, channels, -1)
    return images.flatten(2).gather(2, source).view(images.shape)


def apply_strong(images: Tensor, draws: StrongDraws) -> Tensor:
    """Apply a weak view, two rounds of operations, and Cutout.

    Args:
        images: (n, 3, h, w) uint8; they stay as they are.
        draws: one step of ``draw_strong``, on the images' device.
    """
    views = apply_weak(images, draws.weak)
    views = operate(views[draws.images], draws.operations)
    views = operate(views[draws.second_images], draws.second_operations)
    return _cutout(views[draws.back], draws.centres)


def _window(shift: Tensor, size: int) -> Tensor:
    """Return the source index (n, size) of every row of a crop from the reflected side.

    Args:
        shift: (n, 1) in pixels.
        size: of the side, in pixels.
    """
    line = torch.arange(size, device=shift.device) + shift
    last = size - 1
    return last - (last - line.abs()).abs()


def _cutout(images: Tensor, centres: Tensor) -> Tensor:
    """Blank a square of half the side around ``centres`` (n, 2), cut off at the edges."""
    n, _, height, width = images.shape
    down, across = centres.split(1, dim=1)
    rows = _near(down, height).view(n, 1, height, 1)
    columns = _near(across, width).view(n, 1, 1, width)
    return images.masked_fill(rows & columns, 127)


def _near(centre: Tensor, side: int) -> Tensor:
    """Return which pixels of a side lie within a quarter of it from centres (n, 1): (n, side)."""
    distance = torch.arange(side, device=centre.device) - centre
    reach = side // 4
    return (distance >= -reach) & (distance < reach)
