"""The exercises of all notebooks with their solutions, as their cells have them."""

import ast
import copy
import functools
import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jupytext
from stand_ins import STAND_INS

from dlp_lib.experiments import classroom

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks" / "py"


class Solved(NamedTuple):
    """An exercise with its solution."""

    notebook: str  # such as "quickstart"
    check: Callable  # the check, which takes the answer alone
    answer: Any  # the solution: a function, or a dictionary
    source: str  # the cell

    @property
    def name(self) -> str:
        """Such as quickstart.stop."""
        return f"{self.notebook}.{self.check.__name__}"


def _imports(notebook) -> str:
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and classroom.only_imports(cell.source):
            found.append(cell.source)
    return "\n".join(found)


def _with_arguments(check: Callable, drawn: list) -> Callable:
    """A check that also takes what a figure shows, as one of the answer alone."""

    @functools.wraps(check)
    def checked(answer: Any) -> None:
        check(answer, *drawn)

    return checked


@cache
def solved() -> tuple[Solved, ...]:
    """Return the exercises of all notebooks, in their order."""
    found = []
    for text in sorted(NOTEBOOKS.glob("*.py")):
        notebook = jupytext.read(text)
        imports = _imports(notebook)
        module = importlib.import_module(f"dlp_lib.checks.{text.stem[3:]}")
        for exercise in classroom.find_exercises(notebook):
            names = copy.deepcopy(STAND_INS.get(text.stem, {}))
            exec(compile(f"{imports}\n{exercise.cell.source}", str(text), "exec"), names)
            call = ast.parse(exercise.check.source).body[0].value
            check = getattr(module, call.func.attr)
            answer, *drawn = [names[argument.id] for argument in call.args]
            check = _with_arguments(check, drawn) if drawn else check
            found.append(Solved(text.stem[3:], check, answer, exercise.cell.source))
    return tuple(found)
