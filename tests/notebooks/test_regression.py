"""Notebooks cannot rot: outputs are those of the code, examples are compared, links hold."""

import copy
import re
import subprocess
import sys

import nbformat
import pytest
from helpers import NOTEBOOKS, ROOT, SMOKE
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from dlp_lib.experiments.classroom import is_tagged, only_imports
from tools import stamp

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def test_every_notebook_has_its_pair():
    pairs = sorted(path.stem for path in (ROOT / "notebooks" / "py").glob("*.py"))
    assert [path.stem for path in NOTEBOOKS] == pairs


@each_notebook
def test_outputs_are_those_of_this_code_and_these_parameters(notebook):
    assert stamp.find_problem(nbformat.read(notebook, 4)) is None


def test_outputs_of_another_version_are_noticed(monkeypatch):
    notebook = nbformat.read(NOTEBOOKS[0], 4)
    monkeypatch.setattr(stamp, "version", lambda name: "99.0.0")
    assert "made with version" in stamp.find_problem(notebook)
    del notebook.metadata["dlp_lib"]
    assert stamp.find_problem(notebook) is not None


def test_stale_and_edited_outputs_are_noticed():
    fresh = nbformat.read(NOTEBOOKS[0], 4)
    fresh.metadata["dlp_lib"] = nbformat.from_dict(stamp.current_stamp(fresh))
    assert stamp.find_problem(fresh) is None
    edited = copy.deepcopy(fresh)
    with_outputs = [cell for cell in edited.cells if cell.get("outputs")]
    with_outputs[0].outputs[0]["text"] = "CA 100.0%"
    assert "edited since it was executed" in stamp.find_problem(edited)
    changed = copy.deepcopy(fresh)
    (parameters,) = [cell for cell in changed.cells if is_tagged(cell, "parameters")]
    parameters.source = parameters.source.replace("seed = 0", "seed = 1")
    assert "made with parameters" in stamp.find_problem(changed)
    older = copy.deepcopy(fresh)
    older.metadata.dlp_lib.version = "0.0.1"
    assert "made with version 0.0.1" in stamp.find_problem(older)
    bare = copy.deepcopy(fresh)
    del bare.metadata["dlp_lib"]
    assert "do not say" in stamp.find_problem(bare)


def worked_examples(notebook):
    """The imports, parameters of smoke size, and the cells marked for comparison with outputs."""
    found = parameterize_notebook(load_notebook_node(str(notebook)), SMOKE)
    cells = []
    for cell in found.cells:
        tags = set(cell.metadata.get("tags", ()))
        marked = tags & {"parameters", "injected-parameters", "nbval-check-output"}
        if cell.cell_type == "code" and (marked or only_imports(cell.source)):
            cells.append(cell)
    found.cells = cells
    return found


def compare(folder):
    """Compare the outputs of notebooks in a folder with what their cells give now."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q"]
    command += ["-p", "no:cacheprovider", "-p", "no:cov", "-W", "ignore"]
    command += [str(folder), "--rootdir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True)


def test_worked_examples_give_what_they_gave(tmp_path):
    """In one kernel, after each other, as each needs nothing but the imports before it."""
    together, *others = map(worked_examples, NOTEBOOKS)
    for other in others:
        together.cells += other.cells
    for number, cell in enumerate(together.cells):
        cell.id = str(number)
    nbformat.write(together, tmp_path / "together.ipynb")
    done = compare(tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"{len(together.cells)} passed" in done.stdout


def test_a_worked_example_with_another_output_is_noticed(tmp_path):
    notebook = worked_examples(NOTEBOOKS[0])
    notebook.cells[-1].outputs[0]["text"] = "2 + 2 is 5\n"
    nbformat.write(notebook, tmp_path / "edited.ipynb")
    done = compare(tmp_path)
    assert done.returncode == 1
    assert "2 + 2 is 5" in done.stdout


TEXTS = [*NOTEBOOKS, *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def markdown(path):
    """The text of a guide, or of a notebook's cells of text."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, 4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def anchors(text):
    """The anchors of the headings, as GitHub and MyST make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(text, path):
    """Relative links that lead nowhere."""
    prose = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$", "", text, flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        name, _, anchor = link.partition("#")
        if not re.match(r"[a-z]+:", link):
            goal = path.parent / name if name else path
            if not goal.exists() or (anchor and anchor not in anchors(markdown(goal))):
                yield link


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    assert list(broken(markdown(path), path)) == []


def test_broken_links_are_noticed():
    good = "[a](README.md#the-library) [b](notebooks/00_quickstart.ipynb) "
    good += "[c](https://example.org) `[d](code.md)`"
    bad = ["NOWHERE.md", "README.md#the-librarian", "#nowhere"]
    text = good + "".join(f" [x]({link})" for link in bad)
    assert list(broken(text, ROOT / "README.md")) == bad
