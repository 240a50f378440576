"""Random weak and strong views of a whole batch at once.

All draws come from one CPU generator. So views are the same on every device, and a GPU need not
wait for them.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


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


# The fourteen operations take uint8 images (n, 3, h, w) and a magnitude each (n,), and return
# uint8. They follow the arithmetic of torchvision.transforms.v2.functional, which takes only one
# magnitude for a whole batch.


def _identity(images: Tensor, _: Tensor) -> Tensor:
    return images


def _autocontrast(images: Tensor, _: Tensor) -> Tensor:
    from torchvision.transforms.v2.functional import autocontrast

    return autocontrast(images)


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    from torchvision.transforms.v2.functional import equalize

    return equalize(images)


def _brightness(images: Tensor, share: Tensor) -> Tensor:
    return _blend(images, 0.0, share)


def _contrast(images: Tensor, share: Tensor) -> Tensor:
    mean = _grey(images).mean((1, 2, 3), keepdim=True)
    return _blend(images, mean, share)


def _color(images: Tensor, share: Tensor) -> Tensor:
    return _blend(images, _grey(images), share)


def _sharpness(images: Tensor, share: Tensor) -> Tensor:
    return _blend(images, _smooth(images), share)


def _blend(images: Tensor, other: Tensor | float, share: Tensor) -> Tensor:
    share = _per_image(share)
    mixed = images * share + other * (1 - share)
    return mixed.clamp_(0, 255).to(torch.uint8)


def _per_image(values: Tensor) -> Tensor:
    """Shape a value for each image (n,) as (n, 1, 1, 1)."""
    return values[:, None, None, None]


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.float().unbind(1)
    grey = 0.2989 * red + 0.587 * green + 0.114 * blue
    return grey.floor_().unsqueeze(1)


def _smooth(images: Tensor) -> Tensor:
    smooth = images.float()
    kernel = torch.full((3, 1, 3, 3), 1 / 13, device=images.device)
    kernel[:, :, 1, 1] = 5 / 13
    inner = functional.conv2d(smooth, kernel, groups=3)
    smooth[:, :, 1:-1, 1:-1] = inner.round_()
    return smooth


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    dropped = 8 - bits.floor().clamp(max=8)
    mask = (256 - 2**dropped).to(torch.uint8)
    return images & _per_image(mask)


def _solarize(images: Tensor, threshold: Tensor) -> Tensor:
    is_dark = images < 256 * _per_image(threshold)
    return torch.where(is_dark, images, 255 - images)


def _rotate(images: Tensor, degrees: Tensor) -> Tensor:
    cosine = degrees.deg2rad().cos()
    sine = degrees.deg2rad().sin()
    aspect = _aspect(images)
    return warp(images, xx=cosine, xy=-sine * aspect, yx=sine / aspect, yy=cosine)


def _shear_x(images: Tensor, slope: Tensor) -> Tensor:
    slope = slope * _aspect(images)
    return warp(images, xy=slope, x1=slope)  # about a corner, as PIL


def _shear_y(images: Tensor, slope: Tensor) -> Tensor:
    slope = slope * _aspect(images) ** -1
    return warp(images, yx=slope, y1=slope)


def _translate_x(images: Tensor, share: Tensor) -> Tensor:
    width = images.shape[-1]
    shift = (share * width).round()
    return warp(images, x1=-2 * shift / width)


def _translate_y(images: Tensor, share: Tensor) -> Tensor:
    height = images.shape[-2]
    shift = (share * height).round()
    return warp(images, y1=-2 * shift / height)


def _aspect(images: Tensor) -> float:
    height, width = images.shape[-2:]
    return height / width


def warp(images: Tensor, xx=1.0, xy=0.0, x1=0.0, yx=0.0, yy=1.0, y1=0.0) -> Tensor:
    """Sample images at (xx·x + xy·y + x1, yx·x + yy·y + y1), to the nearest pixel.

    The output's x and y run from -1 to 1. What lies outside is black.

    Args:
        images: (n, 3, h, w) uint8.
        xx: like the other factors a number, or one for each image (n,).
    """
    zero = images.new_zeros(len(images), dtype=torch.float32)
    factors = [zero + factor for factor in (xx, xy, x1, yx, yy, y1)]
    matrices = torch.stack(factors, 1).view(-1, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    warped = functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False)
    return warped.to(torch.uint8)


class Operation(NamedTuple):
    """One of RandAugment's operations, and FixMatch's range for its magnitude."""

    apply: Callable[[Tensor, Tensor], Tensor]
    low: float
    high: float


OPERATIONS = {
    "identity": Operation(_identity, 0, 1),
    "autocontrast": Operation(_autocontrast, 0, 1),
    "equalize": Operation(_equalize, 0, 1),
    "brightness": Operation(_brightness, 0.05, 0.95),
    "contrast": Operation(_contrast, 0.05, 0.95),
    "color": Operation(_color, 0.05, 0.95),
    "sharpness": Operation(_sharpness, 0.05, 0.95),
    "posterize": Operation(_posterize, 4, 9),  # 4 to 8 bits: the floor is taken
    "solarize": Operation(_solarize, 0, 1),
    "rotate": Operation(_rotate, -30, 30),
    "shear x": Operation(_shear_x, -0.3, 0.3),
    "shear y": Operation(_shear_y, -0.3, 0.3),
    "translate x": Operation(_translate_x, -0.3, 0.3),
    "translate y": Operation(_translate_y, -0.3, 0.3),
}
