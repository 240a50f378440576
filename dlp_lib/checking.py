"""Checks of parameters: one form of sentence for every value that cannot be taken.

Every check takes the parameter's name as the caller wrote it, and the value. It returns the value
as plain Python. Scalars of NumPy and of torch are numbers; bools and text are none.
"""

import difflib
import math
import operator
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

_LONGEST = 80  # characters of a value that an error message shows
LARGEST_SEED = 2**32 - 1  # a CPU generator of torch ignores what is above 32 bits


def shown(value) -> str:
    """Return how an error message shows a value: its ``repr``, or its type where that is long."""
    text = repr(value)
    if len(text) > _LONGEST or "\n" in text:
        return f"an object of type {type(value).__name__}"
    return text


def check_int(name: str, value, least: int = 0, most: int | None = None) -> int:
    """Return ``value`` as an int if it is a whole number of at least ``least``.

    Args:
        name: the parameter as the caller wrote it.
        value: what the caller gave.
        least: the smallest number that is allowed.
        most: the largest number that is allowed; None: there is none.

    Raises:
        ValueError: naming the parameter, for any other value; a bool is no number here.
    """
    number = to_python(value)
    is_int = isinstance(number, int) and not isinstance(number, bool)
    if is_int and number >= least and (most is None or number <= most):
        return int(number)
    upper = "" if most is None else f" and ≤ {most}"
    raise ValueError(f"{name}={shown(value)}: allowed are whole numbers (int) ≥ {least}{upper}")


def check_seed(name: str, value) -> int:
    """Return ``value`` as an int if it can seed a generator of torch: 0 to 2**32 - 1."""
    return check_int(name, value, 0, LARGEST_SEED)


def check_number(
    name: str,
    value,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """Return ``value`` as a float if it is a finite number within the bounds.

    Args:
        name: the parameter as the caller wrote it.
        value: what the caller gave.
        least: the smallest number that is allowed.
        above: all numbers that are allowed are larger.
        most: the largest number that is allowed.
        below: all numbers that are allowed are smaller.

    Raises:
        ValueError: naming the parameter, for any other value, infinities and NaN included.
    """
    number = to_python(value)
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    bounds = [
        ("≥", least, operator.ge),
        (">", above, operator.gt),
        ("≤", most, operator.le),
        ("<", below, operator.lt),
    ]
    given = [bound for bound in bounds if bound[1] is not None]
    if is_number and _is_finite(number) and all(fits(number, b) for _, b, fits in given):
        return float(number)
    wanted = " and ".join(f"{sign} {bound:g}" for sign, bound, _ in given)
    raise ValueError(f"{name}={shown(value)}: allowed are finite numbers {wanted}".rstrip())


def check_fraction(name: str, value) -> float:
    """Return ``value`` as a float if it lies strictly between 0 and 1.

    Raises:
        ValueError: naming the parameter, for any other value.
    """
    number = to_python(value)
    if not isinstance(number, (int, float)) or not 0 < number < 1:
        raise ValueError(
            f"{name}={shown(value)}: allowed are fractions between 0 and 1, both excluded"
        )
    return float(number)


def check_bool(name: str, value) -> bool:
    """Return ``value`` as a bool if it is one, also NumPy's or torch's.

    Raises:
        ValueError: naming the parameter, for any other value; text such as "no" is none.
    """
    flag = to_python(value)
    if not isinstance(flag, bool):
        raise ValueError(f"{name}={shown(value)}: allowed are True and False")
    return flag


def check_choice(name: str, value, allowed: Sequence[str]) -> str:
    """Return ``value`` if it is one of a few words.

    Raises:
        ValueError: naming the parameter, for any other value.
    """
    if not isinstance(value, str) or value not in allowed:
        words = [repr(word) for word in allowed]
        listed = ", ".join(words[:-1]) + f" and {words[-1]}"
        raise ValueError(f"{name}={shown(value)}: allowed are {listed}")
    return value


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
    sentence = f"{name}={shown(value)}: allowed are {choices}{others}"
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        sentence += f"; did you mean {names[near[0]]}?"
    raise ValueError(sentence)


def check_type(name: str, value, kind: type | tuple[type, ...]):
    """Return ``value`` if it is an instance of a class, or of one of several.

    Raises:
        TypeError: naming the parameter, for any other value.
    """
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " and ".join(one.__name__ for one in kinds)
        raise TypeError(f"{name}={shown(value)}: allowed is {names}")
    return value


def check_sequence(name: str, value, check: Callable, *args, **bounds) -> tuple:
    """Return ``value`` as a tuple if it is a sequence whose items pass a check.

    Args:
        name: the parameter as the caller wrote it.
        value: a tuple or list, or an array or tensor of one dimension.
        check: of one item, such as ``check_int``; ``args`` and ``bounds`` go to it.

    Raises:
        ValueError: naming the parameter, for a value that is no sequence, and for a bad item.
    """
    if isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, (tuple, list)):
        raise ValueError(f"{name}={shown(value)}: allowed is a tuple, such as (2,)")
    checked = []
    for position, item in enumerate(value):
        checked.append(check(f"{name}[{position}]", item, *args, **bounds))
    return tuple(checked)


def check_field(config: object, name: str, check: Callable, *args, **bounds) -> None:
    """Check a field of a frozen dataclass, and put what the check returns in its place.

    Args:
        config: which is changed.
        name: of the field.
        check: such as ``check_int``; ``args`` and ``bounds`` go to it.
    """
    value = check(name, getattr(config, name), *args, **bounds)
    object.__setattr__(config, name, value)


def _is_finite(number: int | float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an int that no float can hold
        return False


def to_python(value):
    """Return a scalar of NumPy or torch as a Python number; anything else as it is.

    Of 16 or 32 bits, the shortest decimal is taken: 0.01, and not 0.009999999776.
    """
    if isinstance(value, torch.Tensor) and value.ndim == 0:
        value = value.detach().cpu()
        is_short = value.dtype in (torch.float16, torch.float32)
        value = value.numpy()[()] if is_short else value.item()
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.generic):
        return value.item()
    return value
