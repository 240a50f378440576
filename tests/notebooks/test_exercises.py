"""Exercises and worked examples stand on their own: solved they pass their checks, stripped not."""

import base64
import contextlib
import io
import os
import re

import jupytext
import nbformat
import papermill
import pytest
from helpers import ROOT, SMOKE
from nbclient import NotebookClient
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from stand_ins import STAND_INS

from dlp_lib.checks import Wrong
from dlp_lib.experiments.classroom import find_exercises, is_tagged, only_imports, strip_solution
from tools import kit

TEXTS = sorted((ROOT / "notebooks" / "py").glob("*.py"))
PICTURE = ROOT / "docs" / "lab.png"
ATTACHED = ("](../docs/lab.png)", "](attachment:lab.png)")  # a link, and what stands for it
each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)


def run(*sources, **given):
    """Run cells, one after the other, in a namespace of their own; return what they print."""
    names = {"__name__": "__main__"} | given
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for source in sources:
            exec(compile(source, "<cell>", "exec"), names)
    return printed.getvalue()


def imports(notebook):
    """The code cells that consist of imports, as one."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(filter(only_imports, cells))


@each_text
def test_solved_exercises_pass_their_checks_and_stripped_ones_do_not(text):
    notebook = jupytext.read(text)
    exercises = find_exercises(notebook)
    assert 3 <= len(exercises) <= 5
    points = [kit.POINTS[exercise.difficulty] for exercise in exercises]
    assert points == sorted(points)
    assert points[0] < points[-1]
    given = STAND_INS.get(text.stem, {})
    for exercise in exercises:
        solved = run(imports(notebook), exercise.cell.source, exercise.check.source, **given)
        assert solved.startswith("Right. ")
        stripped = strip_solution(exercise.cell.source)
        assert "SOLUTION" not in stripped
        with pytest.raises(Wrong):
            run(imports(notebook), stripped, exercise.check.source, **given)


@each_text
def test_worked_examples_depend_on_nothing_but_imports(text):
    notebook = jupytext.read(text)
    examples = [cell for cell in notebook.cells if is_tagged(cell, "nbval-check-output")]
    assert examples
    for example in examples:
        assert run(imports(notebook), example.source)


@each_text
def test_there_is_a_quiz_with_folded_answers(text):
    notebook = jupytext.read(text)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    words = "\n".join(cells)
    quiz = words.split("## Quiz")[1].split("## Exercises")[0]
    questions = re.findall(r"<details><summary>.+?\?</summary>\n\n.+?\n</details>", quiz, re.DOTALL)
    assert 2 <= len(questions) == quiz.count("<details>") == quiz.count("</details>")


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return kit.write("student", tmp_path_factory.mktemp("student"))


def test_student_notebooks_have_no_solutions_and_no_outputs(student):
    assert [path.stem for path in student] == [path.stem for path in TEXTS]
    for path in student:
        notebook = nbformat.read(path, 4)
        assert "widgets" not in notebook.metadata  # their state holds the outputs' figures
        cells = notebook.cells
        assert not [cell for cell in cells if "SOLUTION" in cell.source or cell.get("outputs")]
        assert sum("# your answer" in cell.source for cell in cells) >= 3


def test_a_student_notebook_runs_to_its_end_and_says_what_is_missing(student, tmp_path):
    names = papermill.inspect_notebook(str(student[0]))
    parameters = {name: value for name, value in SMOKE.items() if name in names}
    parameters |= {"out": str(tmp_path), "cache": str(tmp_path)}
    notebook = parameterize_notebook(load_notebook_node(str(student[0])), parameters)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    errors = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                errors.append(output)
    exercises = find_exercises(jupytext.read(TEXTS[0]))
    assert [error.ename for error in errors] == ["Wrong"] * len(exercises)
    assert all(error.traceback == [f"Not yet: {error.evalue}"] for error in errors)


def test_instructor_notebooks_have_everything_and_their_links_hold(tmp_path):
    away = os.path.relpath(ROOT, tmp_path)
    for path in kit.write("instructor", tmp_path):
        ours = nbformat.read(ROOT / "notebooks" / path.name, 4).cells
        theirs = nbformat.read(path, 4).cells
        sources = [cell.source.replace(*ATTACHED).replace("](../", f"]({away}/") for cell in ours]
        assert [cell.source for cell in theirs] == sources
        assert [cell.get("outputs") for cell in theirs] == [cell.get("outputs") for cell in ours]


def test_pictures_travel_with_the_copies(student):
    """A class sees the copies' folder alone."""
    shown = {}
    for path in student:
        for cell in nbformat.read(path, 4).cells:
            attachments = cell.get("attachments", {})
            named = re.findall(r"\(attachment:(.+?)\)", cell.source)
            assert named == list(attachments)
            shown |= attachments
    assert base64.b64decode(shown["lab.png"]["image/png"]) == PICTURE.read_bytes()


def test_nbgrader_finds_answers_and_tests(tmp_path):
    cells = nbformat.read(kit.write("instructor", tmp_path, "nbgrader")[0], 4).cells
    marks = [cell.metadata.nbgrader for cell in cells if "nbgrader" in cell.metadata]
    assert [mark.solution for mark in marks] == [True, False] * (len(marks) // 2)
    assert [mark.grade for mark in marks] == [False, True] * (len(marks) // 2)
    assert len({mark.grade_id for mark in marks}) == len(marks)
    assert {mark.schema_version for mark in marks} == {3}
    assert [mark.points for mark in marks[1::2]] == sorted(mark.points for mark in marks[1::2])


def test_otter_finds_questions_and_tests(tmp_path):
    cells = nbformat.read(kit.write("instructor", tmp_path, "otter")[0], 4).cells
    raw = [cell.source.splitlines()[0] for cell in cells if cell.cell_type == "raw"]
    question = ["QUESTION", "SOLUTION", "SOLUTION", "TESTS", "TESTS", "QUESTION"]
    assert [line.split()[2] for line in raw[1:]] == question * ((len(raw) - 1) // len(question))
    assert raw[0] == "# BEGIN ASSIGNMENT"


@pytest.mark.parametrize("part", ["title", "check", "solution"])
def test_an_exercise_without_one_of_its_parts_is_refused(part):
    notebook = jupytext.read(TEXTS[0])
    places = [i for i, cell in enumerate(notebook.cells) if is_tagged(cell, "exercise")]
    title, cell, check = notebook.cells[places[0] - 1 : places[0] + 2]
    message = "between its title and its check"
    if part == "title":
        title.source = title.source.replace("### Exercise 1.", "Exercise:")
    elif part == "check":
        check.metadata["tags"] = []
    else:
        cell.source = strip_solution(cell.source)
        message = "one solution"
    with pytest.raises(ValueError, match=message):
        find_exercises(notebook)
