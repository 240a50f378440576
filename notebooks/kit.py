"""Notebooks for a class: for students without solutions and outputs, for instructors with both, and ready for a grader.

python notebooks/kit.py student --out build/student
python notebooks/kit.py instructor --out build/instructor [--grader nbgrader | --grader otter]
"""

import argparse
import os
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_raw_cell

NOTEBOOKS = Path(__file__).resolve().parent
SOLUTION = re.compile(r"^( *)# BEGIN SOLUTION\n.*?^ *# END SOLUTION\n?", re.MULTILINE | re.DOTALL)
POINTS = {"easy": 1, "medium": 2, "hard": 3}
OUTSIDE = re.compile(r"\]\(\.\./")  # a link that leaves the notebooks' folder


def strip(source: str) -> str:
    """The code of an exercise with dots in the place of its solution."""
    return SOLUTION.sub(r"\1...  # your answer\n", source).rstrip("\n")


def exercises(notebook: NotebookNode) -> list[tuple[str, NotebookNode, NotebookNode]]:
    """Every exercise's difficulty, its cell, and its check's cell; ValueError where the three do not stand together."""
    found = []
    for i, cell in enumerate(notebook.cells):
        if _tagged(cell, "exercise"):
            text, check = notebook.cells[i - 1], notebook.cells[i + 1]
            title = re.findall(r"^### Exercise \d+\. .* \*\((\w+), \d+ minutes\)\*$", text.source, re.MULTILINE)
            if len(title) != 1 or title[0] not in POINTS or not _tagged(check, "check"):
                raise ValueError(f"cell {i}: an exercise stands between its title and its check")
            if len(SOLUTION.findall(cell.source)) != 1:
                raise ValueError(f"cell {i}: an exercise has one solution")
            found.append((title[0], cell, check))
    return found


def _tagged(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", ())


def student(notebook: NotebookNode) -> None:
    """Take the solutions and outputs out; a check that fails does not stop the cells after it."""
    for _, cell, check in exercises(notebook):
        cell.source = strip(cell.source)
        check.metadata.tags.append("raises-exception")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("dlp_lib", None)


def for_nbgrader(notebook: NotebookNode, name: str) -> None:
    """Mark the exercises as autograded answers and their checks as tests."""
    for number, (difficulty, cell, check) in enumerate(exercises(notebook), 1):
        common = {"schema_version": 3, "task": False}
        cell.metadata.nbgrader = common | {
            "grade_id": f"{name}-{number}", "solution": True, "grade": False, "locked": False
        }  # fmt: skip
        check.metadata.nbgrader = common | {
            "grade_id": f"{name}-{number}-check", "solution": False, "grade": True, "locked": True,
            "points": POINTS[difficulty],
        }  # fmt: skip


def for_otter(notebook: NotebookNode, name: str) -> None:
    """Put Otter's raw cells around every exercise and its check."""
    marks = {}
    for number, (difficulty, cell, check) in enumerate(exercises(notebook), 1):
        question = f"# BEGIN QUESTION\nname: q{number}\npoints: {POINTS[difficulty]}"
        marks[cell.id] = [question, "# BEGIN SOLUTION"], ["# END SOLUTION"]
        marks[check.id] = ["# BEGIN TESTS"], ["# END TESTS", "# END QUESTION"]
    cells = [new_raw_cell(f"# BEGIN ASSIGNMENT\nname: {name}\nrequirements: []")]
    for cell in notebook.cells:
        before, after = marks.get(cell.get("id"), ([], []))
        cells += [*map(new_raw_cell, before), cell, *map(new_raw_cell, after)]
    notebook.cells = cells


def write(kind: str, folder: Path, grader: str | None = None) -> list[Path]:
    """All notebooks of a kind, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(source, as_version=4)
        if kind == "student":
            student(notebook)
        for cell in notebook.cells:
            cell.source = OUTSIDE.sub(f"]({_way(folder)}/", cell.source)
        if grader:
            {"nbgrader": for_nbgrader, "otter": for_otter}[grader](notebook, source.stem)
        written.append(folder / source.name)
        nbformat.write(notebook, written[-1])
    return written


def _way(folder: Path) -> str:
    """From a folder of notebooks to the project's."""
    return Path(os.path.relpath(NOTEBOOKS.parent, folder)).as_posix()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("student", "instructor"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the notebooks")
    parser.add_argument("--grader", choices=("nbgrader", "otter"), help="what grades them: instructor notebooks only")
    arguments = parser.parse_args()
    if arguments.grader and arguments.kind == "student":
        parser.error("--grader: a grader makes the student notebooks itself, give it the instructor's")
    written = write(arguments.kind, arguments.out.resolve(), arguments.grader)
    print(f"{len(written)} notebooks in {arguments.out}")


if __name__ == "__main__":
    main()
