"""Five made-up submissions, graded by this project's own checks."""

import copy
import json
import subprocess

import nbformat
import pytest

from dlp_lib.experiments import classroom
from tools import grade, submissions

NAME = "03_entropy_filtering"


@pytest.fixture(scope="module")
def own():
    return nbformat.read(grade.NOTEBOOKS / f"{NAME}.ipynb", 4)


@pytest.fixture(scope="module")
def student(own):
    """The notebook as students get it."""
    notebook = copy.deepcopy(own)
    classroom.make_student(notebook)
    return notebook


def graded(own, notebook):
    """The marks of all exercises but that which reads a figure."""
    marks = grade.grade(own, notebook)
    left_out = [mark for mark in marks if not mark.most]
    assert [mark.remark for mark in left_out] == [
        "not graded: it reads a figure, and none is drawn here"
    ]
    return [mark for mark in marks if mark.most]


def marks_of(name, own, student):
    return graded(own, submissions.answered(student, submissions.ANSWERS[name]))


@pytest.mark.parametrize("name", submissions.ANSWERS)
def test_a_submission_gets_the_points_that_it_is_worth(name, own, student):
    marks = marks_of(name, own, student)
    assert sum(mark.points for mark in marks) == submissions.POINTS[name]
    assert sum(mark.most for mark in marks) == 8
    for mark in marks:
        assert mark.remark.startswith("Right. " if mark.points else "Wrong: ")


def test_each_of_three_mistakes_is_named(own, student):
    remarks = [mark.remark for mark in marks_of("eve", own, student)]
    assert "these are nats" in remarks[0]
    assert "the suspects have the highest entropy" in remarks[1]
    assert "this is recall" in remarks[2]
    assert remarks[3].startswith("Right. ")


def test_an_exercise_that_was_not_begun_says_so(own, student):
    assert "returns nothing yet" in marks_of("cleo", own, student)[3].remark


@pytest.mark.parametrize(
    ("answer", "remark"),
    [
        ("def my_entropy(logits):\n    return 1 / 0", "ZeroDivisionError"),
        ("def my_entropy(logits)\n    return 1", "SyntaxError"),
        ("def my_entropy(logits):\n    raise SystemExit(0)", "SystemExit"),
        ("def my_entropy(logits):\n    print('Right.')", "returns nothing yet"),
    ],
)
def test_whatever_an_answer_does_the_others_count(answer, remark, own, student):
    notebook = submissions.answered(student, [*submissions.ANSWERS["ada"][1:], answer])
    marks = graded(own, notebook)
    assert remark in marks[0].remark
    assert [mark.points for mark in marks] == [0, 2, 2, 3]


def test_a_check_that_a_student_has_changed_does_not_count(own, student):
    notebook = submissions.answered(student, submissions.ANSWERS["dan"])
    for cell in notebook.cells:
        if classroom.is_tagged(cell, "check"):
            cell.source = "print('Right. ')"
    assert graded(own, notebook)[0].points == 0


def test_an_answer_that_was_deleted_gets_no_points(own, student):
    notebook = copy.deepcopy(student)
    notebook.cells = [cell for cell in notebook.cells if not classroom.is_tagged(cell, "exercise")]
    assert {mark.remark for mark in graded(own, notebook)} == {
        "LookupError: no cell defines my_entropy",
        "LookupError: no cell defines my_cuts",
        "LookupError: no cell defines my_precision_and_recall",
        "LookupError: no cell defines my_forgetting",
    }


def test_submissions_are_written_where_a_grader_wants_them(student, tmp_path):
    source = tmp_path / f"{NAME}.ipynb"
    nbformat.write(student, source)
    written = submissions.write(source, str(tmp_path / "submitted" / "{name}" / "ps1"))
    assert [path.parts[-3] for path in written] == list(submissions.ANSWERS)
    assert len({path.read_text("utf-8") for path in written}) == 5
    with pytest.raises(ValueError, match="0 cells that begin with it"):
        submissions.answered(student, ["def other(x): pass"])


def answer(stdout="", code=0, stderr=""):
    return subprocess.CompletedProcess([], code, stdout, stderr)


@pytest.fixture
def outcomes(tmp_path, monkeypatch):
    """Three submissions, whose processes end in three ways."""
    marks = [grade.Mark(1, 1, "Right."), grade.Mark(0, 2, "Wrong: nats")]
    answers = {
        "ada": answer("noise\n" + grade._MARKS + json.dumps(marks)),
        "ben": answer(code=1, stderr="Traceback\nMemoryError"),
    }
    paths = []
    for name in ("ada", "ben", "cleo"):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / f"{NAME}.ipynb")
        paths[-1].write_text("{}")

    def run(command, timeout, **_):
        name = command[-1].split("/")[-2] if "/" in command[-1] else command[-1].split("\\")[-2]
        if name not in answers:
            raise subprocess.TimeoutExpired(command, timeout)
        return answers[name]

    monkeypatch.setattr(grade.subprocess, "run", run)
    return paths


def test_the_table_has_a_row_for_every_submission(outcomes, tmp_path, capsys):
    table = tmp_path / "grades.csv"
    grade.main([NAME, *map(str, outcomes), "--out", str(table)])
    assert capsys.readouterr().out.splitlines() == [
        "ada: 1 points",
        "  exercise 2: Wrong: nats",
        "ben: 0 points",
        "  exercise 1: it ended early: MemoryError",
        "cleo: 0 points",
        "  exercise 1: it was stopped after 120 seconds",
    ]
    assert table.read_text("utf-8").splitlines() == [
        "student,points,exercise 1,exercise 2",
        "ada,1,1,0",
        "ben,0,0",
        "cleo,0,0",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["99_none"], "there is no such notebook"),
        ([NAME], "at least one is needed"),
        ([NAME, "none.ipynb"], "'none.ipynb': there is no such notebook"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit):
        grade.main(arguments)
    assert message in capsys.readouterr().err


def test_an_answer_may_be_a_value(tmp_path):
    notebook = nbformat.read(grade.NOTEBOOKS / "11_limits.ipynb", 4)
    solved = grade.grade(notebook, notebook)
    assert all(mark.points == mark.most > 0 for mark in solved)
