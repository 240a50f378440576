"""WaNet (Nguyen & Tran 2021, arXiv:2102.10369): a smooth warp, which hardly moves a pixel."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..checking import check_field, check_int, check_number, check_seed
from ..context import Context
from .base import Attack


@dataclass(frozen=True)
class WaNet(Attack):
    """Warp every image by the same smooth field; poison-label.

    The field is uniform noise on a coarse grid, scaled to a mean absolute value of 1, and
    upsampled to the image size. Some images of the training set are decoys: they are warped by the
    field and further noise, and keep their true labels (the paper's noise mode). So the model
    learns this very field as the trigger, and not warps in general.
    """

    grid: int = 4  # control points along each side, 2 or more: k, the paper's
    strength: float = 0.5  # of the warp, above 0: s, the paper's; 2 is a mean shift of one pixel
    noise_ratio: float = 2.0  # decoys for each poisoned image, 0 or more; the paper's
    pattern_seed: int = 0  # of the field

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "grid", check_int, 2)
        check_field(self, "strength", check_number, above=0)
        check_field(self, "noise_ratio", check_number, least=0)
        check_field(self, "pattern_seed", check_seed)

    def field(self, height: int, width: int) -> Tensor:
        """Return the warping field (1, h, w, 2) in x and y, float32, before it is scaled.

        It is drawn on the CPU, so that it is alike on every device.
        """
        generator = torch.Generator().manual_seed(self.pattern_seed)
        control = torch.rand(1, 2, self.grid, self.grid, generator=generator) * 2 - 1
        control = control / control.abs().mean()
        size = (height, width)
        smooth = functional.interpolate(control, size, mode="bicubic", align_corners=True)
        return smooth.permute(0, 2, 3, 1)

    def trigger(self, images: Tensor) -> Tensor:
        """Warp images by the field: uint8 (n, 3, h, w) in and out."""
        return _sample(images, self._sampling_grid(images))

    def count_decoys(self, poisoned: int) -> int:
        """Return ``noise_ratio`` decoys for each poisoned image."""
        return round(self.noise_ratio * poisoned)

    def make_decoys(self, images: Tensor, context: Context) -> Tensor:
        """Warp each image by the field and by uniform noise of its own in every pixel."""
        n, _, height, width = images.shape
        generator = context.runtime.generator("WaNet", "noise")
        noise = torch.rand(n, height, width, 2, generator=generator) * 2 - 1
        offsets = _in_pixels(noise).to(images.device)
        grid = self._sampling_grid(images) + offsets
        return _sample(images, grid.clamp(-1, 1))

    def _sampling_grid(self, images: Tensor) -> Tensor:
        """Return where each pixel comes from (1, h, w, 2), in x and y from -1 to 1."""
        height, width = images.shape[-2:]
        field = self.strength * self.field(height, width)
        grid = _identity_grid(height, width) + _in_pixels(field)
        return grid.clamp(-1, 1).to(images.device)


def _identity_grid(height: int, width: int) -> Tensor:
    """Return (1, h, w, 2): x and y of every pixel, from -1 to 1."""
    rows = torch.linspace(-1, 1, height)
    columns = torch.linspace(-1, 1, width)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=2)[None]


def _in_pixels(field: Tensor) -> Tensor:
    """Scale a field (n, h, w, 2) so that 2 means about one pixel.

    The paper divides by the height, as its images are square. Here each direction is divided by
    its own side.
    """
    _, height, width, _ = field.shape
    return field / torch.tensor([width, height])


def _sample(images: Tensor, grid: Tensor) -> Tensor:
    """Read images bilinearly at the places of a grid (1 or n, h, w, 2)."""
    grid = grid.expand(len(images), -1, -1, -1)
    warped = functional.grid_sample(images.float(), grid, align_corners=True)
    return warped.round().clamp(0, 255).to(torch.uint8)
