"""How long a defence will take here: measured on a few real steps before it starts."""

import copy
import time
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from ...context import Context
from ...data import Split
from ...defences import DLP, Unlearn, fixmatch, selection_sizes
from ...defences.selection import share_size
from ...store import Store
from ...training import predict
from ..throughput import images_per_second
from .settings import Method

_SAMPLE = 512  # images, at most, on which speed is measured


class Passes(NamedTuple):
    """How many images a stage takes through the model."""

    trained: int  # forward and backward
    judged: int  # forward alone


def estimate(
    model: nn.Module, tampered: Split, method: Method, epochs: int, context: Context
) -> dict[str, float]:
    """Return the seconds that each stage will take, from steps that are timed on copies.

    Args:
        model: untrained; left as it is.
        tampered: the training set, on the context's device.
        method: with all its settings.
        epochs: how many of stage 1 are trained; E1, or more where E1 is chosen among them. Only
            DLP has them.
        context: device and random streams; nothing is stored.
    """
    trained_per_second = images_per_second(copy.deepcopy(model), tampered, _batch(method), 2)
    judged_per_second = _judged_per_second(model, tampered)
    seconds = {}
    for stage, passes in _passes(method, tampered, epochs).items():
        training = passes.trained / trained_per_second
        seconds[stage] = training + passes.judged / judged_per_second
    if isinstance(method, DLP) and "ASSFT" in method.order:
        seconds["ASSFT"] = _finetuning_seconds(model, tampered, method, context)
    return seconds


def _batch(method: Method) -> int:
    return method.supervised.batch if isinstance(method, DLP) else method.isolation.batch


def _judged_per_second(model: nn.Module, tampered: Split) -> float:
    images = tampered.images[:_SAMPLE]
    predict(model, images[:2])  # the first call is slower
    began = time.perf_counter()
    predict(model, images).sum().item()  # which waits for a GPU
    return len(images) / (time.perf_counter() - began)


def _passes(method: Method, tampered: Split, epochs: int) -> dict[str, Passes]:
    """Return the passes of every stage but fine-tuning, which has views as well."""
    n = len(tampered)
    if isinstance(method, DLP):
        suspects, _ = selection_sizes(tampered, method.gamma, method.quota)
        passes = {"SL": Passes(epochs * n, epochs * n)}
        if "AU" in method.order:
            passes["AU"] = _unlearning(suspects, method.e2, method.unlearn, n)
        return passes
    isolated = share_size("isolated", method.isolated, n)
    return {
        "ABL isolation": Passes(method.isolation.epochs * n, n),
        "ABL training": Passes(method.training.epochs * (n - isolated), 0),
        "AU": _unlearning(isolated, method.unlearn_epochs, method.unlearning, n),
    }


def _unlearning(suspects: int, epochs: int, config: Unlearn, n: int) -> Passes:
    """Each epoch re-estimates batch-norm on a sample, and judges the sample and the suspects."""
    sample = min(config.reestimate, n)
    return Passes(epochs * suspects, epochs * 2 * (suspects + sample))


def _finetuning_seconds(model: nn.Module, tampered: Split, dlp: DLP, context: Context) -> float:
    """Return the seconds of all steps of FixMatch, of which two are made here."""
    aside = Context(replace(context.runtime, compiled=False), Store())
    count = max(1, len(tampered) // 10)
    trusted = torch.arange(count, device=tampered.images.device)
    seconds = 0.0
    for steps in (1, 2):  # the first step of all is slower
        config = replace(dlp.fixmatch, steps=steps)
        stage = fixmatch(copy.deepcopy(model), tampered, trusted, config, aside)
        seconds = stage.total("seconds") / steps
    return seconds * dlp.fixmatch.steps
