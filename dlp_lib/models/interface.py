"""What the library asks of a model, and how it hands images to it."""

import torch
from torch import Tensor, nn


def expect_features(model: nn.Module) -> None:
    """Check that a model offers its penultimate features.

    Raises:
        TypeError: for a model without ``features`` (images to penultimate features) and ``head``
            (those features to logits).
    """
    if not (hasattr(model, "features") and hasattr(model, "head")):
        name = type(model).__name__
        raise TypeError(f"{name} lacks features(images) or head(features), as WideResNet has them")


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 images (n, 3, h, w) to what models take: float32 in [0, 1], channels last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)
