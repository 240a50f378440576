"""The door: what a model and a set of images must be, checked before any work."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..checking import check_type
from ..context import Context
from ..data.split import Split
from ..models.interface import copied, expect_features, expect_rows, uncompiled
from ..runtime import Runtime
from .inference import logits_and_features, outputs_in_both_modes, predict

_SAMPLE = 4  # images that pass
_TOLERANCE = 1e-3  # of logits, between two ways through a model


def admit(
    name: str,
    model: nn.Module,
    data: Split,
    context: Context,
    *,
    trains: bool = True,
    in_parts: bool = False,
    has_features: bool = False,
    role: str = "model",
) -> tuple[nn.Module, Split]:
    """Check what a method was given; return a copy of the model and the images, ready to work on.

    A few images pass in both modes. So whatever the model makes in its first pass is there.

    Args:
        name: of the images, as the caller wrote it: "tampered" or "clean".
        model: float images (n, 3, h, w) in [0, 1] to logits (n, classes); it stays as it is.
        data: labelled images.
        context: whose device both come to.
        trains: False where no weight of the model itself is to be trained.
        in_parts: True where the method takes the model apart. One that ``torch.compile`` wrapped
            then comes back as the model inside.
        has_features: True where the method needs ``features`` and ``head``.
        role: what the caller calls the model.

    Raises:
        TypeError: for arguments of other types, for a model that returns no logits (n, C), and
            where ``features`` or ``head`` is needed and missing, or returns no row for each image.
        ValueError: for fewer than two images, and for a model that cannot take them, that has
            another number of classes, has no weights to train, or gives other logits than its
            features and its head.
    """
    _expect_types(name, model, data, context, role)
    if has_features:
        expect_features(model)
    _expect_weights(model, trains, role)
    if in_parts:
        model = uncompiled(model)
    model = copied(model).to(context.runtime.device)
    data = data.to(context.runtime.device)
    _expect_learner(name, model, data, context, trains=trains, role=role)
    if has_features:
        _expect_features_and_head(model, data.images[:_SAMPLE])
    return model, data


def admit_in_place(name: str, model: nn.Module, data: Split, context: Context) -> Split:
    """Check what a stage was given, as ``admit`` does; return the images on the context's device.

    Args:
        name: of the images, as the caller wrote it.
        model: moved to the context's device, to be trained in place.
        data: labelled images.
        context: whose device both come to.

    Raises:
        TypeError: as ``admit`` does.
        ValueError: as ``admit`` does.
    """
    _expect_types(name, model, data, context, "model")
    model.to(context.runtime.device)
    data = data.to(context.runtime.device)
    _expect_learner(name, model, data, context, trains=True, role="model")
    return data


def _expect_types(name: str, model: nn.Module, data: Split, context: Context, role: str) -> None:
    check_type(role, model, nn.Module)
    check_type(name, data, Split)
    check_type("context", context, Context)


def _expect_learner(
    name: str, model: nn.Module, data: Split, context: Context, *, trains: bool, role: str
) -> None:
    """Check that a model can be trained on images that are on its device."""
    if len(data) < 2:
        raise ValueError(f"{name}: a set of {len(data)} images; at least 2 are needed")
    _expect_weights(model, trains, role)
    logits = _logits_in_both_modes(model, data.images[:_SAMPLE], context.runtime, role)
    expect_classes(logits, data, name, role)


def expect_indices(name: str, indices: Tensor, n: int) -> None:
    """Check that indices are one or more of n samples.

    Args:
        name: of the indices, as the caller wrote it.
        indices: (m,) whole numbers.
        n: number of samples.

    Raises:
        TypeError: for anything but a tensor of whole numbers.
        ValueError: where there are none, or one is not below n.
    """
    check_type(name, indices, Tensor)
    if indices.ndim != 1 or indices.dtype != torch.int64:
        raise TypeError(
            f"{name}: {indices.dtype} of shape {tuple(indices.shape)}; allowed are indices (m,), "
            "torch.int64"
        )
    if len(indices) == 0:
        raise ValueError(f"{name}: there are none; allowed are indices of one sample or more")
    low = int(indices.min())
    high = int(indices.max())
    if low < 0 or high >= n:
        raise ValueError(f"{name}: indices from {low} to {high}; allowed are 0 to {n - 1}")


def expect_classes(logits: Tensor, data: Split, name: str = "test", role: str = "model") -> None:
    """Check that a model has as many classes as a set of images.

    Args:
        logits: (n, classes) of the model.
        data: the set.
        name: what the caller calls the set.
        role: what the caller calls the model.

    Raises:
        ValueError: where it does not.
    """
    outputs = logits.shape[1]
    classes = len(data.classes)
    if outputs != classes:
        raise ValueError(
            f"{role}: it tells {outputs} classes apart; allowed are the {classes} that {name} has"
        )


def _expect_features_and_head(model: nn.Module, images: Tensor) -> None:
    """Check that a model is its features and its head, one after the other."""
    in_parts = logits_and_features(model, images).logits
    as_one = predict(model, images)
    scale = as_one.abs().max().clamp(min=1)
    same = in_parts.shape == as_one.shape and (in_parts - as_one).abs().max() <= _TOLERANCE * scale
    if not same and as_one.isfinite().all():
        raise ValueError(
            f"model: {type(model).__name__} gives other logits than its head(features(images)); "
            "allowed is a model that is these two, one after the other"
        )


def _expect_weights(model: nn.Module, trains: bool, role: str) -> None:
    if not torch.is_grad_enabled():
        raise ValueError("gradients are off: call this outside torch.no_grad and inference_mode")
    name = type(uncompiled(model)).__name__
    weights = list(model.parameters())
    if any(is_lazy(weight) for weight in weights):
        raise ValueError(
            f"{role}: {name} has weights without a shape; pass images through it once, so that its "
            "lazy layers are made"
        )
    if trains and not any(weight.requires_grad for weight in weights):
        raise ValueError(
            f"{role}: {name} has no weight that requires a gradient, so none can learn"
        )
    for weight in weights:
        if weight.is_inference():
            raise ValueError(f"{role}: {name} was made in torch.inference_mode, and cannot learn")


def _logits_in_both_modes(model: nn.Module, images: Tensor, runtime: Runtime, role: str) -> Tensor:
    """Return the logits of evaluation mode; those of training mode are checked as well."""
    name = type(uncompiled(model)).__name__
    try:
        outputs = outputs_in_both_modes(model, images, runtime)
    except ValueError:  # in the model's own words, as the library's models have them
        raise
    except Exception as error:
        shape = tuple(images.shape)
        reason = " ".join(str(error).split())
        raise ValueError(f"{role}: {name} cannot take images of shape {shape}: {reason}") from error
    _, logits = [expect_rows(name, output, len(images)) for output in outputs]
    return logits
