"""The wheel, installed outside of the checkout: what a user has who never saw the repository."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (".git", ".venv", "build", "*.egg-info", "__pycache__", ".ipynb_checkpoints", "*cache")
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""
# What a user calls, in one process, as every start of Python with PyTorch takes seconds
COMMANDS = """
import contextlib
import io
import json
from pathlib import Path

import torch

import dlp_lib
from dlp_lib.__main__ import main
from dlp_lib.experiments import record
from dlp_lib.experiments.run import find_notebook
from dlp_lib.live.page import open_page

quick = ["--gamma", "0.05", "--e1", "1", "--e2", "2", "--steps", "2", "--batch", "16"]
quick += ["-p", "fixmatch.batch=4", "-p", "fixmatch.mu=1", "-p", "unlearn.reestimate=20"]
small = ["-p", "n_train=200", "-p", "n_test=50", "-p", "image_size=8", "-p", "cache=build/one"]
plan = "trial: run_dlp\\ngrid: {dataset: images, n_train: null, poisoning_rate: 0.1, gamma: 0.05, "
plan += "e1: 1, e2: 1, reestimate: 20, finetune_steps: 2, finetune_batch: 4, mu: 1}\\n"

if __name__ == "__main__":
    images = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8)
    split = dlp_lib.Split(images, torch.arange(40) % 2, ("ant", "bee"))
    for part in ("train", "test"):
        dlp_lib.export(split, "images", part=part)
    main(["defend", "images", "--out", "defended", *quick])
    Path("plan.yaml").write_text(plan)
    main(["sweep", "plan.yaml", "--workers", "1", "--out", "table.csv"])
    main(["notebooks", "course"])
    main(["store"])
    main(["run", "00_quickstart", "--out", "out", "--params", "smoke", *small])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["doctor", "--json"])
    page = open_page("images", n_train=None, epochs=2, steps=2)
    found = {
        "file": dlp_lib.__file__,
        "home": str(dlp_lib.HOME),
        "commit": dlp_lib.environment(dlp_lib.Runtime())["commit"],
        "rows": len(record.read("stages")),
        "paper": sorted(record.paper("table 3")),
        "notebook": str(find_notebook("00_quickstart")),
        "widgets": len(page.children),
        "doctor": json.loads(printed.getvalue()),
    }
    Path("found.json").write_text(json.dumps(found))
"""


class Installed(NamedTuple):
    """A wheel that is unpacked, which is all that installing it does, and a folder to work in."""

    packages: Path
    folder: Path

    def run(self, *arguments):
        """Run Python in the folder, with this package before all others."""
        environment = os.environ | {"PYTHONPATH": str(self.packages), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )


def build(project, kind, out):
    """Build in a project, with what is installed here, and return the file."""
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(out)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The source archive, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("archives")
    project = folder / "project"
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(*LEFT_OUT))
    left_by_another_build = project / "build" / "lib" / "dlp_lib" / "old.py"
    left_by_another_build.parent.mkdir(parents=True)
    left_by_another_build.write_text("", encoding="utf-8")
    source = build(project, "sdist", folder)
    shutil.unpack_archive(source, folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked, build(project, "wheel", folder), build(unpacked, "wheel", folder / "unpacked")


@pytest.fixture(scope="module")
def installed(archives, tmp_path_factory):
    packages = tmp_path_factory.mktemp("packages")
    with zipfile.ZipFile(archives[2]) as wheel:
        wheel.extractall(packages)
    # What other packages may have left there
    (packages / "notebooks").mkdir()
    (packages / "notebooks" / "00_of_somebody.ipynb").write_text("", encoding="utf-8")
    (packages / "pyproject.toml").write_text('[project]\nname = "other"\n', encoding="utf-8")
    return Installed(packages, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def found(installed):
    script = installed.folder / "commands.py"
    script.write_text(COMMANDS, encoding="utf-8")
    done = installed.run(str(script))
    assert done.returncode == 0, done.stderr
    return json.loads((installed.folder / "found.json").read_text(encoding="utf-8"))


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def test_the_wheel_holds_what_the_library_reads(archives):
    names = names_in(archives[1])
    for kind, folder in [("ipynb", "notebooks"), ("yaml", "notebooks"), ("md", "docs")]:
        for path in (ROOT / folder).rglob(f"*.{kind}"):
            assert f"dlp_lib/project/{path.relative_to(ROOT).as_posix()}" in names
    for path in (ROOT / "dlp_lib").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in names
    assert "dlp_lib/project/data/paper.json" in names
    assert "dlp_lib/old.py" not in names


def test_the_source_archive_holds_the_project_and_gives_the_same_wheel(archives):
    unpacked, wheel, from_source = archives
    assert names_in(from_source) == names_in(wheel)
    for name in ("Makefile", "tests/conftest.py", "tests/notebooks/bands.yaml", "tools/kit.py"):
        assert (unpacked / name).is_file()


def test_the_commands_run_from_the_wheel(installed, found):
    assert Path(found["file"]).parent == installed.packages / "dlp_lib"
    assert Path(found["notebook"]).is_relative_to(installed.packages / "dlp_lib" / "project")
    assert found["rows"] > 0
    assert "DLP" in found["paper"]
    assert found["commit"] is None
    assert found["widgets"] == 2
    assert (installed.folder / "defended" / "report.html").is_file()
    assert (installed.folder / "table.csv").is_file()
    assert (installed.folder / "course" / "00_quickstart.ipynb").is_file()


def test_what_the_commands_write_lies_where_python_was_started(installed, found):
    assert Path(found["home"]) == installed.folder.resolve()
    assert (installed.folder / "build" / "store").is_dir()
    written = {path.name for path in installed.packages.iterdir()}
    version = importlib.metadata.version("dlp_lib")
    assert written == {"dlp_lib", f"dlp_lib-{version}.dist-info", "notebooks", "pyproject.toml"}


def test_a_notebook_runs_from_the_wheel(installed, found):
    """By its name, with a preset by its name; what it writes lies outside of the package."""
    metrics = json.loads((installed.folder / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["parameters"]["n_train"], metrics["parameters"]["e2"]) == (200, 3)
    assert (installed.folder / "out" / "00_quickstart.html").is_file()
    assert (installed.folder / "build" / "one").is_dir()
    assert not (installed.packages / "dlp_lib" / "project" / "notebooks" / "build").exists()


def test_the_doctor_tells_where_it_is(installed, found):
    where = f"dlp_lib is installed in {installed.packages / 'dlp_lib'}"
    assert any(finding["found"].startswith(where) for finding in found["doctor"])
    for finding in found["doctor"]:
        if finding["check"] in ("jupyter", "folder", "data"):
            assert finding["level"] != "problem", finding
