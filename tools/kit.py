"""Make the notebooks for a class.

Students get them without solutions and outputs, instructors with both. A grader's marks can be
added to the instructor's.

python -m tools.kit student --out build/student
python -m tools.kit instructor --out build/instructor [--grader nbgrader | --grader otter]
"""

import argparse
import base64
import os
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_raw_cell

from dlp_lib.experiments.classroom import POINTS, find_exercises, make_student

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
_PICTURE = re.compile(r"(!\[[^\]]*\])\(\.\./([\w/.-]+\.png)\)")  # one of the project's
_LINK_TO_PROJECT = re.compile(r"\]\(\.\./")  # a link that leaves the notebooks' folder


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


def attach_pictures(cell: NotebookNode) -> None:
    """Put the project's pictures into a cell that shows them.

    A server whose root is the copies' folder does not give out what lies above it.
    """
    for _, file in _PICTURE.findall(cell.source):
        path = ROOT / file
        picture = base64.b64encode(path.read_bytes()).decode("ascii")
        cell.setdefault("attachments", {})[path.name] = {"image/png": picture}
    cell.source = _PICTURE.sub(_as_attachment, cell.source)


def _as_attachment(picture: re.Match) -> str:
    return f"{picture[1]}(attachment:{Path(picture[2]).name})"


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
            attach_pictures(cell)
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
