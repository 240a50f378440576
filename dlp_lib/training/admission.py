"""The door: what a model and a set of images must be, checked before any work."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..checking import check_type
from ..context import Context
from ..data.split import Split
from ..models.interface import copied, expect_features, expect_rows, to_float, uncompiled
from ..runtime import Runtime
from .batchnorm import preserve_batchnorm
from .inference import keep_modes, logits_and_features, predict

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

    Raises:
        TypeError: for arguments of other types, for a model that returns no logits (n, C), and
            where ``features`` or ``head`` is needed and missing, or returns no row for each image.
        ValueError: for fewer than two images, and for a model that cannot take them, that has
            another number of classes, has no weights to train, or gives other logits than its
            features and its head.
    """
    check_type("model", model, nn.Module)
    check_type(name, data, Split)
    check_type("context", context, Context)
    if len(data) < 2:
        raise ValueError(f"{name}: a set of {len(data)} images; at least 2 are needed")
    if has_features:
        expect_features(model)
    _expect_weights(model, trains)
    if in_parts:
        model = uncompiled(model)
    model = copied(model).to(context.runtime.device)
    data = data.to(context.runtime.device)
    logits = _logits_in_both_modes(model, data.images[:_SAMPLE], context.runtime)
    expect_classes(logits, data, name)
    if has_features:
        _expect_features_and_head(model, data.images[:_SAMPLE])
    return model, data


def expect_classes(logits: Tensor, data: Split, name: str = "test") -> None:
    """Check that a model has as many classes as a set of images.

    Raises:
        ValueError: where it does not.
    """
    outputs = logits.shape[1]
    classes = len(data.classes)
    if outputs != classes:
        raise ValueError(
            f"model: it tells {outputs} classes apart; allowed are the {classes} that {name} has"
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


def _expect_weights(model: nn.Module, trains: bool) -> None:
    if not torch.is_grad_enabled():
        raise ValueError("gradients are off: call this outside torch.no_grad and inference_mode")
    name = type(uncompiled(model)).__name__
    weights = list(model.parameters())
    if any(is_lazy(weight) for weight in weights):
        raise ValueError(
            f"model: {name} has weights without a shape; pass images through it once, so that its "
            "lazy layers are made"
        )
    if trains and not any(weight.requires_grad for weight in weights):
        raise ValueError(f"model: {name} has no weight that requires a gradient, so none can learn")
    for weight in weights:
        if weight.is_inference():
            raise ValueError(f"model: {name} was made in torch.inference_mode, and cannot learn")


def _logits_in_both_modes(model: nn.Module, images: Tensor, runtime: Runtime) -> Tensor:
    """Return the logits of evaluation mode; the model keeps its modes, weights and statistics."""
    model = uncompiled(model)  # to compile for a few images is not worth the time
    name = type(model).__name__
    random_stream = runtime.global_stream("admission")
    with keep_modes(model), preserve_batchnorm(model), random_stream:
        for mode in (True, False):
            model.train(mode)
            logits = expect_rows(name, _call(model, images), len(images))
    return logits


def _call(model: nn.Module, images: Tensor) -> object:
    try:
        return model(to_float(images))
    except ValueError:  # in the model's own words, as the library's models have them
        raise
    except Exception as error:
        shape = tuple(images.shape)
        reason = " ".join(str(error).split())
        raise ValueError(
            f"model: {type(model).__name__} cannot take images of shape {shape}: {reason}"
        ) from error
