"""Make the notebooks for a class.

Students get them without solutions and outputs, instructors with both. A grader's marks can be
added to the instructor's.

python -m tools.kit student --out build/student
python -m tools.kit instructor --out build/instructor [--grader nbgrader | --grader otter]
"""

import argparse
import os
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_raw_cell

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
POINTS = {"easy": 1, "medium": 2, "hard": 3}
_SOLUTION = re.compile(r"^( *)# BEGIN SOLUTION\n.*?^ *# END SOLUTION\n?", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^### Exercise \d+\. .* \*\((\w+), \d+ minutes\)\*$", re.MULTILINE)
_LINK_TO_PROJECT = re.compile(r"\]\(\.\./")  # a link that leaves the notebooks' folder


class Exercise(NamedTuple):
    """An exercise of a notebook."""

    difficulty: str  # a key of POINTS
    cell: NotebookNode  # the code with its solution
    check: NotebookNode  # the cell that checks the answer


def strip_solution(source: str) -> str:
    """Return the code of an exercise, with dots in the place of its solution."""
    return _SOLUTION.sub(r"\1...  # your answer\n", source).rstrip("\n")


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
    """Remove solutions, outputs and widgets; a check that fails stops no cell after it."""
    for exercise in find_exercises(notebook):
        exercise.cell.source = strip_solution(exercise.cell.source)
        exercise.check.metadata.tags.append("raises-exception")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    notebook.metadata.pop("dlp_lib", None)
    notebook.metadata.pop("widgets", None)  # the state of widgets is an output, too


def mark_for_nbgrader(notebook: NotebookNode, name: str) -> None:
    """Mark exercises as autograded answers, and their checks as tests."""
    for number, exercise in enumerate(find_exercises(notebook), 1):
        answer = {"grade_id": f"{name}-{number}", "solution": True, "grade": False}
        answer |= {"locked": False, "schema_version": 3, "task": False}
        test = {"grade_id": f"{name}-{number}-check", "solution": False, "grade": True}
        test |= {"locked": True, "schema_version": 3, "task": False}
        test["points"] = POINTS[exercise.difficulty]
        exercise.cell.metadata.nbgrader = answer
        exercise.check.metadata.nbgrader = test


def mark_for_otter(notebook: NotebookNode, name: str) -> None:
    """Put Otter's raw cells around every exercise and its check."""
    before = {}
    after = {}
    for number, exercise in enumerate(find_exercises(notebook), 1):
        points = POINTS[exercise.difficulty]
        question = f"# BEGIN QUESTION\nname: q{number}\npoints: {points}"
        before[exercise.cell.id] = [question, "# BEGIN SOLUTION"]
        after[exercise.cell.id] = ["# END SOLUTION"]
        before[exercise.check.id] = ["# BEGIN TESTS"]
        after[exercise.check.id] = ["# END TESTS", "# END QUESTION"]
    cells = [new_raw_cell(f"# BEGIN ASSIGNMENT\nname: {name}\nrequirements: []")]
    for cell in notebook.cells:
        cells += map(new_raw_cell, before.get(cell.get("id"), ()))
        cells.append(cell)
        cells += map(new_raw_cell, after.get(cell.get("id"), ()))
    notebook.cells = cells


GRADERS = {"nbgrader": mark_for_nbgrader, "otter": mark_for_otter}


def write(kind: str, folder: Path, grader: str | None = None) -> list[Path]:
    """Write all notebooks of a kind into a folder.

    Args:
        kind: "student" or "instructor".
        folder: made if it is not there.
        grader: one of GRADERS, or None.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    to_project = Path(os.path.relpath(ROOT, folder)).as_posix()
    written = []
    for source in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(source, as_version=4)
        if kind == "student":
            make_student(notebook)
        for cell in notebook.cells:
            cell.source = _LINK_TO_PROJECT.sub(f"]({to_project}/", cell.source)
        if grader is not None:
            GRADERS[grader](notebook, source.stem)
        target = folder / source.name
        nbformat.write(notebook, target)
        written.append(target)
    return written


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.kit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=("student", "instructor"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the notebooks")
    parser.add_argument(
        "--grader", choices=tuple(GRADERS), help="what grades them: instructor notebooks only"
    )
    options = parser.parse_args(arguments)
    if options.grader and options.kind == "student":
        parser.error("--grader: needs the instructor notebooks, and makes the student's itself")
    written = write(options.kind, options.out.resolve(), options.grader)
    print(f"{len(written)} notebooks in {options.out}")


if __name__ == "__main__":
    main()
