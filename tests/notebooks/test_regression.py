"""Notebooks cannot rot: outputs are those of the code, worked examples are compared, links lead somewhere."""

import copy
import re
import subprocess
import sys

import nbformat
import pytest
from house import NOTEBOOKS, ROOT, SMOKE, only_imports, tool
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)

stamp = tool("stamp")


def test_every_notebook_has_its_pair():
    assert [path.stem for path in NOTEBOOKS] == sorted(path.stem for path in (ROOT / "notebooks" / "py").glob("*.py"))


@each_notebook
def test_outputs_are_those_of_this_code_and_these_parameters(notebook):
    assert stamp.problem(nbformat.read(notebook, 4)) is None


def test_stale_and_edited_outputs_are_noticed():
    fresh = nbformat.read(NOTEBOOKS[0], 4)
    edited, changed, older, bare = (copy.deepcopy(fresh) for _ in range(4))
    next(cell for cell in edited.cells if cell.get("outputs")).outputs[0]["text"] = "CA 100.0%"
    holder = next(cell for cell in changed.cells if "parameters" in cell.metadata.get("tags", ()))
    holder.source = holder.source.replace("seed = 0", "seed = 1")
    older.metadata.dlp_lib.version = "0.0.1"
    del bare.metadata["dlp_lib"]
    assert "edited since it was executed" in stamp.problem(edited)
    assert "made with parameters" in stamp.problem(changed)
    assert "made with version 0.0.1" in stamp.problem(older)
    assert "do not say" in stamp.problem(bare)


def worked_examples(notebook):
    """Parameters of smoke size, the imports, and the cells that are marked for comparison, with their outputs."""
    whole = parameterize_notebook(load_notebook_node(str(notebook)), SMOKE)
    marked = ("parameters", "injected-parameters", "nbval-check-output")
    whole.cells = [
        cell
        for cell in whole.cells
        if cell.cell_type == "code" and (set(cell.metadata.get("tags", ())) & set(marked) or only_imports(cell.source))
    ]
    return whole


def compare(folder):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:cov",
        "-W",
        "ignore",
    ]
    return subprocess.run([*command, str(folder), "--rootdir", str(folder)], capture_output=True, text=True)


def test_worked_examples_give_what_they_gave(tmp_path):
    for notebook in NOTEBOOKS:
        nbformat.write(worked_examples(notebook), tmp_path / notebook.name)
    done = compare(tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_worked_example_with_another_output_is_noticed(tmp_path):
    notebook = worked_examples(NOTEBOOKS[0])
    notebook.cells[-1].outputs[0]["text"] = "2 + 2 is 5\n"
    nbformat.write(notebook, tmp_path / "edited.ipynb")
    done = compare(tmp_path)
    assert done.returncode == 1
    assert "2 + 2 is 5" in done.stdout


TEXTS = [*NOTEBOOKS, *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def markdown(path):
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")


def anchors(text):
    """The anchors of the headings, as GitHub and MyST make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(text, path):
    """Relative links that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$", "", text, flags=re.DOTALL)):
        name, _, anchor = link.partition("#")
        if not re.match(r"[a-z]+:", link):
            goal = path.parent / name if name else path
            if not goal.exists() or (anchor and anchor not in anchors(markdown(goal))):
                yield link


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    assert list(broken(markdown(path), path)) == []


def test_broken_links_are_noticed():
    good = "[a](README.md#the-library) [b](notebooks/00_quickstart.ipynb) [c](https://example.org) `[d](code.md)`"
    bad = ["NOWHERE.md", "README.md#the-librarian", "#nowhere"]
    assert list(broken(good + "".join(f" [x]({link})" for link in bad), ROOT / "README.md")) == bad
