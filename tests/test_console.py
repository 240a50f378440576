"""What commands print survives any encoding, and what stops them is one sentence."""

import contextlib
import errno
import importlib
import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from dlp_lib import console, doctor, files
from dlp_lib.__main__ import COMMANDS, main
from dlp_lib.experiments import run
from dlp_lib.experiments.record import command as record_command
from dlp_lib.experiments.sweep import command as sweep_command
from dlp_lib.health import base

HARD = "≥ 0.5 for 王 in \udcff, γ"  # no code page of Windows has all of it
ENCODINGS = ["ascii", "cp1252", "cp437", "utf-8"]


@pytest.fixture(params=ENCODINGS)
def pipe(request, monkeypatch):
    """Make standard output a pipe of some encoding, as strict as Python makes it."""

    def start():
        stream = io.TextIOWrapper(io.BytesIO(), encoding=request.param, errors="strict")
        monkeypatch.setattr(sys, "stdout", stream)

        def printed():
            stream.flush()
            return stream.buffer.getvalue().decode(request.param)

        return printed

    return start


def test_signs_that_cannot_be_encoded_become_plain_ones(pipe):
    output = pipe()
    console.accept_any_encoding()
    print("≥ − → … 王 \udcff")
    shown = output().split()
    assert shown[0] in (">=", "≥")
    assert shown[4] in ("\\u738b", "王")
    assert shown[5] == "\\udcff"


@contextlib.contextmanager
def one_thread(options):
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_the_table_of_a_sweep_survives_and_its_file_is_written(tmp_path, monkeypatch, pipe):
    output = pipe()
    monkeypatch.setattr(sweep_command, "_executor", one_thread)
    plan = {"trial": "toy_trials:complains", "grid": {"text": HARD}, "store": str(tmp_path)}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    arguments = [str(tmp_path / "plan.yaml"), "--allow-code", "--out", str(tmp_path / "t.csv")]
    with pytest.raises(SystemExit, match="1 of 1 trials have failed"):
        main(["sweep", *arguments])
    assert "0.5 for" in output()
    assert "≥ 0.5 for 王" in pd.read_csv(tmp_path / "t.csv")["error"][0]


def test_the_findings_of_the_doctor_survive(monkeypatch, pipe):
    output = pipe()
    finding = base.Finding("problem", HARD, HARD)
    monkeypatch.setattr(doctor, "examine", lambda: [("jupyter", finding)])
    for arguments in ([], ["--json"]):
        assert main(["doctor", *arguments]) == 1
    printed = output()
    assert printed.count("0.5 for") == 4
    assert "Problems: 1" in printed


def test_what_run_prints_survives(tmp_path, monkeypatch, pipe):
    output = pipe()
    row = {"stage": HARD, "ca": 1, "asr": 0, "ra": 0, "seconds": 1, "images": 1}
    metrics = {"stages": [row | {"collapsed": False}]}
    monkeypatch.setattr(run, "execute", lambda *_: metrics)
    main(["run", "00_quickstart", "--out", str(tmp_path / "王")])
    printed = output()
    assert "0.5 for" in printed
    assert "To read:" in printed


NO_DATA = SimpleNamespace(clean=SimpleNamespace(digest=""))  # what stands for a scenario


def test_what_record_prints_survives(tmp_path, monkeypatch, pipe):
    output = pipe()
    monkeypatch.setattr(record_command, "TABLES", {"few": lambda base: [{"a": HARD}]})
    monkeypatch.setattr(record_command, "scenario", lambda *_, **__: NO_DATA)
    monkeypatch.setattr(record_command, "_made", lambda *_: {})
    main(["record", "few", "--seeds", "0", "1", "--out", str(tmp_path), "--store", str(tmp_path)])
    assert output().count("0.5 for") == 2
    written = json.loads((tmp_path / "few.json").read_text(encoding="utf-8"))
    assert [row["a"] for row in written["rows"]] == [HARD, HARD]


def test_what_store_prints_survives_and_what_is_old_is_removed(tmp_path, monkeypatch, pipe):
    output = pipe()
    (tmp_path / "王≥.safetensors").write_bytes(b"1")
    main(["store", "--store", str(tmp_path), "--keep", "0MB"])
    assert "1 entries" in output()
    assert not list(tmp_path.iterdir())


def test_a_reader_that_has_ended_does_not_end_a_record(tmp_path, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(record_command, "TABLES", {"few": lambda base: [{"a": 1}]})
    monkeypatch.setattr(record_command, "scenario", lambda *_, **__: NO_DATA)
    monkeypatch.setattr(record_command, "_made", lambda *_: {})
    main(["record", "few", "--out", str(tmp_path), "--store", str(tmp_path)])
    assert len(json.loads((tmp_path / "few.json").read_text())["rows"]) == 3


STOPS = {
    "Ctrl-C": (KeyboardInterrupt(), "stopped by Ctrl-C"),
    "a full disk": (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "/x/y: No space"),
    "a folder": (files.CannotWrite(errno.EROFS, "cannot write into /x"), "cannot write into /x"),
    "a network": (OSError("timed out"), "timed out"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("stop", STOPS)
def test_what_stops_a_command_is_one_sentence_and_how_to_go_on(monkeypatch, name, stop):
    """Python prints what SystemExit holds, without a traceback, and with exit status 1."""
    error, beginning = STOPS[stop]

    def work(arguments):
        raise error

    module = importlib.import_module(f"dlp_lib.{COMMANDS[name].module}")
    monkeypatch.setattr(module, "main", work)
    with pytest.raises(SystemExit) as stopped:
        main([name])
    assert isinstance(stopped.value.code, str)
    (sentence,) = stopped.value.code.strip().splitlines()
    assert sentence.startswith(f"{name}: {beginning}")
    assert sentence.endswith("run it again to go on.")


@pytest.mark.parametrize("stop", STOPS)
def test_what_stops_a_sweep_is_no_usage_error(tmp_path, monkeypatch, stop):
    error, beginning = STOPS[stop]

    def work(**_):
        raise error

    monkeypatch.setattr(sweep_command, "sweep", work)
    (tmp_path / "plan.yaml").write_text("{trial: run_dlp, grid: {gamma: 0.1}}")
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(tmp_path / "plan.yaml")])
    assert beginning in stopped.value.code  # a text: exit status 1
    assert "run it again to go on." in stopped.value.code


def test_a_command_without_its_packages_says_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="papermill")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SystemExit, match=r"run: the package papermill is missing.*doctor"):
        main(["run", "00_quickstart"])


@pytest.mark.parametrize(
    ("program", "starts"),
    [("-m", True), ("/bin/dlp_lib", True), ("dlp_lib.exe", True), ("train.py", False), ("", False)],
)
def test_the_command_line_knows_that_it_starts(monkeypatch, program, starts):
    monkeypatch.setattr(sys, "argv", [program])
    assert console.is_starting() is starts


def test_ctrl_c_is_one_sentence_also_where_nothing_catches_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", lambda *_: print("traceback", file=sys.stderr))
    console.shorten_interrupts()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    stopped = "\nstopped by Ctrl-C. What is finished is stored: run it again to go on.\n"
    assert capsys.readouterr().err == stopped
    sys.excepthook(ValueError, ValueError("x"), None)
    assert capsys.readouterr().err == "traceback\n"
