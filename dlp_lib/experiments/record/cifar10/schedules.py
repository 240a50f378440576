"""The shorter schedule of the other defences, for those whose paper's takes hours."""

import math
from dataclasses import fields, replace

from ....defences import Defence, DefenceResult

SHARE = 4  # the shorter schedule has a quarter of the epochs


def shorten(method: Defence) -> Defence:
    """Return a defence of which every stage has a quarter of its epochs, rounded up.

    The learning rate falls after a quarter of the epochs, too. ABL's ascent, five epochs of few
    samples, and everything else stay as they are.
    """
    changes = {}
    for field in fields(method):
        settings = getattr(method, field.name)
        if hasattr(settings, "epochs"):
            changes[field.name] = _shorten_stage(settings)
    return replace(method, **changes)


def _shorten_stage(settings):
    changes = {"epochs": math.ceil(settings.epochs / SHARE)}
    if hasattr(settings, "drops"):
        changes["drops"] = tuple(math.ceil(epoch / SHARE) for epoch in settings.drops)
    return replace(settings, **changes)


def describe(result: DefenceResult) -> str:
    """Return how many epochs each stage had, such as "isolation 20, training 60, AU 5"."""
    return ", ".join(f"{name} {len(stage.history)}" for name, stage in result.stages.items())
