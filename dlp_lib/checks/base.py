"""What the checks are made of: an exception that a student reads, and the usual comparisons."""

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy
import torch
from torch import Tensor, nn


class Wrong(AssertionError):
    """An answer that is not right yet. A notebook shows the message without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [f"Not yet: {self}"]


def right(remark: str) -> None:
    """Tell the student that the answer is right, and what is worth noticing."""
    print(f"Right. {remark}")


def expect(condition: Any, message: str) -> None:
    """Raise Wrong with the message unless the condition holds."""
    if not condition:
        raise Wrong(message)


def call(function: Callable, *arguments: Any, fills: Any = None) -> Any:
    """Call the student's function, and return what it returns.

    Args:
        function: the student's.
        arguments: what it is given.
        fills: the one of them that the function is asked to change, if any.

    Raises:
        Wrong: where it is no function, fails, changes what it is given, draws random numbers,
            or returns nothing.
    """
    expect(
        callable(function),
        f"a function is wanted, this is {type(function).__name__}: pass it without calling it",
    )
    name = getattr(function, "__name__", "your function")
    copies = [_copy(value) for value in arguments]
    randomness = _random_states()
    try:
        answer = function(*arguments)
    except Exception as error:
        raise Wrong(f"{name} fails with {type(error).__name__}: {error}") from error
    finally:
        drawn = _restore(randomness)
    expect(answer is not None and answer is not ..., f"{name} returns nothing yet")
    for value, before in zip(arguments, copies, strict=True):
        if value is not fills:
            kind = type(value).__name__
            kind = _KINDS.get(kind, kind)
            unchanged = _is_unchanged(value, before)
            expect(unchanged, f"{name} changes the {kind} that it is given: work on a copy")
    expect(not drawn, f"{name} draws random numbers: the same input must give the same answer")
    return answer


_KINDS = {"Tensor": "tensor", "DataFrame": "table"}  # what students call a type


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if callable(value):  # functions and models: a check that gives one looks itself
        return value
    return copy.deepcopy(value)


def _is_unchanged(value: Any, before: Any) -> bool:
    if isinstance(value, Tensor):
        return torch.equal(value.detach(), before)
    if hasattr(value, "equals"):  # a table of pandas
        return value.equals(before)
    return value is before or value == before


def _random_states() -> tuple:
    of_numpy = numpy.random.get_state()  # noqa: NPY002, the stream that students know
    return torch.get_rng_state(), random.getstate(), of_numpy


def _restore(states: tuple) -> bool:
    """Set the global random streams back, and return whether anything was drawn from them."""
    of_torch, of_python, of_numpy = states
    now = _random_states()
    drawn = not torch.equal(now[0], of_torch) or now[1] != of_python
    drawn = drawn or now[2][2] != of_numpy[2] or not numpy.array_equal(now[2][1], of_numpy[1])
    torch.set_rng_state(of_torch)
    random.setstate(of_python)
    numpy.random.set_state(of_numpy)  # noqa: NPY002
    return drawn


def several(answer: Any, number: int, message: str) -> list:
    """Return the parts of an answer that has several: a tuple, a list, an array or a tensor.

    Raises:
        Wrong: with the message, where it does not have so many parts.
    """
    has_parts = isinstance(answer, (tuple, list))
    has_parts = has_parts or (isinstance(answer, (Tensor, numpy.ndarray)) and answer.ndim > 0)
    expect(has_parts and len(answer) == number, message)
    return list(answer)


def as_mask(answer: Any, length: int, message: str) -> Tensor:
    """Return booleans (length,), given as a list, an array or a tensor.

    Numbers count as booleans, where all are 0 or 1.

    Raises:
        Wrong: with the message, where they are none.
    """
    try:
        mask = _as_tensor("the mask", answer)
    except Wrong:
        raise Wrong(message) from None
    expect(mask.shape == (length,) and ((mask == 0) | (mask == 1)).all(), message)
    return mask.bool()


def as_whole_numbers(answer: Any, message: str) -> list[int]:
    """Return whole numbers, such as indices, given as a list, an array, a tensor or a set.

    Raises:
        Wrong: with the message, where they are none.
    """
    try:
        numbers = _as_tensor("the numbers", list(answer) if isinstance(answer, set) else answer)
    except Wrong:
        raise Wrong(message) from None
    expect(numbers.ndim == 1 and (numbers == numbers.round()).all(), message)
    return [int(number) for number in numbers]


def same(
    what: str,
    answer: Any,
    expected: Any,
    mistakes: dict[str, Any] | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Check that an answer is what it should be, within a tolerance.

    Args:
        what: the name of what is compared, for messages.
        answer: the student's number or tensor; lists and arrays do as well.
        expected: the right number or tensor.
        mistakes: what a typical mistake gives, by what to tell the student of it. The first that
            equals the answer is told.
        tolerance: how far a number may be off; a relative one of 1e-5 is added.

    Raises:
        Wrong: where the answer is another one.
    """
    expect(answer is not None and answer is not ..., f"{what}: nothing yet")
    answer = _as_tensor(what, answer)
    expected = torch.as_tensor(expected).double()
    for message, value in (mistakes or {}).items():
        expect(not _is_close(answer, torch.as_tensor(value).double(), tolerance), message)
    shape = tuple(answer.shape)
    expected_shape = tuple(expected.shape)
    expect(shape == expected_shape, f"{what}: the shape is {shape}, it should be {expected_shape}")
    expect(
        answer.isfinite().all() or not expected.isfinite().all(),
        f"{what}: there are values that are nan or infinite",
    )
    close = torch.isclose(answer, expected, atol=tolerance)
    if not close.all():
        first = tuple((~close).nonzero()[0].tolist())
        where = f" at {list(first)}" if first else ""
        raise Wrong(f"{what}{where} is {answer[first]:.4g}, it should be {expected[first]:.4g}")


def again(
    what: str | tuple[str, ...], answer: Callable, draws: dict[str, tuple[tuple, Any]]
) -> None:
    """Ask the student's function for other values: right once may be right by chance.

    Args:
        what: the name of what it returns, or the names of its parts.
        answer: the student's function.
        draws: arguments, and what they should give, by what is special about them.

    Raises:
        Wrong: where one of them gives something else.
    """
    for special, (arguments, expected) in draws.items():
        try:
            answered = call(answer, *arguments)
            if isinstance(what, str):
                same(what, answered, expected)
                continue
            parts = several(answered, len(what), f"return {' and '.join(what)}")
            for name, part, wanted in zip(what, parts, expected, strict=True):
                same(name, part, wanted)
        except Wrong as wrong:
            raise Wrong(f"{special}: {wrong}") from wrong.__cause__


def _as_tensor(what: str, answer: Any) -> Tensor:
    """Return numbers as float64; what is no number is told to the student."""
    kind = type(answer).__name__
    message = f"{what}: a number or a tensor is wanted, this is {kind}"
    expect(not isinstance(answer, (str, bytes, dict, nn.Module)), message)
    try:
        if isinstance(answer, (list, tuple)) and answer:
            return torch.stack([_as_tensor(what, part) for part in answer])
        if not isinstance(answer, Tensor):
            answer = numpy.array(answer, dtype=float)  # fractions and columns of tables, too
        return torch.as_tensor(answer).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise Wrong(message) from None


def _is_close(answer: Tensor, value: Tensor, tolerance: float) -> bool:
    if answer.shape != value.shape:
        return False
    return torch.allclose(answer, value, atol=tolerance, equal_nan=True)
