"""What a model answers: logits, features and accuracy, in evaluation mode and in float32.

Defences judge themselves with these, so nothing here knows of attacks.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ..models.interface import expect_features, expect_pictures, expect_rows, to_float, uncompiled
from ..runtime import Runtime, keep_freed_memory
from .batchnorm import preserve_batchnorm

Answer = TypeVar("Answer")
# Images a pass. On the CPU larger batches fall out of its caches, and scores do not depend on it
_BATCH_OF_CPU = 256
_BATCH_OF_GPU = 2048


class Outputs(NamedTuple):
    """What one pass over n images gives, in their order; float32."""

    logits: Tensor  # (n, classes)
    features: Tensor  # (n, d), of the penultimate layer


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits (n, classes), float32, of uint8 images (n, 3, h, w), in their order.

    On Linux the first call changes malloc for the whole process: freed memory stays with it. See
    ``runtime.keep_freed_memory``, which also says how to prevent that.
    """
    name = type(uncompiled(model)).__name__

    def logits(images: Tensor) -> Tensor:
        return expect_rows(name, model(images), len(images))

    return torch.cat(_in_batches(model, images, logits)).float()


def logits_and_features(model: nn.Module, images: Tensor) -> Outputs:
    """Return logits and penultimate features of uint8 images (n, 3, h, w) from one pass.

    Raises:
        TypeError: for a model without ``features`` and ``head``, and where one of them returns
            anything but a row of numbers for each image.
    """
    expect_features(model)
    name = type(uncompiled(model)).__name__

    def both(images: Tensor) -> tuple[Tensor, Tensor]:
        n = len(images)
        features = expect_rows(f"{name}.features", model.features(images), n)
        return expect_rows(f"{name}.head", model.head(features), n), features

    logits, features = zip(*_in_batches(model, images, both), strict=True)
    return Outputs(torch.cat(logits).float(), torch.cat(features).float())


@contextlib.contextmanager
def keep_modes(model: nn.Module) -> Iterator[None]:
    """Afterwards every module has the training or evaluation mode that it had before."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def outputs_in_both_modes(
    model: nn.Module, images: Tensor, runtime: Runtime
) -> tuple[object, object]:
    """Return what a model gives in training mode, and then in evaluation mode.

    The model keeps its modes, weights and statistics. One that ``torch.compile`` wrapped passes as
    the model inside: to compile for a few images is not worth the time.

    Args:
        model: of any output.
        images: (n, 3, h, w) uint8, a few.
        runtime: for the random stream of the passes.
    """
    model = uncompiled(model)
    random_stream = runtime.global_stream("admission")
    with keep_modes(model), preserve_batchnorm(model), random_stream:
        model.train()
        in_training = model(to_float(images))
        model.eval()
        in_evaluation = model(to_float(images))
    return in_training, in_evaluation


@torch.no_grad()  # not inference_mode: a model may keep a tensor of this pass, and train later
def _in_batches(
    model: nn.Module, images: Tensor, function: Callable[[Tensor], Answer]
) -> list[Answer]:
    """Return what the function gives for every batch, with the model in evaluation mode."""
    expect_pictures(images)
    keep_freed_memory()
    batch_size = _BATCH_OF_CPU if images.device.type == "cpu" else _BATCH_OF_GPU
    with keep_modes(model):
        model.eval()
        return [function(to_float(batch)) for batch in images.split(batch_size)]


def accuracy(logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> float:
    """Return the share of samples whose largest logit is their label.

    Args:
        logits: (n, classes).
        labels: (n,).
        mask: (n,) bool: which samples count; None: all.
    """
    hits = (logits.argmax(1) == labels).double()
    if mask is not None:
        hits = hits[mask]
    return hits.mean().item()


def collapsed(logits: Tensor, labels: Tensor) -> bool:
    """Return whether the model is hardly better than one answer for everything.

    That is the case where the mean accuracy of the classes is within 5 points of 1 / classes. The
    mean of the classes counts, because poison and imbalance make one label frequent.

    Args:
        logits: (n, classes).
        labels: (n,).
    """
    classes = labels.unique()
    total = sum(accuracy(logits, labels, labels == label) for label in classes)
    return total / len(classes) < 1 / len(classes) + 0.05
