"""Checks of parameters: one form of sentence for every value that cannot be taken."""

import difflib
from collections.abc import Iterable


def check_int(name: str, value, least: int = 0) -> int:
    """Return ``value`` if it is a whole number of at least ``least``.

    Args:
        name: the parameter as the caller wrote it.
        value: what the caller gave.
        least: the smallest number that is allowed.

    Raises:
        ValueError: naming the parameter, for any other value; a bool is no number here.
    """
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if not is_int or value < least:
        raise ValueError(f"{name}={value!r}: allowed are whole numbers (int) ≥ {least}")
    return value


def check_fraction(name: str, value) -> float:
    """Return ``value`` as a float if it lies strictly between 0 and 1.

    Raises:
        ValueError: naming the parameter, for any other value.
    """
    if not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ValueError(f"{name}={value!r}: allowed are fractions between 0 and 1, both excluded")
    return float(value)


def match_name(name: str, value, allowed: Iterable[str], others: str = "") -> str:
    """Return the allowed name that ``value`` is, written in any case.

    Args:
        name: the parameter as the caller wrote it.
        value: what the caller gave.
        allowed: the names.
        others: what else is allowed, in words, for the sentence.

    Raises:
        ValueError: naming the parameter and the nearest name, for any other value.
    """
    names = {allowed_name.lower(): allowed_name for allowed_name in allowed}
    word = str(value).lower()
    if isinstance(value, str) and word in names:
        return names[word]
    choices = ", ".join(names.values())
    sentence = f"{name}={value!r}: allowed are {choices}{others}"
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        sentence += f"; did you mean {names[near[0]]}?"
    raise ValueError(sentence)
