"""Where things lie, in a checkout and outside one."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from dlp_lib import HOME, PROJECT, Runtime, environment, places
from dlp_lib.experiments import notebook_files
from dlp_lib.experiments.notebook_files import execute_notebook

OWN = '[project]\nname = "dlp_lib"\n'
STRANGERS = '[project]\nname = "dlp_lib_of_somebody"\n'


def test_here_is_a_checkout():
    assert places.IN_CHECKOUT
    assert HOME == PROJECT == Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, False),  # a folder of packages, with the notebooks of one of them
        (STRANGERS.encode(), False),
        (b"", False),
        (b"\xff\xfe", False),  # not text
        (OWN.encode(), True),
        (OWN.replace("\n", "\r\n").encode(), True),
    ],
)
def test_a_folder_is_this_projects_by_its_own_name(tmp_path, content, expected):
    (tmp_path / "notebooks").mkdir()
    if content is not None:
        (tmp_path / "pyproject.toml").write_bytes(content)
    assert places.is_checkout(tmp_path) is expected


def test_results_outside_a_checkout_name_no_commit(monkeypatch):
    answer = SimpleNamespace(stdout="1f0c2d3\n")
    monkeypatch.setattr("dlp_lib.runtime.shutil.which", lambda _: "git")
    monkeypatch.setattr("dlp_lib.runtime.subprocess.run", lambda *_, **__: answer)
    assert environment(Runtime())["commit"] == "1f0c2d3"
    monkeypatch.setattr("dlp_lib.runtime.IN_CHECKOUT", False)
    assert environment(Runtime())["commit"] is None


@pytest.mark.parametrize(("inside", "folder"), [(True, "home"), (False, "own")])
def test_a_notebook_inside_the_package_runs_outside_of_it(tmp_path, monkeypatch, inside, folder):
    (tmp_path / "home").mkdir()
    notebook = tmp_path / "own" / "00.ipynb"
    called = {}
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **options: called.update(options))
    monkeypatch.setattr(notebook_files, "HOME", tmp_path / "home")
    monkeypatch.setattr(notebook_files, "PACKAGE", tmp_path / ("own" if inside else "packages"))
    execute_notebook(notebook, tmp_path / "out.ipynb", {}, "python3")
    assert called["cwd"] == str(tmp_path / folder)
