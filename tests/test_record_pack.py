"""Sittings of the paper's experiments, on machines that are lost at their end."""

import importlib
import json
import shutil
from dataclasses import replace

import pytest
import torch

from dlp_lib import Context, FixMatch, Runtime, Store, Supervised, Unlearn, supervised
from dlp_lib.defences import DLP, FP, Training
from dlp_lib.experiments import record
from dlp_lib.experiments.record import cifar10, command, volumes
from dlp_lib.experiments.record.cifar10 import command as cifar10_command
from dlp_lib.experiments.record.cifar10 import sitting
from dlp_lib.experiments.record.packed_store import LeftOut, PackedStore
from dlp_lib.experiments.record.volumes import Contents, Member
from dlp_lib.recipes import CIFAR10

PARTS = (
    "BadNets, learned and unlearned",
    "BadNets",
    "BadNets, gamma 0.1",
    "BadNets, undefended",
    "BadNets, defence FP",
)


@pytest.fixture
def small(shapes, monkeypatch):
    """The command at a size that takes seconds."""
    train, test = shapes
    module = importlib.import_module("dlp_lib.experiments.scenario")
    monkeypatch.setattr(module, "load", lambda *_, **__: (train.subset(slice(80)), test.subset(slice(40))))
    monkeypatch.setattr("dlp_lib.experiments.record.cifar10.tables.GAMMAS", (0.05, 0.1))
    dlp = DLP(
        gamma=0.05,
        e1=2,
        e2=2,
        unlearn=Unlearn(reestimate=8),
        fixmatch=FixMatch(batch=4, steps=45),
    )
    recipe = replace(CIFAR10, dlp=dlp, defences={"FP": FP(training=Training(epochs=2))})
    monkeypatch.setattr(cifar10_command, "CIFAR10", recipe)


def sit(place, *arguments, parts=PARTS):
    """One sitting, whose store and tables are in a folder."""
    folders = ["--store", str(place / "store"), "--out", str(place / "tables")]
    command.main(["cifar10", "--steps", "45", "--mu", "1", *folders, "--parts", *parts, *arguments])


def tables_of(place):
    """All rows but how long they took."""
    found = {}
    for path in sorted((place / "tables").glob("*.json")):
        rows = record.read(path.stem, place / "tables")
        found[path.stem] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    return found


@pytest.fixture
def ends_after(monkeypatch):
    """Let a sitting end after so many blocks."""

    def after(blocks):
        progress = sitting.Sitting.progress
        done = []

        def counting(self, *arguments):
            progress(self, *arguments)
            done.append(arguments[0])
            if len(done) == blocks:
                raise sitting.SittingOver

        monkeypatch.setattr(sitting.Sitting, "progress", counting)
        return done

    return after


def test_lost_machines_change_no_table(small, tmp_path, monkeypatch):
    sit(tmp_path / "one")
    at_once = tables_of(tmp_path / "one")
    assert set(at_once) == {"epochs", "filters", "unlearning", "stages", "undefended", "baselines"}
    progress = sitting.Sitting.progress
    trained = []
    for number in range(30):
        done = []

        def counting(self, stage, *rest, done=done):
            done.append(stage)
            progress(self, stage, *rest)
            if len(done) == 2:
                raise sitting.SittingOver

        monkeypatch.setattr(sitting.Sitting, "progress", counting)
        place = tmp_path / str(number)  # a new machine
        sit(place, "--pack", str(tmp_path / "pack"))
        trained += done
        if not done:
            break
    print(number, trained)
    assert tables_of(place) == at_once
