"""The doctor in healthy and sick worlds, nearly all made up; the texts for containers and Colab."""

import ast
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from dlp_lib import HOME, PROJECT, console, doctor, health, places
from dlp_lib.data import cifar10
from dlp_lib.health import base, hardware, interpreter, notebooks, project
from dlp_lib.places import IN_CHECKOUT, PACKAGE

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ["python", "packages", "compute", "widgets", "jupyter", "folder", "data"]
FILES = [
    Path(doctor.__file__),
    Path(console.__file__),
    Path(places.__file__),
    *sorted(Path(health.__file__).parent.glob("*.py")),
]
PYPROJECT = """
[project]
dependencies = ["numpy>=2.0", "torch>=2.11,!=2.13.0"]
[project.optional-dependencies]
lab = ["ipywidgets>=8.1", "jupyterlab>=4.4"]
test = ["pytest>=8.4"]
cluster = ["distributed>=2025.1"]
"""


def reading_notebook(table):
    """A notebook that reads a recorded table."""
    cells = [{"cell_type": "code", "source": [f'rows = record.read("{table}")\n']}]
    return json.dumps({"cells": cells, "metadata": {}})


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A healthy project and environment; a test makes it sick."""
    home, prefix = tmp_path / "project", tmp_path / "project" / ".venv"
    front = Path("share", "jupyter", "labextensions", "@jupyter-widgets", "jupyterlab-manager")
    for folder in (
        home / "notebooks",
        home / "data" / "recorded",
        home / "build",
        home / "dlp_lib" / "data",
        home / ".git",
    ):
        folder.mkdir(parents=True)
    (prefix / front).mkdir(parents=True)
    (prefix / "bin").mkdir()
    (home / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    reading = reading_notebook("stages")
    (home / "notebooks" / "00.ipynb").write_text(reading, encoding="utf-8")
    (home / "data" / "paper.json").write_text("{}", encoding="utf-8")
    (home / "data" / "recorded" / "stages.json").write_text('{"rows": []}', encoding="utf-8")
    shutil.copy(ROOT / "dlp_lib" / "data" / "shapes10.py", home / "dlp_lib" / "data")
    python = str(prefix / "bin" / "python")
    made = SimpleNamespace(
        home=home,
        prefix=prefix,
        front=front,
        python=python,
        versions={
            "numpy": "2.4.6",
            "torch": "2.15.0+cu132",
            "ipywidgets": "8.1.9",
            "jupyterlab_widgets": "3.0.17",
            "widgetsnbextension": "4.0.16",
            "jupyterlab": "4.6.6",
            "pytest": "9.2.0",
            "distributed": "2026.8.0",
        },
        runs={
            hardware.TORCH: (True, "torch 2.15.0, torchvision 0.29.2, 4 CPU thread(s)"),
            hardware.GPU: (False, "AssertionError: Torch not compiled with CUDA enabled"),
            hardware.MEMORY: (True, "8000000000"),
            notebooks.KERNEL: (True, f"{prefix}|{home / 'dlp_lib' / '__init__.py'}"),
            project.WRITE: (True, ""),
            "rev-parse": (True, "1f0c2d3"),
            "-L": (True, "GPU 0: NVIDIA T4"),
        },
        commands=[],
        programs={"jupyter": str(prefix / "bin" / "jupyter")},
        places=[str(prefix / "share" / "jupyter" / "labextensions")],
        kernel=SimpleNamespace(
            argv=["python", "-m", "ipykernel_launcher"], resource_dir=f"{prefix}/kernels/python3"
        ),
        kernels={"python3": f"{prefix}/kernels/python3"},
        system=SimpleNamespace(
            version_info=(3, 12, 1),
            maxsize=2**63 - 1,
            platform="linux",
            executable=python,
            prefix=str(prefix),
        ),
        free=80e9,
    )

    def run(*command):
        made.commands.append(command)
        answer = next(answer for part, answer in made.runs.items() if part in command)
        return base.Outcome(*answer)

    def requires(name):
        if name not in made.versions:
            raise PackageNotFoundError(name)
        return [
            "comm>=0.1.3",
            "jupyterlab_widgets~=3.0.17",
            "widgetsnbextension~=4.0.16",
            'pytest; extra == "test"',
        ]

    def distributions(name):
        return [SimpleNamespace(version=made.versions[name])] if name in made.versions else []

    monkeypatch.setattr(base, "HOME", home)
    monkeypatch.setattr(base, "PROJECT", home)
    monkeypatch.setattr(base, "PACKAGE", home / "dlp_lib")
    monkeypatch.setattr(base, "run", run)
    for module in (hardware, interpreter, notebooks, project):
        monkeypatch.setattr(module, "sys", made.system)
    user_site = SimpleNamespace(ENABLE_USER_SITE=False, getuserbase=lambda: str(tmp_path / "me"))
    monkeypatch.setattr(notebooks, "site", user_site)
    metadata = SimpleNamespace(requires=requires, distributions=distributions)
    monkeypatch.setattr(interpreter, "metadata", metadata)
    monkeypatch.setattr(notebooks, "metadata", metadata)
    monkeypatch.setattr(interpreter.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(shutil, "which", made.programs.get)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=made.free))
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda _: made.places)
    monkeypatch.setattr("jupyter_client.kernelspec.get_kernel_spec", lambda _: made.kernel)
    monkeypatch.setattr("jupyter_client.kernelspec.find_kernel_specs", lambda: made.kernels)
    return made


def bad(check):
    """What a check finds that is not ok; each of them comes with a remedy."""
    findings = [finding for finding in check() if finding[0] != "ok"]
    assert all(remedy for _, _, remedy in findings)
    return findings


def only(check):
    """Its level, what was found and the remedy, of the one thing that is not ok."""
    (finding,) = bad(check)
    return finding


def test_nothing_is_found_in_a_healthy_world(world, capsys):
    assert doctor.main([]) == 0
    printed = capsys.readouterr().out
    assert printed.endswith("\nProblems: 0, warnings: 0.\n")
    lines = printed.splitlines()[:-2]
    assert all(line.startswith("ok ") for line in lines)  # and no remedies
    assert list(dict.fromkeys(line.split()[1] for line in lines)) == CHECKS


@pytest.mark.parametrize(
    "sick",
    [
        {"version_info": (3, 10, 9)},
        {"maxsize": 2**31 - 1},
        {"platform": "darwin"},  # on x86_64
    ],
)
def test_a_python_that_is_too_old_or_of_the_wrong_kind(world, sick):
    vars(world.system).update(sick)
    level, found, remedy = only(health.python)
    assert (level, found.count(world.python)) == ("problem", 1)
    assert "Install Python 3.11 or newer" in remedy


def test_the_oldest_python_is_the_one_of_pyproject():
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    least = metadata["requires-python"].removeprefix(">=")
    source = Path(interpreter.__file__).read_text(encoding="utf-8")
    versions = re.findall(r"version_info >= \((\d+), (\d+)\)", source)
    assert versions == [tuple(least.split("."))]


def test_another_python_than_the_one_that_make_installed_into(world):
    world.system.prefix = "/usr"
    level, found, remedy = only(health.python)
    assert level == "warning"
    assert str(world.prefix) in found
    assert str(world.prefix / "bin" / "python") in remedy or "Scripts" in remedy


def test_missing_and_old_packages(world):
    del world.versions["jupyterlab"]
    world.versions["numpy"], world.versions["torch"] = "1.26.4", "2.13.0"
    core, lab = bad(health.packages)
    assert core[:2] == (
        "problem",
        "for dlp_lib: numpy>=2.0 (here: 1.26.4), torch!=2.13.0,>=2.11 (here: 2.13.0)",
    )
    assert lab == ("problem", "for notebooks: jupyterlab>=4.4 (missing)", base.INSTALL)


def test_builds_and_prereleases_count_as_their_version(world):
    world.versions["torch"] = "2.14.0a0+git1f0c2d3"
    assert bad(health.packages) == []


def test_what_notebooks_do_without_is_no_problem(world):
    del world.versions["pytest"], world.versions["distributed"]
    assert only(health.packages)[:2] == (
        "warning",
        "for Dask (notebook 09): distributed>=2025.1 (missing)",
    )
    assert ("ok", "for tests: pytest>=8.4 (missing)") in [
        finding[:2] for finding in health.packages()
    ]


def test_torch_that_is_missing_and_torch_that_does_not_fit(world):
    world.runs[hardware.TORCH] = False, "ModuleNotFoundError: No module named 'torch'"
    assert only(health.compute) == (
        "problem",
        f"PyTorch does not work: {world.runs[hardware.TORCH][1]}",
        base.INSTALL,
    )
    world.runs[hardware.TORCH] = False, "RuntimeError: operator torchvision::nms does not exist"
    level, found, remedy = only(health.compute)
    assert (level, "torchvision::nms" in found) == ("problem", True)
    assert "--force-reinstall torch torchvision" in remedy
    assert not any(
        hardware.GPU in command for command in world.commands
    )  # a broken torch is not asked for its GPU


def test_a_gpu_that_works(world):
    world.runs[hardware.GPU] = True, "NVIDIA T4"
    world.programs["nvidia-smi"] = "/usr/bin/nvidia-smi"
    assert ("ok", "GPU: NVIDIA T4", "") in list(health.compute())


@pytest.mark.parametrize(
    ("said", "level", "cure"),
    [
        ("AssertionError: Torch not compiled with CUDA enabled", "warning", "with CUDA"),
        (
            "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
            "warning",
            "Update",
        ),
        ("RuntimeError: No CUDA GPUs are available", "warning", "CUDA_VISIBLE_DEVICES"),
        (
            "torch.AcceleratorError: CUDA error: no kernel image is available",
            "problem",
            'device = "cpu"',
        ),
        ("torch.OutOfMemoryError: CUDA out of memory.", "problem", 'device = "cpu"'),
    ],
)
def test_a_gpu_that_pytorch_cannot_use(world, said, level, cure):
    world.runs[hardware.GPU] = False, said
    world.programs["nvidia-smi"] = "/usr/bin/nvidia-smi"
    seen, found, remedy = only(health.compute)
    assert seen == level
    assert "NVIDIA T4" in found
    assert said in found
    assert cure in remedy


def test_little_memory_and_unknown_memory(world):
    world.runs[hardware.MEMORY] = True, "500000000"
    assert only(health.compute)[:2] == ("warning", "0.5 GB of memory are free")
    world.runs[hardware.MEMORY] = False, "ModuleNotFoundError: No module named 'psutil'"
    assert bad(health.compute) == []


def test_widgets_of_different_generations(world):
    world.versions["jupyterlab_widgets"] = "1.1.11"
    level, found, remedy = only(health.widgets)
    assert (level, found) == (
        "problem",
        "sliders stay blank without jupyterlab_widgets~=3.0.17 (here: 1.1.11)",
    )
    assert "--force-reinstall ipywidgets jupyterlab_widgets" in remedy


def test_widgets_without_a_front_end_and_with_a_strangers(world, tmp_path, monkeypatch):
    mine, others = world.places[0], tmp_path / "me" / "share" / "jupyter" / "labextensions"
    world.places = [str(others)]
    assert only(health.widgets)[:2] == (
        "problem",
        f"JupyterLab has sliders from {Path('/nowhere')}",
    )
    (tmp_path / "me" / world.front).mkdir(parents=True)
    world.places = [str(others), mine]  # JupyterLab takes the first
    assert str(others) in only(health.widgets)[1]
    monkeypatch.setattr(
        notebooks.site, "ENABLE_USER_SITE", True
    )  # what pip install --user brought is no stranger's
    assert bad(health.widgets) == []


def test_jupyter_of_another_environment(world):
    world.programs["jupyter"] = "/opt/conda/bin/jupyter"
    level, found, remedy = only(health.jupyter)
    assert (level, "/opt/conda/bin/jupyter" in found) == ("warning", True)
    assert "make lab" in remedy
    del world.programs["jupyter"]  # the environment is not activated: make lab knows where it is
    assert bad(health.jupyter) == []


def test_a_kernel_of_another_environment_and_one_that_is_gone(world):
    world.kernel.argv[0] = "/opt/old/bin/python"
    world.runs[notebooks.KERNEL] = True, f"/opt/old|{world.home / 'dlp_lib' / '__init__.py'}"
    level, found, remedy = only(health.jupyter)
    assert (level, "another Python, /opt/old/bin/python" in found) == ("problem", True)
    assert f"Remove {world.kernel.resource_dir}" in remedy
    world.runs[notebooks.KERNEL] = (
        False,
        "[Errno 2] No such file or directory: '/opt/old/bin/python'",
    )
    assert "No such file" in bad(health.jupyter)[0][1]


def test_a_kernel_named_python_is_that_of_jupyter(world):
    assert bad(health.jupyter) == []
    assert (world.python, "-c", notebooks.KERNEL) in world.commands


@pytest.mark.parametrize("metadata", [{}, {"kernelspec": {}}, {"kernelspec": {"name": "python3"}}])
def test_a_notebook_that_asks_for_a_kernel_of_this_machine(world, metadata):
    content = json.dumps({"metadata": metadata})
    (world.home / "notebooks" / "01_a.ipynb").write_text(content, encoding="utf-8")
    assert bad(health.jupyter) == []


def test_a_notebook_that_asks_for_a_kernel_of_another_machine(world):
    content = json.dumps({"metadata": {"kernelspec": {"name": "thesis"}}})
    (world.home / "notebooks" / "01_a.ipynb").write_text(content, encoding="utf-8")
    level, found, remedy = only(health.jupyter)
    assert (level, found) == ("warning", "this machine lacks the kernels of 01_a.ipynb (thesis)")
    assert "Change Kernel" in remedy


@pytest.mark.parametrize("content", ["no JSON", "", "[]", "5", '{"metadata": []}', "{}"])
def test_a_notebook_that_is_damaged(world, content):
    (world.home / "notebooks" / "01_a.ipynb").write_text(content, encoding="utf-8")
    assert only(health.jupyter) == ("problem", "damaged: 01_a.ipynb", "git checkout -- notebooks")


def test_jupyter_without_a_kernel(world):
    world.kernels = {"ir": "/opt/ir"}
    asking, (level, found, remedy) = bad(health.jupyter)
    assert asking[1] == "this machine lacks the kernels of 00.ipynb (python3)"
    assert (level, found) == ("problem", "Jupyter has no kernel python3, but ir")
    assert "ipykernel install --sys-prefix" in remedy


@pytest.mark.parametrize("origin", ["", "/elsewhere/dlp_lib/__init__.py"])
def test_notebooks_that_import_another_dlp_lib_or_none(world, origin):
    world.runs[notebooks.KERNEL] = True, f"{world.prefix}|{origin}"
    level, found, remedy = only(health.jupyter)
    assert (level, (origin or "nowhere") in found) == ("problem", True)
    assert "--no-deps -e" in remedy


def test_a_checkout_that_git_refuses_and_a_folder_without_git(world):
    world.runs["rev-parse"] = False, "fatal: detected dubious ownership in repository"
    level, found, remedy = only(health.folder)
    assert (level, "dubious ownership" in found, "safe.directory" in remedy) == (
        "warning",
        True,
        True,
    )
    (world.home / ".git").rmdir()
    assert bad(health.folder) == []


def test_folders_that_cannot_be_written(world):
    world.runs[project.WRITE] = False, "PermissionError: [Errno 13] Permission denied"
    findings = bad(health.folder)
    assert [found.split(":")[0] for _, found, _ in findings] == [
        f"cannot write {world.home / name}".split(":")[0] for name in ("build", "data")
    ]
    (world.home / "build").rmdir()  # not made yet: the folder around it counts
    list(health.folder())
    assert world.commands[-2][-1] == str(world.home)


@pytest.mark.parametrize(("free", "level"), [(2e9, "warning"), (0.1e9, "problem")])
def test_little_room_on_the_disk(world, free, level):
    world.free = free
    assert only(health.folder)[0] == level


def test_cifar10_whole_and_damaged(world, monkeypatch):
    archive = world.home / "data" / Path(cifar10.URL).name
    archive.write_bytes(b"half of it")
    assert only(health.data)[:2] == ("warning", f"{archive} is damaged")
    monkeypatch.setattr(project, "CIFAR10_MD5", hashlib.md5(b"half of it").hexdigest())
    assert ("ok", f"CIFAR-10 is {archive}", "") in list(health.data())
    assert bad(health.data) == []


def test_tables_that_are_damaged_and_missing(world):
    (world.home / "data" / "recorded" / "stages.json").write_text('{"rows": [', encoding="utf-8")
    (world.home / "data" / "paper.json").unlink()
    assert only(health.data) == (
        "problem",
        "damaged or missing: paper.json, recorded/stages.json",
        "git checkout -- data",
    )


def test_tables_in_a_folder_of_their_own(world):
    notebook = world.home / "notebooks" / "01.ipynb"
    notebook.write_text(reading_notebook("cifar10/epochs"), encoding="utf-8")
    assert only(health.data)[1] == "damaged or missing: recorded/cifar10/epochs.json"
    table = world.home / "data" / "recorded" / "cifar10" / "epochs.json"
    table.parent.mkdir()
    table.write_text('{"rows": []}', encoding="utf-8")
    assert bad(health.data) == []


def test_shapes10_that_is_drawn_differently(world):
    file = world.home / "dlp_lib" / "data" / "shapes10.py"
    brighter = """
original = draw
def draw(n):
    images, labels = original(n)
    return images + 1, labels
"""
    file.write_text(file.read_text(encoding="utf-8") + brighter, encoding="utf-8")
    assert only(health.data)[:2] == ("problem", "shapes10 differs: so will results")


@pytest.fixture
def installed(world, monkeypatch):
    """The same world, where a wheel is installed, and Python was started in another folder."""
    package = world.prefix / "lib" / "dlp_lib"
    shutil.copytree(world.home / "dlp_lib", package)
    for name in ("notebooks", "data", "pyproject.toml"):
        (package / "project").mkdir(exist_ok=True)
        (world.home / name).rename(package / "project" / name)
    elsewhere = world.home.parent / "elsewhere"
    (elsewhere / "notebooks").mkdir(parents=True)
    (elsewhere / "notebooks" / "of_somebody.ipynb").write_text("no notebook", encoding="utf-8")
    (elsewhere / ".venv").mkdir()  # somebody's, too
    world.runs[notebooks.KERNEL] = True, f"{world.prefix}|{package / '__init__.py'}"
    monkeypatch.setattr(base, "PACKAGE", package)
    monkeypatch.setattr(base, "PROJECT", package / "project")
    monkeypatch.setattr(base, "HOME", elsewhere)
    monkeypatch.setattr(base, "IN_CHECKOUT", False)
    monkeypatch.setattr(base, "INSTALL", base.how_to_install())
    world.home = elsewhere
    return world


def test_nothing_is_found_in_a_healthy_wheel(installed, capsys):
    assert doctor.main([]) == 0
    printed = capsys.readouterr().out
    assert printed.endswith("\nProblems: 0, warnings: 0.\n")
    assert f"dlp_lib is installed in {base.PACKAGE}, data and results go into" in printed
    assert f"can write {installed.home / 'build'}" in printed
    assert "for tests" not in printed
    assert not any("rev-parse" in command for command in installed.commands)


def test_what_helps_a_wheel_is_nothing_that_only_a_checkout_has(installed):
    installed.system.version_info = (3, 10, 9)
    installed.programs["jupyter"] = "/opt/conda/bin/jupyter"
    installed.runs[notebooks.KERNEL] = True, f"{installed.prefix}|/elsewhere/__init__.py"
    del installed.versions["jupyterlab"]
    (base.PROJECT / "data" / "paper.json").unlink()
    (base.PROJECT / "notebooks" / "01.ipynb").write_text("", encoding="utf-8")
    found = []
    for check in health.CHECKS:
        found += bad(check)
    assert len(found) == 6
    for _, _, remedy in found:
        assert not re.search(r"\bmake\b|git checkout| -e ", remedy), remedy
    remedies = " ".join(remedy for _, _, remedy in found)
    assert 'pip install "dlp_lib[lab,cluster]"' in remedies
    assert remedies.count("--force-reinstall --no-deps FILE.whl") == 3


def test_what_a_program_said():
    assert base.run(sys.executable, "-c", "print('王 ≥')") == (True, "王 ≥")
    assert base.run(sys.executable, "-c", "print('one'); print('two')") == (True, "two")
    failing = "import sys; print('Trace'); sys.exit('ValueError: what was wrong\\nwhat to read')"
    assert base.run(sys.executable, "-c", failing) == (False, "ValueError: what was wrong")
    assert base.run(sys.executable, "-c", "import os; os._exit(3)") == (False, "exit status 3")
    works, said = base.run("no-such-program")
    assert not works
    assert "no-such-program" in said


def test_a_check_that_fails_is_a_problem_and_the_others_go_on(world, monkeypatch, capsys):
    monkeypatch.setitem(
        sys.modules, "jupyter_client.kernelspec", None
    )  # as if it were not installed
    del world.versions["ipywidgets"]
    assert doctor.main([]) == 1
    printed = capsys.readouterr().out
    assert re.search(
        r"problem +jupyter +cannot be checked: ModuleNotFoundError.*\n +-> \S", printed
    )
    assert re.search(r"problem +widgets +cannot be checked: PackageNotFoundError", printed)
    assert "shapes10 is as everywhere" in printed
    assert printed.endswith("\nProblems: 3, warnings: 0.\n")


def test_a_warning_does_not_change_the_exit_status(world, capsys):
    world.free = 2e9
    assert doctor.main([]) == 0
    assert (
        "warning  folder    2.0 GB of disk are free\n         -> Make room"
        in capsys.readouterr().out
    )


def test_json(world, capsys):
    world.free = 0
    assert doctor.main(["--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert all(list(finding) == ["check", "level", "found", "remedy"] for finding in findings)
    assert [finding["found"] for finding in findings if finding["level"] == "problem"] == [
        "0.0 GB of disk are free"
    ]


def imported_names(tree):
    """The packages that a file imports when it is itself imported, its own package left out."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_starts_without_any_package_and_on_an_old_python(file):
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))
    assert imported_names(tree) <= sys.stdlib_module_names
    first = next(node for node in tree.body if not isinstance(node, ast.Expr))
    assert ast.unparse(first) == "from __future__ import annotations"  # "X | Y" is newer than 3.8


def test_an_import_of_a_package_is_noticed():
    assert imported_names(ast.parse("import os, numpy.linalg")) == {"os", "numpy"}
    assert imported_names(ast.parse("from torch import nn\nfrom .base import run")) == {"torch"}


def test_it_imports_nothing_else_of_the_library():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, file
                assert (node.module or "").split(".")[0] != "dlp_lib", file


def test_it_agrees_with_the_library():
    assert (base.HOME, base.PROJECT, base.PACKAGE) == (HOME, PROJECT, PACKAGE)
    assert base.IN_CHECKOUT == IN_CHECKOUT
    assert project.CIFAR10_MD5 == cifar10.MD5
    assert Path(cifar10.URL).name == project.CIFAR10_ARCHIVE


@pytest.mark.parametrize("options", [["-S"], ["-S", "-P"]])  # -S: without site-packages
def test_as_a_plain_file_without_packages_on_this_machine(options):
    command = [sys.executable, *options, doctor.__file__, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    findings = json.loads(done.stdout)
    assert list(dict.fromkeys(finding["check"] for finding in findings)) == CHECKS
    assert {finding["level"] for finding in findings} <= {"ok", "warning", "problem"}
    assert done.returncode == 1  # packages are missing, at least
    assert not done.stderr


def test_as_a_plain_file_the_library_hides_no_package():
    listing = "import runpy, sys; sys.argv = sys.argv[1:]\n"
    listing += "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    listing += "except SystemExit:\n    print(sys.path)"
    command = [sys.executable, "-c", listing, doctor.__file__, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert str(Path(doctor.__file__).parent) not in ast.literal_eval(done.stdout.splitlines()[-1])
    assert not done.stderr


def test_the_devcontainer_installs_as_the_guide_says():
    container = json.loads(
        (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    )
    version = re.fullmatch(
        r"mcr\.microsoft\.com/devcontainers/python:3\.(\d+)(-\w+)?", container["image"]
    )
    assert int(version[1]) >= 11
    assert container["forwardPorts"] == [8888, 8866]
    assert "ms-toolsai.jupyter" in container["customizations"]["vscode"]["extensions"]
    guide = re.sub(r"\s+", " ", (ROOT / "docs" / "INSTALL.md").read_text(encoding="utf-8"))
    for command in container["postCreateCommand"].split(" && "):
        assert command in guide


def test_the_colab_page_holds_python_and_names_what_exists():
    page = (ROOT / "docs" / "colab.md").read_text(encoding="utf-8")
    cells = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert cells
    for cell in cells:
        ast.parse(re.sub(r"^([!%].*)$", "pass", cell, flags=re.MULTILINE))
    for notebook in re.findall(r"\d\d_\w+", page):
        assert (ROOT / "notebooks" / f"{notebook}.ipynb").is_file()
