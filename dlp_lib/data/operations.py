"""RandAugment's operations (Cubuk et al. 2019, arXiv:1909.13719), for a whole batch at once.

A batch has fourteen equal parts, and each part gets one operation. So no shape depends on what was
drawn, and operations of one kind run together: one blend, and one warp. They follow the arithmetic
of torchvision.transforms.v2.functional, which takes only one magnitude for a whole batch.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Range(NamedTuple):
    """FixMatch's range for the magnitude of an operation."""

    low: float
    high: float


# In the order of the parts; ``operate`` relies on it
OPERATIONS = {
    "identity": Range(0, 1),  # its magnitude is not used, nor those of the next two
    "equalize": Range(0, 1),
    "autocontrast": Range(0, 1),
    "brightness": Range(0.05, 0.95),
    "contrast": Range(0.05, 0.95),
    "color": Range(0.05, 0.95),
    "sharpness": Range(0.05, 0.95),
    "posterize": Range(4, 9),  # 4 to 8 bits: the floor is taken
    "solarize": Range(0, 1),
    "rotate": Range(-30, 30),  # degrees
    "shear x": Range(-0.3, 0.3),
    "shear y": Range(-0.3, 0.3),
    "translate x": Range(-0.3, 0.3),  # share of the width
    "translate y": Range(-0.3, 0.3),
}
BLENDS = 4  # brightness to sharpness
WARPS = 5  # rotate to translate y
# What a warp that changes nothing has: x is x, y is y
_AS_IT_IS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def parameters(magnitudes: Tensor, height: int, width: int) -> Tensor:
    """Turn magnitudes into what ``operate`` needs.

    This is done beforehand, on the CPU, so that views do not depend on a device's sine.

    Args:
        magnitudes: (…, 14, k), a row for each operation, in its range.
        height: of the images, in pixels.
        width: of the images, in pixels.

    Returns:
        (…, 14·k, 6) float32. Operations before the warps use the first number alone.
    """
    aspect = height / width
    of = dict(zip(OPERATIONS, magnitudes.unbind(-2), strict=True))
    numbers = magnitudes.new_tensor(_AS_IT_IS).repeat(*magnitudes.shape, 1)
    to = dict(zip(OPERATIONS, numbers.unbind(-3), strict=True))
    for name in ("brightness", "contrast", "color", "sharpness"):
        to[name][..., 0] = of[name]
    dropped_bits = 8 - of["posterize"].floor().clamp(max=8)
    to["posterize"][..., 0] = 256 - 2**dropped_bits
    to["solarize"][..., 0] = 256 * of["solarize"]
    cosine = of["rotate"].deg2rad().cos()
    sine = of["rotate"].deg2rad().sin()
    to["rotate"][..., 0] = cosine
    to["rotate"][..., 1] = -sine * aspect
    to["rotate"][..., 3] = sine / aspect
    to["rotate"][..., 4] = cosine
    slope = of["shear x"] * aspect
    to["shear x"][..., 1] = slope
    to["shear x"][..., 2] = slope  # about a corner, as PIL
    slope = of["shear y"] / aspect
    to["shear y"][..., 3] = slope
    to["shear y"][..., 5] = slope
    shift = (of["translate x"] * width).round()
    to["translate x"][..., 2] = -2 * shift / width
    shift = (of["translate y"] * height).round()
    to["translate y"][..., 5] = -2 * shift / height
    return numbers.flatten(-3, -2)


def operate(images: Tensor, parameters: Tensor) -> Tensor:
    """Change each fourteenth of a batch by one operation, in the order of OPERATIONS.

    Args:
        images: (14·k, 3, h, w) uint8; they stay as they are.
        parameters: (14·k, 6), of the function ``parameters``.

    Returns:
        The views, of the same shape and dtype.
    """
    k = len(images) // len(OPERATIONS)
    sizes = [k, k, (1 + BLENDS) * k, k, k, WARPS * k]
    same, equal, mixed, posterized, solarized, warped = images.split(sizes)
    _, _, shares, masks, thresholds, _ = parameters[:, 0].view(-1, 1, 1, 1).split(sizes)
    matrices = parameters[-WARPS * k :].view(-1, 2, 3)
    views = [
        same,
        _equalize(equal),
        _contrast_and_blend(mixed, shares[k:]),
        posterized & masks.to(torch.uint8),
        torch.where(solarized < thresholds, solarized, 255 - solarized),
        warp(warped, matrices),
    ]
    return torch.cat(views)


def _equalize(images: Tensor) -> Tensor:
    """Spread the values of each channel evenly, as PIL does, through a table of 256 values."""
    pixels = images.flatten(2).long()
    counts = pixels.new_zeros(*images.shape[:2], 256)
    counts.scatter_add_(2, pixels, torch.ones_like(pixels))
    of_brightest = counts.gather(2, pixels.amax(2, keepdim=True))
    step = (pixels.shape[2] - of_brightest) // 255
    below = counts.cumsum(2) - counts
    table = (below + step // 2) // step.clamp(min=1)
    unchanged = torch.arange(256, device=images.device)
    table = torch.where(step == 0, unchanged, table.clamp_(max=255))
    return table.gather(2, pixels).to(torch.uint8).view_as(images)


def _contrast_and_blend(images: Tensor, share: Tensor) -> Tensor:
    """Stretch the contrast of a first part, and mix four more with another image each.

    Args:
        images: (5·k, 3, h, w) uint8.
        share: (4·k, 1, 1, 1) of the image itself in its mixture.
    """
    images = images.float()
    k = len(images) // (1 + BLENDS)
    contrast, blended = images.split([k, BLENDS * k])
    black, grey, sharp = blended.split([k, 2 * k, k])
    grey_of_contrast, grey_of_color = _grey(grey).split(k)
    mean = grey_of_contrast.mean((1, 2, 3), keepdim=True)
    others = [
        torch.zeros_like(black),
        mean.expand_as(black),
        grey_of_color.expand_as(black),
        _smooth(sharp),
    ]
    blended = (blended * share).addcmul_(torch.cat(others), 1 - share)
    views = torch.cat([_autocontrast(contrast), blended])
    return views.clamp_(0, 255).to(torch.uint8)


def _autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to 0 to 255; one of a single value stays as it is."""
    least = images.amin((2, 3), keepdim=True)
    most = images.amax((2, 3), keepdim=True)
    is_flat = most == least
    scale = (most - least) * (1 / 255)
    scale = scale.masked_fill_(is_flat, 1)
    least = least.masked_fill_(is_flat, 0)
    return (images - least).div_(scale)


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.split(1, dim=1)
    grey = (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return grey.floor_()


def _smooth(images: Tensor) -> Tensor:
    kernel = torch.full((3 * 9,), 1 / 13, device=images.device)
    kernel[4::9] = 5 / 13  # in the middle of each channel's nine weights
    smooth = images.clone()  # the edge stays as it is
    inner = functional.conv2d(images, kernel.view(3, 1, 3, 3), groups=3)
    smooth[:, :, 1:-1, 1:-1] = inner.round_()
    return smooth


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Sample images at other places, to the nearest pixel.

    The output's x and y run from -1 to 1. What lies outside is black.

    Args:
        images: (n, 3, h, w) uint8.
        matrices: (n, 2, 3) float; an image is sampled at (xx·x + xy·y + x1, yx·x + yy·y + y1).
    """
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    warped = functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False)
    return warped.to(torch.uint8)
