import json
import math
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from dlp_lib import HOME

SCRIPTS = HOME / "benchmarks"
# How many rows of a script say what is wanted.
WANTED = {
    "steps": 10,
    "scoring": 4,
    "poisoning": 0,
    "stages": 0,
    "startup": 1,
    "memory": 0,
    "growth": 2,
    "filters": 1,
}


# Of the others, startup measures its own process, and two load data in processes of their own.
IN_THIS_PROCESS = ("scoring", "stages", "memory", "growth", "filters")


@pytest.fixture
def printed_by(monkeypatch, capsys):
    """Run a script quickly, as the command line would; return what it prints."""

    def run(name):
        script = str(SCRIPTS / f"{name}.py")
        if name not in IN_THIS_PROCESS:
            command = [sys.executable, script, "--quick"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
            return done.stdout
        monkeypatch.syspath_prepend(SCRIPTS)
        monkeypatch.setattr(sys, "argv", [script, "--quick"])
        runpy.run_path(script, run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", WANTED)
def test_every_benchmark_runs_and_says_what_was_wanted(name, printed_by):
    if name in ("memory", "growth") and not Path("/proc/self/status").exists():
        pytest.skip("peaks of memory are read from Linux's /proc")
    report = HOME / "build" / "benchmarks" / f"{name}-quick.json"
    report.unlink(missing_ok=True)
    printed = printed_by(name)
    written = json.loads(report.read_text(encoding="utf-8"))
    rows = written["rows"]
    assert rows and written["environment"]["torch"] and written["options"]["quick"]
    assert all(row["ratio"] > 0 and math.isfinite(row["ratio"]) for row in rows if "ratio" in row)
    assert all(math.isfinite(row["value"]) for row in rows if "ratio" not in row)
    assert sum(row["wanted"] != "" for row in rows) == WANTED[name]
    assert all(row["what"] in printed for row in rows)


def test_the_benchmark_for_gpus_runs_on_the_cpu(monkeypatch, capsys):
    monkeypatch.syspath_prepend(SCRIPTS)
    import gpu

    monkeypatch.setattr(sys, "argv", ["gpu.py", "--quick", "--device", "cpu"])
    gpu.main()
    printed = capsys.readouterr().out
    written = json.loads((HOME / "build" / "benchmarks" / "gpu-quick.json").read_text("utf-8"))
    assert [(row["stage"], row["way"]) for row in written["rows"]] == [
        ("supervised", "limit, float32"),
        ("supervised", "eager, float32"),
        ("FixMatch", "limit, float32"),
        ("FixMatch", "eager, float32"),
    ]
    assert all(row["milliseconds"] > 0 for row in written["rows"])
    assert set(written["largest difference of a weight"].values()) == {0}  # the CPU captures none
    assert "FixMatch, eager, float32: " in printed


def test_two_things_take_turns_and_the_medians_count(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from harness import compare

    seconds = {"ours": iter([99, 2, 4, 3]), "other": iter([99, 4, 12, 3])}
    order = []

    def clock(name):
        def measure():
            order.append(name)
            return next(seconds[name])

        return measure

    row = compare("ours: the other", clock("ours"), clock("other"), 3, "≥ 1")
    warm_up = ["ours", "other"]
    rounds = [["other", "ours"], ["ours", "other"], ["other", "ours"]]
    assert order == warm_up + [name for pair in rounds for name in pair]
    assert (row.ours, row.other) == (3, 4)
    # Of single rounds: it is not the ratio of the medians.
    assert (row.ratio, row.least, row.most) == (2, 1, 3)
