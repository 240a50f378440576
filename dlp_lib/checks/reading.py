"""Checks of what a student has read off a figure, by the values that were drawn."""

from collections.abc import Sequence
from typing import Any

from .base import Wrong, expect


def first_from(values: Sequence[float], least: float) -> int | None:
    """Return the first epoch, from 1, whose value is at least so large; None where none is."""
    for epoch, value in enumerate(values, 1):
        if value >= least:
            return epoch
    return None


def read_off(
    what: str, answer: Any, value: float, within: float, mistakes: dict[str, float | None]
) -> None:
    """Check a number that a student has read off a figure.

    Args:
        what: the name of what is read.
        answer: the student's number.
        value: what was drawn.
        within: how exactly a figure can be read, in the unit of the value.
        mistakes: other numbers of the figure, by what to tell the student who gives them.

    Raises:
        Wrong: where the answer is further off.
    """
    expect(answer is not None and answer is not ..., f"{what}: nothing yet")
    try:
        given = float(answer)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"{what}: one number is wanted, this is {answer!r}") from None
    if abs(given - value) <= within:
        return
    for message, other in mistakes.items():
        expect(other is None or abs(given - other) > within, f"{what}: {message}")
    direction = "high" if given > value else "low"
    expect(given == given, f"{what}: one number is wanted, this is nan")
    raise Wrong(f"{what}: {given:.4g} is too {direction}. Follow the curve once more")


def read_epoch(
    what: str, answer: Any, values: Sequence[float], least: float, mistakes: dict[str, float | None]
) -> int | None:
    """Check the first epoch at which a curve is at least so high, or the word "never".

    Where the curve passes the limit within two hundredths, either of two epochs is right.

    Args:
        what: the name of what is read.
        answer: the student's epoch, from 1, or the word.
        values: the curve, one value an epoch.
        least: the limit.
        mistakes: other epochs, by what to tell the student who gives them.

    Returns:
        The student's epoch, or None for "never".

    Raises:
        Wrong: where it is another one.
    """
    found = [first_from(values, least + off) for off in (-0.02, 0, 0.02)]
    if isinstance(answer, str):
        never = answer.strip().lower() == "never"
        expect(never, f"{what}: an epoch is wanted, or “never”; this is {answer!r}")
        expect(None in found, f"{what}: the curve does come to {100 * least:.0f} %: where?")
        return None
    epochs = [epoch for epoch in found if epoch is not None]
    expect(epochs, f"{what}: the curve comes to {100 * least:.0f} % at no epoch")
    nearest = min(epochs, key=lambda epoch: _distance(answer, epoch))
    mistakes = mistakes | {"epochs are counted from 1": epochs[0] - 1}
    read_off(what, answer, nearest, 0.01, mistakes)
    return nearest


def _distance(answer: Any, epoch: int) -> float:
    try:
        return abs(float(answer) - epoch)
    except (TypeError, ValueError, RuntimeError):
        return 0.0  # read_off tells what is wrong with it
