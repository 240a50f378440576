"""Immunisation: the trigger that the suspects show is put on images of every class.

It then stands on every class alike, and tells nothing. This is not DLP's paper's. We found no
earlier work that does just this. Chan & Ong 2019 (arXiv:1911.08040) come nearest: they extract a
poison signal from a model, and train with images to which it is added. Neural Cleanse (Wang et al.
2019) and I-BAU (Zeng et al. 2022, arXiv:2110.03735) unlearn a trigger that is found by
optimisation, and need clean data. Aseervatham et al. 2025 (arXiv:2506.01444) extract a trigger from
the tampered set, to find poisoned samples.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.split import Split
from ..training.admission import expect_indices

_BATCH = 256  # images at a time, so that memory does not grow with the set


class TriggerEstimate(NamedTuple):
    """What the trigger does to a pixel, as far as suspects show it: x → scale·x + shift."""

    scale: Tensor  # (3, h, w) float32, from 0 (the pixel is replaced) to 1 (it shows fully)
    shift: Tensor  # (3, h, w) float32, in 1/255

    def apply(self, images: Tensor) -> Tensor:
        """Return images with the estimated trigger; they themselves stay as they are.

        Args:
            images: (n, 3, h, w) uint8, on the estimate's device.
        """
        changed = images.float() * self.scale + self.shift
        return changed.round().clamp(0, 255).to(torch.uint8)


def estimate_trigger(tampered: Split, suspected: Tensor) -> TriggerEstimate:
    """Estimate the trigger from the suspects' pixels, without a clean image and without a model.

    For every pixel and channel, take mean and standard deviation over the suspects, and over all
    other samples. The estimate is the affine map that leads from the others' to the suspects':
    scale = std_suspects / std_others, at most 1, and shift = mean_suspects − scale·mean_others.
    A patch has scale 0 and its own colours as shift. Blending a pattern in has scale 1 − alpha and
    alpha·pattern. A wave that is added has scale 1 and itself. A trigger that moves pixels, or lies
    at another place in each image, is no such map.

    Where the suspects are clean, the estimate is what one class looks like. It is the better, the
    more of the suspects are poisoned, and the fewer of the others.

    Args:
        tampered: the training set.
        suspected: indices (m,) of the suspects.

    Raises:
        TypeError: for anything but indices.
        ValueError: for fewer than two suspects, or fewer than two others.
    """
    n = len(tampered)
    expect_indices("suspected", suspected, n)
    is_suspect = torch.zeros(n, dtype=torch.bool, device=tampered.images.device)
    is_suspect[suspected.to(is_suspect.device)] = True
    count = int(is_suspect.sum())
    if not 2 <= count <= n - 2:
        raise ValueError(
            f"suspected: {count} of {n} samples; allowed are 2 to {n - 2}, as the deviation of "
            "suspects and of others is needed"
        )
    mean, deviation = _moments(tampered.images, is_suspect)
    mean_of_others, deviation_of_others = _moments(tampered.images, ~is_suspect)
    # A pixel that is the same in all others tells no scale
    is_constant = deviation_of_others == 0
    scale = deviation / deviation_of_others.masked_fill(is_constant, 1)
    scale = scale.masked_fill(is_constant, 1).clamp(max=1)
    shift = mean - scale * mean_of_others
    return TriggerEstimate(scale.float(), shift.float())


def _moments(images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (3, h, w), float64, of the images of a mask.

    Args:
        images: (n, 3, h, w) uint8.
        mask: (n,) bool.
    """
    total = torch.zeros(images.shape[1:], dtype=torch.float64, device=images.device)
    total_of_squares = total.clone()
    for batch, members in zip(images.split(_BATCH), mask.split(_BATCH), strict=True):
        pixels = batch[members].double()  # sums of whole numbers are exact
        total += pixels.sum(0)
        total_of_squares += pixels.square().sum(0)
    count = mask.sum()
    mean = total / count
    variance = total_of_squares / count - mean.square()
    return mean, variance.clamp(min=0).sqrt()


def immunise(images: Tensor, trigger: TriggerEstimate, chosen: Tensor) -> Tensor:
    """Return images of which the chosen ones have the estimated trigger.

    Args:
        images: (n, 3, h, w) uint8.
        trigger: on the images' device.
        chosen: (n,) bool.
    """
    return torch.where(chosen.view(-1, 1, 1, 1), trigger.apply(images), images)
