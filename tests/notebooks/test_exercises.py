"""Exercises and worked examples stand on their own: solved they pass their checks, stripped they do not."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import jupytext
import pytest

from dlp_lib.checks import Wrong

ROOT = Path(__file__).resolve().parents[2]
TEXTS = sorted((ROOT / "notebooks" / "py").glob("*.py"))
each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)

specification = importlib.util.spec_from_file_location("kit", ROOT / "notebooks" / "kit.py")
kit = importlib.util.module_from_spec(specification)
specification.loader.exec_module(kit)


def run(*sources):
    """The cells, one after the other, in a namespace of their own; what they print."""
    names, printed = {"__name__": "__main__"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for source in sources:
            exec(compile(source, "<cell>", "exec"), names)
    return printed.getvalue()


def imports(notebook):
    """The code cells that consist of imports, as one."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(source for source in cells if re.match(r"(import|from) ", source))


@each_text
def test_solved_exercises_pass_their_checks_and_stripped_ones_do_not(text):
    notebook = jupytext.read(text)
    exercises = kit.exercises(notebook)
    assert 3 <= len(exercises) <= 5
    difficulties = [kit.POINTS[difficulty] for difficulty, _, _ in exercises]
    assert difficulties == sorted(difficulties)
    assert difficulties[0] < difficulties[-1]
    for _, cell, check in exercises:
        assert run(imports(notebook), cell.source, check.source).startswith("Right. ")
        stripped = kit.strip(cell.source)
        assert "SOLUTION" not in stripped
        with pytest.raises(Wrong):
            run(imports(notebook), stripped, check.source)


@each_text
def test_worked_examples_depend_on_nothing_but_imports(text):
    notebook = jupytext.read(text)
    examples = [cell for cell in notebook.cells if "nbval-check-output" in cell.metadata.get("tags", ())]
    assert examples
    for example in examples:
        assert run(imports(notebook), example.source)


@each_text
def test_there_is_a_quiz_with_folded_answers(text):
    words = "\n".join(cell.source for cell in jupytext.read(text).cells if cell.cell_type == "markdown")
    quiz = words.split("## Quiz")[1].split("## Exercises")[0]
    questions = re.findall(r"<details><summary>.+?\?</summary>\n\n.+?\n</details>", quiz, re.DOTALL)
    assert 2 <= len(questions) == quiz.count("<details>") == quiz.count("</details>")
