"""The exercises of all notebooks with their solutions, as their cells have them."""

import ast
import importlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jupytext

from tools import kit

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
        if cell.cell_type == "code":
            body = ast.parse(cell.source).body
            if all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in body):
                found.append(cell.source)
    return "\n".join(found)


@cache
def solved() -> tuple[Solved, ...]:
    """Return the exercises of all notebooks, in their order."""
    found = []
    for text in sorted(NOTEBOOKS.glob("*.py")):
        notebook = jupytext.read(text)
        imports = _imports(notebook)
        module = importlib.import_module(f"dlp_lib.checks.{text.stem[3:]}")
        for exercise in kit.find_exercises(notebook):
            names = {}
            exec(compile(f"{imports}\n{exercise.cell.source}", str(text), "exec"), names)
            call = ast.parse(exercise.check.source).body[0].value
            check = getattr(module, call.func.attr)
            answer = names[call.args[0].id]
            found.append(Solved(text.stem[3:], check, answer, exercise.cell.source))
    return tuple(found)
