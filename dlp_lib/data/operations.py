"""RandAugment's operations (Cubuk et al. 2019, arXiv:1909.13719), for a whole batch at once.

Each takes uint8 images (n, 3, h, w) and a magnitude for each of them (n,), and returns uint8. They
follow the arithmetic of torchvision.transforms.v2.functional, which takes only one magnitude for a
whole batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


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
