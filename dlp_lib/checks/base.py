"""What the checks are made of: an exception that a student reads, and the usual comparisons."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


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


def call(function: Callable, *arguments: Any) -> Any:
    """Call the student's function, and return what it returns.

    Raises:
        Wrong: where it is no function, fails, changes a tensor that it is given, or returns
            nothing.
    """
    expect(
        callable(function),
        f"a function is wanted, this is {type(function).__name__}: pass it without calling it",
    )
    name = getattr(function, "__name__", "your function")
    copies = [value.clone() if isinstance(value, Tensor) else value for value in arguments]
    try:
        answer = function(*arguments)
    except Exception as error:
        raise Wrong(f"{name} fails with {type(error).__name__}: {error}") from error
    expect(answer is not None, f"{name} returns nothing yet")
    for value, copy in zip(arguments, copies, strict=True):
        unchanged = not isinstance(value, Tensor) or torch.equal(value, copy)
        expect(unchanged, f"{name} changes the tensor that it is given: work on a copy")
    return answer


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
        answer: the student's number or tensor.
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


def _as_tensor(what: str, answer: Any) -> Tensor:
    try:
        return torch.as_tensor(answer).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        kind = type(answer).__name__
        raise Wrong(f"{what}: a number or a tensor is wanted, this is {kind}") from None


def _is_close(answer: Tensor, value: Tensor, tolerance: float) -> bool:
    if answer.shape != value.shape:
        return False
    return torch.allclose(answer, value, atol=tolerance, equal_nan=True)
