"""What the library asks of a model, and how it hands images to it."""

import copy

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


def expect_rows(source: str, returned: object, n: int) -> Tensor:
    """Return what a model gave for n images, if it is a row of numbers for each.

    Args:
        source: what returned it, such as "WideResNet.features", for the message.
        returned: what it returned.
        n: number of images.

    Raises:
        TypeError: for anything but a floating-point tensor of shape (n, d).
    """
    found = f"an object of type {type(returned).__name__}"
    if isinstance(returned, Tensor):
        if returned.ndim == 2 and len(returned) == n and returned.is_floating_point():
            return returned
        found = f"{returned.dtype} of shape {tuple(returned.shape)}"
    raise TypeError(
        f"{source} returned {found}: allowed is a float tensor (n, d), here ({n}, d), "
        "with one row for each image"
    )


def expect_pictures(images: Tensor) -> None:
    """Check that images are as a Split has them: uint8 (n, 3, h, w).

    Raises:
        TypeError: for anything else, such as float images, which would be divided by 255 again.
    """
    found = f"an object of type {type(images).__name__}"
    if isinstance(images, Tensor):
        if images.dtype == torch.uint8 and images.ndim == 4:
            return
        found = f"{images.dtype} of shape {tuple(images.shape)}"
    raise TypeError(f"images: {found}; allowed is torch.uint8 (n, 3, h, w)")


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 images (n, 3, h, w) to what models take: float32 in [0, 1], channels last.

    The images themselves stay as they are.
    """
    pixels = images.to(torch.float32, memory_format=torch.channels_last, copy=True)
    return pixels.div_(255)


def device_of(model: nn.Module, images: Tensor) -> torch.device:
    """Return where a model is: the device of its weights, or that of the images without any."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return images.device


def uncompiled(model: nn.Module) -> nn.Module:
    """Return the module inside a model that ``torch.compile`` wrapped; another model as it is.

    A compiled model does not give what its parts answer, so a method that needs them takes this.
    """
    return getattr(model, "_orig_mod", model)


def copied(model: nn.Module) -> nn.Module:
    """Return a deep copy of a model, which may hold tensors of its last pass.

    Such a tensor may be part of a graph of gradients, which cannot be copied. The copy has its
    values.
    """
    memo: dict[int, Tensor] = {}
    for module in model.modules():
        _detach_into(memo, module.__dict__)
    return copy.deepcopy(model, memo)


def _detach_into(memo: dict[int, Tensor], value: object) -> None:
    """Note a copy without gradient for every tensor in nested containers that has a graph."""
    if isinstance(value, Tensor):
        if not value.is_leaf:
            memo[id(value)] = value.detach().clone()
    elif isinstance(value, dict):
        for item in value.values():
            _detach_into(memo, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _detach_into(memo, item)
