"""Grade the exercises of submitted notebooks, without executing the rest of them.

python -m tools.grade 03_entropy_filtering submitted/*/ps1/03_entropy_filtering.ipynb

A submission runs in a process of its own: imports, answers, and the checks of this project's own
notebook, whatever the submitted one has in their place. It takes seconds, as nothing is trained.
Exercises that read a figure are left out, as no figure is drawn. nbgrader and Otter grade them, as
they execute all cells. A submission is code of a stranger: grade where it can do no harm.
"""

import argparse
import ast
import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from dlp_lib.experiments.classroom import POINTS, find_exercises, only_imports

from .kit import NOTEBOOKS, ROOT

SECONDS = 120  # that a submission may take
_MARKS = "marks: "  # how the line of a process begins that holds them


class Mark(NamedTuple):
    """What the answer of one exercise came to."""

    points: int
    most: int  # points of the exercise
    remark: str  # what the check says


def grade(own: NotebookNode, submitted: NotebookNode) -> list[Mark]:
    """Grade a submission. Its answers are executed in this process.

    Args:
        own: this project's notebook, with its checks.
        submitted: the same notebook with a student's answers.

    Returns:
        A mark for every exercise, in their order. Those that read a figure have no points.
    """
    names: dict = {"__name__": "__main__"}
    for cell in own.cells:
        if cell.cell_type == "code" and only_imports(cell.source):
            _run(cell.source, names)
    marks = []
    for exercise in find_exercises(own):
        answer, *drawn = _arguments(exercise.check.source)
        if drawn:
            marks.append(Mark(0, 0, "not graded: it reads a figure, and none is drawn here"))
            continue
        most = POINTS[exercise.difficulty]
        try:
            _run(_answer(answer, submitted), names)
            remark = _run(exercise.check.source, names)
            marks.append(Mark(most, most, remark.strip()))
        except (Exception, SystemExit) as error:  # whatever an answer does, the others count
            marks.append(Mark(0, most, f"{type(error).__name__}: {error}"))
    return marks


def _arguments(check: str) -> list[str]:
    """Return the names that a check is called with: the answer, and what a figure shows."""
    call = ast.parse(check).body[0].value
    return [argument.id for argument in call.args]


def _answer(name: str, submitted: NotebookNode) -> str:
    """Return the last cell that defines a function or a value.

    Raises:
        LookupError: where there is none.
    """
    defines = re.compile(rf"^(?:def {name}\(|{name} = )", re.MULTILINE)
    found = [
        cell.source
        for cell in submitted.cells
        if cell.cell_type == "code" and defines.search(cell.source)
    ]
    if not found:
        raise LookupError(f"no cell defines {name}")
    return found[-1]


def _run(source: str, names: dict) -> str:
    """Execute a cell, and return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "<cell>", "exec"), names)
    return printed.getvalue()


def grade_apart(name: str, path: Path) -> list[Mark]:
    """Grade a submission in a process of its own, which may take ``SECONDS``.

    Args:
        name: of this project's notebook.
        path: the submitted one.

    Returns:
        As ``grade``; a single mark of no points where the process fails.
    """
    command = [sys.executable, "-m", "tools.grade", name, "--one", str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return [Mark(0, 0, f"it was stopped after {SECONDS} seconds")]
    lines = done.stdout.splitlines()
    if done.returncode or not lines or not lines[-1].startswith(_MARKS):
        reason = (done.stderr.strip() or "it says nothing").splitlines()[-1]
        return [Mark(0, 0, f"it ended early: {reason}")]
    return [Mark(*mark) for mark in json.loads(lines[-1].removeprefix(_MARKS))]


def _grade_all(name: str, paths: Sequence[Path]) -> Iterator[list[Mark]]:
    """Yield what ``grade_apart`` returns of each; as many run at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield from threads.map(partial(grade_apart, name), paths)


def labels(paths: Sequence[Path]) -> list[str]:
    """Return what tells paths apart: their first part that is not the same in all."""
    for parts in zip(*(path.parts for path in paths), strict=False):
        if len(set(parts)) == len(paths):
            return [Path(part).stem for part in parts]
    return [str(path) for path in paths]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: print what each submission came to, and write a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="of this project's notebook, such as 03_entropy_filtering")
    parser.add_argument("submissions", nargs="*", type=Path, help="files of the same notebook")
    parser.add_argument("--out", type=Path, help="table that is written: grades.csv, for instance")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    source = NOTEBOOKS / f"{options.name}.ipynb"
    for path in [source, *options.submissions]:
        if not path.is_file():
            parser.error(f"{str(path)!r}: there is no such notebook")
    if options.one is not None:
        marks = grade(nbformat.read(source, 4), nbformat.read(options.one, 4))
        print(_MARKS + json.dumps(marks))
        return
    if not options.submissions:
        parser.error("submissions: at least one is needed")
    rows = []
    found = _grade_all(options.name, options.submissions)
    for label, marks in zip(labels(options.submissions), found, strict=True):
        rows.append([label, sum(mark.points for mark in marks), *[mark.points for mark in marks]])
        print(f"{label}: {rows[-1][1]} points", flush=True)
        for number, mark in enumerate(marks, 1):
            if mark.points < mark.most or not mark.most:
                print(f"  exercise {number}: {mark.remark}", flush=True)
    if options.out:
        _write(options.out, rows)


def _write(path: Path, rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = ["student", "points"]
    header += [f"exercise {number}" for number in range(1, max(map(len, rows)) - 1)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


if __name__ == "__main__":
    main()
