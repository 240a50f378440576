"""Notebooks as programs: their parameters, the kernel that they run in, and their execution."""

import ast
import contextlib
import errno
import warnings
from collections.abc import Iterator
from pathlib import Path

from ..files import CannotWrite, explain_errors
from ..places import HOME, PACKAGE
from .values import check_value, parse, to_numbers

UNKNOWN = object()  # the default of a parameter that is no literal
_KINDS = {bool: "True and False", int: "whole numbers", float: "numbers", str: "text"}
_DEFAULT_KERNEL = "python3"


class NotebookFailed(RuntimeError):
    """A notebook stopped at an error, or its kernel died."""


def parameters_of(notebook: Path) -> dict[str, object]:
    """Return the parameters of a notebook, with their defaults.

    Raises:
        ValueError: where the file is no notebook.
    """
    import papermill

    with _named(notebook):
        found = papermill.inspect_notebook(str(notebook))
    return {name: _literal(parameter["default"]) for name, parameter in found.items()}


def read_notebook(notebook: Path):
    """Return the content of a notebook, as nbformat has it.

    Raises:
        ValueError: where the file is no notebook.
    """
    import nbformat

    with _named(notebook):
        return nbformat.read(notebook, 4)


@contextlib.contextmanager
def _named(notebook: Path) -> Iterator[None]:
    """Name the notebook that cannot be read: each kind of damage has an exception of its own."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(f"notebook={str(notebook)!r}: it cannot be read: {reason}") from None


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return UNKNOWN


def check_parameters(notebook: Path, values: dict, hidden: tuple[str, ...] = ()) -> dict:
    """Return parameters as a notebook takes them; papermill itself would only warn.

    One word becomes a list where the notebook has a list. A name may be in any case, and 5e-3 is a
    number.

    Args:
        notebook: its file.
        values: by name.
        hidden: parameters of the notebook that may not be given.

    Raises:
        ValueError: for a parameter that the notebook does not have, and for a wrong value.
    """
    defaults = parameters_of(notebook)
    allowed = [name for name in defaults if name not in hidden]
    unknown = [str(name) for name in values if name not in allowed]
    if unknown:
        raise ValueError(
            f"{notebook.name} has no parameter {', '.join(unknown)}: "
            f"allowed are {', '.join(allowed)}"
        )
    return {name: _fit(name, value, defaults[name]) for name, value in values.items()}


def _fit(name: str, value: object, default: object) -> object:
    """Return a value in the form that the notebook's own has."""
    value = to_numbers(value)
    if isinstance(default, list):
        items = _as_list(name, value)
        if not items or isinstance(value, dict):
            raise ValueError(f"{name}={value!r}: allowed are lists with at least one item")
        return [_fit(name, item, default[0] if default else UNKNOWN) for item in items]
    if isinstance(default, dict):
        if not isinstance(value, dict):
            raise ValueError(f"{name}={value!r}: allowed are dicts such as {default!r}")
        return value
    if default is UNKNOWN or (value is None and default is None):
        return value
    if isinstance(value, (list, dict)):
        raise ValueError(f"{name}={value!r}: allowed is one value")
    checked = check_value(name, value)
    _check_kind(name, checked, default)
    return checked


def _as_list(name: str, value: object) -> list:
    """Return a list; one word is a list of one, and commas separate several."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [parse(name, part) for part in value.split(",")]
    return [value]


def _check_kind(name: str, value: object, default: object) -> None:
    """Check that a value is of its default's kind; a whole number is a number, too."""
    if value is None or type(value) is type(default) or type(default) not in _KINDS:
        return
    if isinstance(default, float) and type(value) is int:
        return
    raise ValueError(f"{name}={value!r}: allowed are {_KINDS[type(default)]}")


def kernel_for(notebook: Path) -> str:
    """Return the kernel that a notebook is run in: its own, or else this machine's Python 3.

    The name in a notebook is that of the machine on which it was saved. Where this machine has no
    such kernel, or one whose Python is gone, a warning says so.

    Raises:
        ValueError: where this machine has neither.
    """
    from jupyter_client.kernelspec import find_kernel_specs

    metadata = read_notebook(notebook).metadata
    name = metadata.get("kernelspec", {}).get("name", _DEFAULT_KERNEL)
    installed = sorted(find_kernel_specs())
    if name in installed and _can_start(name):
        return name
    if _DEFAULT_KERNEL not in installed:
        raise ValueError(
            f"{notebook.name} asks for the kernel {name!r}, and this machine has "
            f"{', '.join(installed) or 'none'}: python -m ipykernel install --sys-prefix brings "
            f"{_DEFAULT_KERNEL}; python -m dlp_lib doctor says more"
        )
    warnings.warn(
        f"{notebook.name} asks for the kernel {name!r}, which this machine does not have: "
        f"taking {_DEFAULT_KERNEL}",
        stacklevel=2,
    )
    return _DEFAULT_KERNEL


def _can_start(kernel: str) -> bool:
    """Return whether the program of an installed kernel is still there."""
    from jupyter_client.kernelspec import get_kernel_spec

    program = Path(get_kernel_spec(kernel).argv[0])
    return not program.is_absolute() or program.is_file()


def _working_folder(notebook: Path) -> Path:
    """Return the folder that a notebook's kernel starts in."""
    if notebook.is_relative_to(PACKAGE):
        return HOME
    return notebook.parent


def execute_notebook(
    notebook: Path, executed: Path, parameters: dict, kernel: str, progress_bar: bool = True
) -> None:
    """Execute a notebook in its own folder, and write it with its outputs.

    One that an installed package carries runs in ``HOME``: nothing is written among packages.

    Args:
        notebook: its file.
        executed: the file that is written.
        parameters: as ``check_parameters`` returns them.
        kernel: as ``kernel_for`` returns it.
        progress_bar: whether to show one.

    Raises:
        NotebookFailed: where a cell raises an error, naming the cell.
        KeyboardInterrupt: where a cell was interrupted.
        CannotWrite: where a cell cannot write its results.
    """
    import papermill

    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            parameters,
            kernel_name=kernel,
            cwd=str(_working_folder(notebook)),
            progress_bar=progress_bar,
        )
    except papermill.PapermillExecutionError as error:
        if error.ename == KeyboardInterrupt.__name__:
            raise KeyboardInterrupt from None
        if error.ename == CannotWrite.__name__:
            raise CannotWrite(None, error.evalue) from None
        raise NotebookFailed(
            f"{notebook.name}, cell {error.exec_count}: {error.ename}: {error.evalue}"
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        with explain_errors(executed.parent):
            raise error
