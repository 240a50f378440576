"""The workflows of continuous integration: what they call is there, and they may do little."""

import os
import re
import tomllib

import pytest
import yaml

from dlp_lib import HOME
from dlp_lib.__main__ import COMMANDS

FOLDER = HOME / ".github" / "workflows"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in FOLDER.glob("*.yml")}
MAKEFILE = (HOME / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):.*##", MAKEFILE, re.MULTILINE))
SCRIPT = (HOME / ".ci" / "run").read_text(encoding="utf-8")
PAGES = [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted((HOME / "docs").glob("*.md"))]
each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)


def steps(workflow):
    """All steps of all jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def actions(workflow):
    """Name, version and inputs of the actions that are used."""
    used = [step for step in steps(workflow) if "uses" in step]
    return [(*step["uses"].split("@"), step.get("with", {})) for step in used]


def missing_commands(command):
    """What a line of a shell wants make or this package to do, and they cannot."""
    found = re.findall(r"\bmake ([a-z]+)", command)
    lacking = [f"make {target}" for target in found if target not in TARGETS]
    for name in re.findall(r"python -m dlp_lib ([a-z]+)", command):
        if name not in COMMANDS:
            lacking.append(f"dlp_lib {name}")
    return lacking


def missing(command):
    """What a line of a shell names and the project does not have, files included."""
    lacking = missing_commands(command)
    for notebook in re.findall(r"dlp_lib run (\S+)", command):
        if not (HOME / "notebooks" / f"{notebook}.ipynb").is_file():
            lacking.append(notebook)
    for path in re.findall(r"(?:-r |--params |)(\S+\.(?:lock|yaml|py))\b|^(\.ci/\S+)", command):
        lacking += [name for name in path if name and not (HOME / name).is_file()]
    return lacking


def test_all_three_are_there():
    assert set(WORKFLOWS) == {"tests.yml", "install.yml", "book.yml"}


@each_workflow
def test_what_a_workflow_calls_is_there(workflow):
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert [missing(command) for command in commands] == [[]] * len(commands)


@pytest.mark.parametrize("line", SCRIPT.splitlines())
def test_what_the_script_calls_is_there(line):
    assert missing(line.partition("#")[0]) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_a_guide_calls_is_there(page):
    blocks = re.findall(r"```(?:sh|bat)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    lines = [line.partition("#")[0] for block in blocks for line in block.splitlines()]
    assert [lacking for line in lines for lacking in missing_commands(line)] == []


def test_the_script_can_be_run():
    assert os.access(HOME / ".ci" / "run", os.X_OK)
    assert "make lint" in SCRIPT
    assert "make test" in SCRIPT


@pytest.mark.parametrize(
    ("command", "lacking"),
    [
        ("make bok", ["make bok"]),
        ("make lint && make tset COVERAGE=90", ["make tset"]),
        ("python -m dlp_lib doktor", ["dlp_lib doktor"]),
        ("python -m dlp_lib run 99_none --out x", ["99_none"]),
        ("python -m dlp_lib run 00_quickstart --params no.yaml", ["no.yaml"]),
        ("python -m pip install -r requirement.lock", ["requirement.lock"]),
        ("python -m pytest tests/test_none.py", ["tests/test_none.py"]),
        (".ci/rum", [".ci/rum"]),
    ],
)
def test_what_is_not_there_is_noticed(command, lacking):
    assert missing(command) == lacking


@each_workflow
def test_a_workflow_may_read_and_only_publishing_may_write(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        allowed = {"pages": "write", "id-token": "write"} if name == "publish" else None
        assert job.get("permissions") == allowed
        assert job["timeout-minutes"] <= 180
    assert "group" in workflow["concurrency"]
    assert "pull_request_target" not in workflow[True]  # "on", as YAML 1.1 reads it


@each_workflow
def test_actions_are_of_a_major_version_and_keep_what_pip_fetched(workflow):
    for name, version, inputs in actions(workflow):
        assert name.startswith("actions/")
        assert re.fullmatch(r"v\d+", version)
        if name == "actions/checkout":
            assert inputs["persist-credentials"] is False
        if name == "actions/setup-python":
            assert inputs["cache"] == "pip"
            assert (HOME / inputs["cache-dependency-path"]).is_file()


def test_the_book_is_published_from_where_make_puts_it():
    inputs = {name: inputs for name, _, inputs in actions(WORKFLOWS["book.yml"])}
    path = inputs["actions/upload-pages-artifact"]["path"]
    assert path in re.search(r"^book:.*", MAKEFILE, re.MULTILINE)[0]


def test_all_python_versions_are_tried_on_both_systems():
    matrix = WORKFLOWS["install.yml"]["jobs"]["smoke"]["strategy"]["matrix"]
    assert matrix["os"] == ["macos-latest", "windows-latest"]
    project = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert project["requires-python"] == f">={matrix['python'][0]}"
