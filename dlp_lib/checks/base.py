"""What the checks are made of: an exception to be read by a student, and the usual comparisons."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Wrong(AssertionError):
    """An answer that is not right yet, and why; a notebook shows the message without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [f"Not yet: {self}"]


def right(remark: str) -> None:
    """The answer is right; ``remark`` says what is worth noticing."""
    print(f"Right. {remark}")


def expect(condition: Any, message: str) -> None:
    """Wrong with the message unless the condition holds."""
    if not condition:
        raise Wrong(message)


def call(function: Callable, *given: Any) -> Any:
    """What the student's function returns; Wrong where it is none, fails, changes its input, or returns nothing."""
    expect(
        callable(function),
        f"a function is wanted, this is {type(function).__name__}: pass it without calling it",
    )
    name = getattr(function, "__name__", "your function")
    before = [x.clone() if isinstance(x, Tensor) else x for x in given]
    try:
        answer = function(*given)
    except Exception as error:
        raise Wrong(f"{name} fails with {type(error).__name__}: {error}") from error
    expect(answer is not None, f"{name} returns nothing yet")
    kept = all(
        torch.equal(x, y) for x, y in zip(given, before, strict=True) if isinstance(x, Tensor)
    )
    expect(kept, f"{name} changes the tensor that it is given: work on a copy")
    return answer


def same(
    what: str,
    given: Any,
    wanted: Any,
    mistakes: dict[str, Any] | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Wrong unless ``given`` is ``wanted``, a number or a tensor, within the tolerance.

    ``mistakes`` maps what to say to the values that typical mistakes give; the first that fits is said.
    """
    expect(given is not None and given is not ..., f"{what}: nothing yet")
    try:
        given = torch.as_tensor(given).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(
            f"{what}: a number or a tensor is wanted, this is {type(given).__name__}"
        ) from None
    wanted = torch.as_tensor(wanted).double()
    for message, value in (mistakes or {}).items():
        value = torch.as_tensor(value).double()
        expect(
            given.shape != value.shape
            or not torch.allclose(given, value, atol=tolerance, equal_nan=True),
            message,
        )
    shapes = tuple(given.shape), tuple(wanted.shape)
    expect(shapes[0] == shapes[1], f"{what}: the shape is {shapes[0]}, it should be {shapes[1]}")
    expect(
        given.isfinite().all() or not wanted.isfinite().all(),
        f"{what}: there are values that are nan or infinite",
    )
    close = torch.isclose(given, wanted, atol=tolerance)
    if not close.all():
        first = tuple((~close).nonzero()[0].tolist())
        where = f" at {list(first)}" if first else ""
        raise Wrong(f"{what}{where} is {given[first]:.4g}, it should be {wanted[first]:.4g}")
