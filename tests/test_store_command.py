"""python -m dlp_lib store: what it shows, and what it removes."""

import os
import time

import pytest
import torch

from dlp_lib import Store
from dlp_lib.experiments import store_command


@pytest.fixture
def root(tmp_path):
    """A store of three runs: 40 days, 10 days and no day old."""
    store = Store(tmp_path)
    for name, days, floats in (("SL", 40, 1000), ("AU", 10, 2000), ("SL", 0, 3000)):
        run = f"{name}-{days:032x}"
        store.write(f"{run}/1", {"t": torch.zeros(floats)}, {})
        moment = time.time() - days * store_command.DAY
        for path in (tmp_path / run).iterdir():
            os.utime(path, (moment, moment))
    for run in list(tmp_path.iterdir()):
        run.with_suffix(".lock").touch()
    return tmp_path


def kinds(root):
    return sorted(path.name.split("-")[0] for path in root.iterdir() if path.is_dir())


def run(root, capsys, *arguments):
    store_command.main(["--store", str(root), *arguments])
    return capsys.readouterr().out


def test_it_shows_kinds_sizes_and_ages(root, capsys):
    lines = run(root, capsys).splitlines()
    assert lines[1].split()[:2] == ["SL", "2"]
    assert lines[1].endswith("0 to 40")
    assert lines[2].split()[:2] == ["AU", "1"]
    assert kinds(root) == ["AU", "SL", "SL"]


def test_it_removes_what_is_old(root, capsys):
    assert "1 entries" in run(root, capsys, "--older-than", "30")
    assert kinds(root) == ["AU", "SL"]
    assert len(list(root.glob("*.lock"))) == 2


def test_it_keeps_what_was_used_last(root, capsys):
    run(root, capsys, "--keep", "15kB")
    assert kinds(root) == ["SL"]


def test_a_dry_run_removes_nothing(root, capsys):
    assert "would be removed" in run(root, capsys, "--keep", "0MB", "--dry-run")
    assert kinds(root) == ["AU", "SL", "SL"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "nowhere"], "argument --store: 'nowhere': there is no such folder"),
        (["--keep", "much"], "allowed are sizes such as 500MB"),
    ],
)
def test_bad_arguments_are_refused(root, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        store_command.main(["--store", str(root), *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
