"""Notebooks for a class: exercises are found, and students get them without solutions."""

import ast
import re
from typing import NamedTuple

from nbformat import NotebookNode

POINTS = {"easy": 1, "medium": 2, "hard": 3}
_SOLUTION = re.compile(r"^( *)# BEGIN SOLUTION\n.*?^ *# END SOLUTION\n?", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^### Exercise \d+\. .* \*\((\w+), \d+ minutes\)\*$", re.MULTILINE)


class Exercise(NamedTuple):
    """An exercise of a notebook."""

    difficulty: str  # a key of POINTS
    cell: NotebookNode  # the code with its solution
    check: NotebookNode  # the cell that checks the answer


def strip_solution(source: str) -> str:
    """Return the code of an exercise, with dots in the place of its solution."""
    return _SOLUTION.sub(r"\1...  # your answer\n", source).rstrip("\n")


def only_imports(source: str) -> bool:
    """Return whether a cell of code consists of imports, which is what answers and checks need."""
    statements = ast.parse(source).body
    return all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements)


def is_tagged(cell: NotebookNode, tag: str) -> bool:
    """Return whether a cell has a tag."""
    return tag in cell.metadata.get("tags", ())


def find_exercises(notebook: NotebookNode) -> list[Exercise]:
    """Return the exercises of a notebook, in their order.

    Raises:
        ValueError: where a title, an exercise with one solution, and its check do not stand
            together.
    """
    found = []
    for place, cell in enumerate(notebook.cells):
        if not is_tagged(cell, "exercise"):
            continue
        titles = _TITLE.findall(notebook.cells[place - 1].source)
        check = notebook.cells[place + 1]
        if len(titles) != 1 or titles[0] not in POINTS or not is_tagged(check, "check"):
            raise ValueError(f"cell {place}: an exercise stands between its title and its check")
        if len(_SOLUTION.findall(cell.source)) != 1:
            raise ValueError(f"cell {place}: an exercise has one solution")
        found.append(Exercise(titles[0], cell, check))
    return found


def make_student(notebook: NotebookNode) -> None:
    """Remove solutions, outputs and widgets; a check that fails stops no cell after it.

    Links that open the notebook elsewhere go as well, as solutions are there.
    """
    for exercise in find_exercises(notebook):
        exercise.cell.source = strip_solution(exercise.cell.source)
        exercise.check.metadata.tags.append("raises-exception")
    notebook.cells = [cell for cell in notebook.cells if not is_tagged(cell, "links")]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    notebook.metadata.pop("dlp_lib", None)
    notebook.metadata.pop("widgets", None)  # the state of widgets is an output, too
