"""One fingerprint for whatever made a result: data, settings, models and the code that they run.

A stored result is kept under such a fingerprint. Another model or edited code gives another one.
Comments, docstrings, formatting, memory layout and the device leave it as it is.
"""

from . import classes, containers, functions, modules, tensors, values  # they bring the rules
from .walk import CannotFingerprint, Walk, neutral

__all__ = ["CannotFingerprint", "fingerprint", "neutral"]


@neutral
def fingerprint(*parts) -> str:
    """Say in 32 hex digits what the parts are made of.

    A class can define ``__fingerprint__(self)``. What that returns then stands for the attributes.

    Args:
        parts: Plain data, containers, tensors, arrays, models, functions, classes and instances.

    Returns:
        The first 32 hex digits of a SHA-256, the same in every process that has the same code.

    Raises:
        CannotFingerprint: A part holds something that has no rule. The message names it.
    """
    walk = Walk()
    walk.feed("parts", len(parts))
    try:
        for part in parts:
            walk.visit(part, _label(part))
        return walk.finish()[:32]
    except RecursionError:
        raise CannotFingerprint("A part holds containers that are nested too deeply.") from None


def _label(part) -> str:
    """The name that a message starts with; the keys of a dict are names already."""
    if isinstance(part, dict):
        return ""
    name = getattr(part, "__qualname__", None)
    if isinstance(name, str):
        return name
    return type(part).__qualname__
