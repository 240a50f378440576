"""Weak and strong views of a whole batch at once, drawn from one CPU generator: the same everywhere, and no sync."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

SOURCE = __loader__.get_source(__name__)


def weak(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip (probability ½) and crop, shifted by up to an eighth of the side, edges reflected; uint8 (n, 3, h, w)."""
    n, channels, height, width = images.shape
    flip, top, left = send(torch.rand(n, 3, generator=generator), images).split(1, dim=1)
    rows, columns = _window(top, height), _window(left, width)
    columns = torch.where(flip < 0.5, columns.flip(1), columns)
    source = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1)  # of every pixel, the same in all channels
    return images.flatten(2).gather(2, source.expand(-1, channels, -1)).view(images.shape)


def send(drawn: Tensor, images: Tensor) -> Tensor:
    """What was drawn on the CPU, where the images are. Nobody waits, if it is small: a GPU may lag behind."""
    return drawn.to(images.device, non_blocking=True)


def _window(shift: Tensor, size: int) -> Tensor:
    """Source index (n, size) of every row of a crop from the reflect-padded side; ``shift`` in [0, 1)."""
    reach = size // 8
    line = torch.arange(size, device=shift.device) + (shift * (2 * reach + 1)).long() - reach
    return (size - 1) - ((size - 1) - line.abs()).abs()


def strong(images: Tensor, generator: torch.Generator) -> Tensor:
    """FixMatch's (Sohn et al. 2020): weak view, two of RandAugment's operations, Cutout; uint8 (n, 3, h, w)."""
    images = weak(images, generator)
    images = _random_operation(_random_operation(images, generator), generator)
    return _cutout(images, send(torch.rand(len(images), 2, generator=generator), images))


def _random_operation(images: Tensor, generator: torch.Generator) -> Tensor:
    """One operation an image. Images are sorted by operation, so that each operation runs once."""
    choice = torch.randint(len(OPERATIONS), (len(images),), generator=generator)
    amount = send(torch.rand(len(images), generator=generator), images)
    order = send(choice.argsort(), images)
    sizes = choice.bincount(minlength=len(OPERATIONS)).tolist()  # known on the CPU: no sync
    groups = zip(OPERATIONS.values(), images[order].split(sizes), amount[order].split(sizes), strict=True)
    views = [kind(group, low + (high - low) * share) for (kind, low, high), group, share in groups if len(group)]
    return torch.cat(views)[order.argsort()]


def _cutout(images: Tensor, centre: Tensor) -> Tensor:
    """A grey square of half the side around ``centre`` (n, 2) in [0, 1), cut off at the edges."""
    holes = []
    for side, middle in zip(images.shape[-2:], centre.unbind(1), strict=True):
        line = torch.arange(side, device=images.device) - (middle * side).long()[:, None]
        holes.append((line >= -(side // 4)) & (line < side // 4))
    return images.masked_fill(holes[0][:, None, :, None] & holes[1][:, None, None, :], 127)


# The fourteen operations: uint8 images (n, 3, h, w) and a magnitude each (n,) in, uint8 out. They follow the
# arithmetic of torchvision.transforms.v2.functional, which takes only one magnitude for a whole batch.


def _torchvision(name: str, images: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional as v2

    return getattr(v2, name)(images)


def _blend(images: Tensor, other: Tensor | float, share: Tensor) -> Tensor:
    share = share[:, None, None, None]
    return (images * share + other * (1 - share)).clamp_(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.float().unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).floor_()[:, None]


def _smooth(images: Tensor) -> Tensor:
    smooth = images.float()
    kernel = torch.full((3, 1, 3, 3), 1 / 13, device=images.device)
    kernel[:, :, 1, 1] = 5 / 13
    smooth[:, :, 1:-1, 1:-1] = functional.conv2d(smooth, kernel, groups=3).round_()
    return smooth


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    return images & (256 - 2 ** (8 - bits.floor().clamp(max=8))).to(torch.uint8)[:, None, None, None]


def warp(images: Tensor, xx=1.0, xy=0.0, x1=0.0, yx=0.0, yy=1.0, y1=0.0) -> Tensor:
    """Sample at (xx·x + xy·y + x1, yx·x + yy·y + y1), the output's x and y running from -1 to 1; black outside."""
    zero = images.new_zeros(len(images), dtype=torch.float32)
    matrix = torch.stack([zero + factor for factor in (xx, xy, x1, yx, yy, y1)], 1).view(-1, 2, 3)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False).to(torch.uint8)


def _rotate(images: Tensor, degrees: Tensor) -> Tensor:
    cosine, sine, aspect = degrees.deg2rad().cos(), degrees.deg2rad().sin(), images.shape[-2] / images.shape[-1]
    return warp(images, cosine, -sine * aspect, 0, sine / aspect, cosine, 0)


def _shear(images: Tensor, slope: Tensor, axis: int) -> Tensor:
    slope = slope * (images.shape[-2] / images.shape[-1]) ** (1 if axis else -1)  # about a corner, as PIL
    return warp(images, xy=slope, x1=slope) if axis else warp(images, yx=slope, y1=slope)


def _translate(images: Tensor, share: Tensor, axis: int) -> Tensor:
    shift = -2 * (share * images.shape[axis - 2]).round() / images.shape[axis - 2]
    return warp(images, x1=shift) if axis else warp(images, y1=shift)


OPERATIONS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float, float]] = {  # with FixMatch's ranges
    "identity": (lambda images, _: images, 0, 1),
    "autocontrast": (lambda images, _: _torchvision("autocontrast", images), 0, 1),
    "equalize": (lambda images, _: _torchvision("equalize", images), 0, 1),
    "brightness": (lambda images, share: _blend(images, 0.0, share), 0.05, 0.95),
    "contrast": (lambda images, share: _blend(images, _grey(images).mean((1, 2, 3), True), share), 0.05, 0.95),
    "color": (lambda images, share: _blend(images, _grey(images), share), 0.05, 0.95),
    "sharpness": (lambda images, share: _blend(images, _smooth(images), share), 0.05, 0.95),
    "posterize": (_posterize, 4, 9),  # 4 to 8 bits: the floor is taken
    "solarize": (lambda images, at: torch.where(images < 256 * at[:, None, None, None], images, 255 - images), 0, 1),
    "rotate": (_rotate, -30, 30),
    "shear x": (lambda images, slope: _shear(images, slope, 1), -0.3, 0.3),
    "shear y": (lambda images, slope: _shear(images, slope, 0), -0.3, 0.3),
    "translate x": (lambda images, share: _translate(images, share, 1), -0.3, 0.3),
    "translate y": (lambda images, share: _translate(images, share, 0), -0.3, 0.3),
}
