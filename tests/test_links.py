"""The links that the project's address gives: right with one, none and nothing broken without."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote

import jupytext
import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from dlp_lib.experiments.classroom import is_tagged, make_student
from dlp_lib.experiments.links import published_address
from tools import links, stamp
from tools.book import build

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "https://github.com/an-owner/dlp_lib"
COLAB = "https://colab.research.google.com/github/an-owner/dlp_lib/blob/main/notebooks/"
BINDER = "https://mybinder.org/v2/gh/an-owner/dlp_lib/main?labpath="
HOSTS = ("colab.research.google.com/github", "mybinder.org/v2", "OWNER")


@pytest.fixture
def project(tmp_path):
    """A copy of what has such links, with one of the notebooks."""
    for name in ("README.md", "CITATION.cff", "docs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "notebooks" / "py").mkdir(parents=True)
    for name in ("notebooks/03_entropy_filtering.ipynb", "notebooks/py/03_entropy_filtering.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    for path, content in links.contents(tmp_path, ""):
        path.write_text(content, encoding="utf-8")
    return tmp_path


def write(project, address):
    for path, content in list(links.outdated(project, address)):
        path.write_text(content, encoding="utf-8")


def texts(project):
    found = {}
    for path in sorted(project.rglob("*.*")):
        if path.suffix in (".md", ".cff", ".ipynb", ".py"):
            found[path.relative_to(project).as_posix()] = path.read_text(encoding="utf-8")
    return found


def test_every_file_is_as_the_address_says():
    found = [path.name for path, _ in links.outdated(ROOT, published_address())]
    assert found == [], "make links"


def test_without_an_address_nothing_links_there(project):
    for name, text in texts(project).items():
        for host in HOSTS:
            assert host not in text, name
    assert "repository-code" not in texts(project)["CITATION.cff"]


def test_with_an_address_all_links_lead_there(project):
    write(project, ADDRESS)
    found = texts(project)
    assert f"[in Colab]({COLAB}00_quickstart.ipynb)" in found["README.md"]
    assert f"[in Binder]({BINDER}notebooks%2F00_quickstart.ipynb)" in found["README.md"]
    assert f"git clone {ADDRESS} && cd dlp_lib\n" in found["docs/INSTALL.md"]
    assert f"git+{ADDRESS}" in found["docs/colab.md"]
    assert yaml.safe_load(found["CITATION.cff"])["repository-code"] == ADDRESS
    for text in found.values():
        assert "OWNER" not in text
        for place in re.findall(rf"{re.escape(COLAB)}([\w.]+)", text):
            assert (ROOT / "notebooks" / place).is_file()
        for place in re.findall(rf"{re.escape(BINDER)}([\w.%]+)", text):
            assert (ROOT / unquote(place)).is_file()


def test_an_address_that_goes_leaves_nothing_behind(project):
    before = texts(project)
    write(project, ADDRESS)
    assert texts(project) != before
    write(project, "https://github.com/another/one")
    assert "an-owner" not in "".join(texts(project).values())
    write(project, "")
    assert texts(project) == before


def test_a_notebook_and_its_pair_get_the_same_cells(project):
    write(project, ADDRESS)
    notebook = nbformat.read(project / "notebooks" / "03_entropy_filtering.ipynb", 4)
    nbformat.validate(notebook)
    pair = jupytext.read(project / "notebooks" / "py" / "03_entropy_filtering.py")
    for one, other in zip(notebook.cells, pair.cells, strict=True):
        assert one.source == other.source
        assert one.metadata.get("tags") == other.metadata.get("tags")
    _, opening, installing = notebook.cells[:3]
    assert opening.source.count("03_entropy_filtering.ipynb") == 2
    assert is_tagged(installing, links.INSTALLING)


def test_the_cell_that_installs_does_nothing_elsewhere(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    source = links.INSTALL.format(address=ADDRESS)
    commands = []
    exec(source, {})
    assert commands == []
    monkeypatch.setitem(sys.modules, "google.colab", object())
    exec(source, {})
    assert commands[0][-2:] == ["--no-deps", f"git+{ADDRESS}"]


def small_notebook():
    return new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell("1 + 1")])


def test_stamps_and_the_book_know_no_cell_that_installs():
    notebook = small_notebook()
    before = stamp.current_stamp(notebook)
    links.link(notebook, "notebooks/00.ipynb", ADDRESS)
    assert stamp.current_stamp(notebook) == before
    shown = build.prepare(notebook).cells
    assert [cell.source.split("]")[0] for cell in shown] == ["# Title", "[Open in Colab", "1 + 1"]


def test_students_get_no_link_to_the_solutions():
    notebook = small_notebook()
    links.link(notebook, "notebooks/00.ipynb", ADDRESS)
    make_student(notebook)
    assert [cell.source.split("\n")[0] for cell in notebook.cells] == [
        "# Title",
        links.INSTALL.split("\n")[0],
        "1 + 1",
    ]


def test_the_book_without_an_address_offers_no_edits():
    assert links.edit_options("") == {}


def test_binder_gets_what_the_notebooks_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["lab"]}
    text = (ROOT / "binder" / "environment.yml").read_text(encoding="utf-8")
    python, pip, *listed = yaml.safe_load(text)["dependencies"]
    assert {name.replace("pytorch", "torch") for name in listed} == wanted
    assert (python.split("=")[0], pip) == ("python", "pip")
    assert (ROOT / "binder" / "postBuild").read_text(encoding="utf-8").startswith("#!/bin/bash\n")
