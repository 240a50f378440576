"""Parameters of notebooks as people write them, and kernels and cells that fail."""

import errno
import json
import sys
from types import SimpleNamespace

import papermill
import pytest
import yaml
from nbclient.exceptions import DeadKernelError

from dlp_lib import HOME
from dlp_lib.__main__ import main
from dlp_lib.experiments import run, trials, values
from dlp_lib.experiments.notebook_files import (
    UNKNOWN,
    NotebookFailed,
    check_parameters,
    execute_notebook,
    kernel_for,
    parameters_of,
)
from dlp_lib.experiments.values import to_numbers
from dlp_lib.files import CannotWrite

NOTEBOOKS = sorted((HOME / "notebooks").glob("*.ipynb"))
PIPELINE = HOME / "notebooks" / "06_dlp_pipeline.ipynb"


@pytest.fixture
def received(monkeypatch):
    """What a notebook would be executed with, in place of its execution."""
    calls = []

    def execute(notebook, parameters, folder, kernel):
        calls.append(parameters)
        return {}

    monkeypatch.setattr(run, "execute", execute)
    return calls


WRITTEN = [
    ("unlearn_lr=5e-3", 0.005),
    ("unlearn_lr=5E-3", 0.005),
    ("unlearn_lr=.005", 0.005),
    ("unlearn_lr=null", None),
    ("n_train=2e3", 2000),
    ("n_train=", None),
    ("gamma=1e-2", 0.01),
    ("choose_e1=no", False),
    ("choose_e1=True", True),
    ("quota=Total", "total"),
    ("device=cpu", "cpu"),
    ("dataset=Shapes10", "shapes10"),
    ("attack_names=BadNets", ["BadNets"]),
    ("attack_names=badnets", ["BadNets"]),
    ("attack_names=BADNETS,sig", ["BadNets", "SIG"]),
    ("attack_names=[badnets, Sig]", ["BadNets", "SIG"]),
]


@pytest.mark.parametrize(("written", "value"), WRITTEN)
def test_parameters_are_taken_as_people_write_them(tmp_path, received, written, value):
    """By -p, and in a file of parameters."""
    name, _, text = written.partition("=")
    (tmp_path / "mine.yaml").write_text(f"{name}: {text}\n")
    out = ["--out", str(tmp_path / "out")]
    main(["run", "06_dlp_pipeline", *out, "-p", written])
    main(["run", "06_dlp_pipeline", *out, "--params", str(tmp_path / "mine.yaml")])
    for parameters in received:
        assert parameters[name] == value
        assert type(parameters[name]) is type(value)


def test_lists_of_numbers_may_be_written_with_commas(tmp_path, received):
    words = ["-p", "e1s=2,4", "-p", "gammas=1e-2", "-p", "alphas=[5e-2, .1]"]
    main(["run", "09_sweeps", "--out", str(tmp_path / "out"), *words])
    values = {name: received[0][name] for name in ("e1s", "gammas", "alphas")}
    assert values == {"e1s": [2, 4], "gammas": [0.01], "alphas": [0.05, 0.1]}


def test_folders_of_the_user_are_found(tmp_path, received, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "images").mkdir()
    words = ["--out", "~/out", "-p", "cache=~/store", "-p", "dataset=~/images"]
    main(["run", "00_quickstart", *words])
    (parameters,) = received
    assert parameters["out"] == str(tmp_path / "out")
    assert parameters["cache"] == str(tmp_path / "store")
    assert parameters["dataset"] == str(tmp_path / "images")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_takes_its_own_defaults_and_those_of_every_file(notebook):
    defaults = parameters_of(notebook)
    assert UNKNOWN not in defaults.values()
    assert check_parameters(notebook, defaults) == defaults
    for preset in sorted((HOME / "notebooks" / "params").glob("*.yaml")):
        values = yaml.safe_load(preset.read_text(encoding="utf-8"))
        own = {name: value for name, value in values.items() if name in defaults}
        assert check_parameters(notebook, own) == own


def test_a_notebook_as_a_trial_takes_one_word_where_a_list_belongs():
    trial = trials.Notebook(str(PIPELINE))
    assert trial.check({"attack_names": "sig", "seed": 3}) == {"attack_names": ["SIG"], "seed": 3}


def test_numbers_that_yaml_takes_for_text_are_numbers():
    texts = {"lr": ["5e-4", "1.5e3", ".5E2", "e5", "1e3x", 2], "x": "1E+2"}
    numbers = to_numbers(texts)
    assert numbers == {"lr": [5e-4, 1500, 50, "e5", "1e3x", 2], "x": 100}
    assert isinstance(numbers["x"], int)


@pytest.fixture
def stranger(tmp_path):
    """A notebook that was saved with a kernel of another machine."""
    kernel = {"kernelspec": {"name": "thesis", "display_name": "x", "language": "python"}}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": []}
    path = tmp_path / "strange.ipynb"
    path.write_text(json.dumps(content))
    return path


def test_a_kernel_of_another_machine_is_replaced_with_a_warning(stranger):
    with pytest.warns(UserWarning, match=r"strange.ipynb asks for the kernel 'thesis'.*python3"):
        assert kernel_for(stranger) == "python3"


def test_a_kernel_of_this_machine_is_taken_if_its_python_is_there(stranger, monkeypatch):
    installed = {"thesis": "/a", "python3": "/b"}
    spec = SimpleNamespace(argv=[sys.executable])
    monkeypatch.setattr("jupyter_client.kernelspec.find_kernel_specs", lambda: installed)
    monkeypatch.setattr("jupyter_client.kernelspec.get_kernel_spec", lambda _: spec)
    assert kernel_for(stranger) == "thesis"
    spec.argv[0] = "/opt/gone/bin/python"
    with pytest.warns(UserWarning, match="taking python3"):
        assert kernel_for(stranger) == "python3"


def test_a_machine_without_kernels_is_told_what_to_do(stranger, monkeypatch):
    monkeypatch.setattr("jupyter_client.kernelspec.find_kernel_specs", lambda: {"ir": "/c"})
    with pytest.raises(ValueError, match=r"'thesis', and this machine has ir: .*ipykernel install"):
        kernel_for(stranger)


def fail_with(monkeypatch, error):
    def execute(*_, **__):
        raise error

    monkeypatch.setattr(papermill, "execute_notebook", execute)


def in_cell(name, text):
    return papermill.PapermillExecutionError(0, 7, "", name, text, ["forty", "lines"])


FAILURES = [
    (in_cell("ValueError", "gamma"), NotebookFailed, "strange.ipynb, cell 7: ValueError: gamma"),
    (in_cell("CannotWrite", "no room, so"), CannotWrite, "no room, so"),
    (in_cell("KeyboardInterrupt", ""), KeyboardInterrupt, ""),
    (DeadKernelError("Kernel died"), DeadKernelError, "Kernel died"),
    (OSError(errno.ENOSPC, "No space left"), CannotWrite, "cannot write into "),
]


@pytest.mark.parametrize(("error", "kind", "text"), FAILURES, ids=lambda part: str(part)[:20])
def test_what_ends_a_notebook_is_told_in_a_sentence(
    tmp_path, stranger, monkeypatch, error, kind, text
):
    fail_with(monkeypatch, error)
    with pytest.raises(kind) as failure:
        execute_notebook(stranger, tmp_path / "x.ipynb", {}, "python3")
    assert str(failure.value).startswith(text)
    with pytest.raises(SystemExit) as stopped:
        main(["run", "00_quickstart", "--out", str(tmp_path)])
    sentence = stopped.value.code
    assert isinstance(sentence, str)  # exit status 1
    assert text.removeprefix("strange.ipynb, ") in sentence
    assert "forty" not in sentence


def test_a_notebook_without_results_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "execute_notebook", lambda *_: None)
    monkeypatch.setattr(run, "to_html", lambda _: "")
    with pytest.raises(SystemExit, match=r"00_quickstart.ipynb has written no metrics.json"):
        main(["run", "00_quickstart", "--out", str(tmp_path)])


VALUES = [  # as YAML and as Python write them
    ("3", 3),
    ("1.5e3", 1500),
    ("0o17", 15),
    ("no", False),
    ("True", True),
    ("null", None),
    ("None", None),
    ("[2, 5e-4]", [2, 5e-4]),
    ("(2, 5e-4)", [2, 5e-4]),
    ("2,4", [2, 4]),
    ("badnets,sig", "badnets,sig"),
    ("'half'", "half"),
    ("b'half'", "b'half'"),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_text_is_read_as_yaml_and_as_python(text, value):
    read = values.parse("-p x", text)
    assert (read, type(read)) == (value, type(value))
