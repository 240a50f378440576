import importlib
import inspect
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np
import pandas as pd
import papermill
import psutil
import pytest
import torch
import toy_trials
import yaml

from dlp_lib import HOME, plots
from dlp_lib.experiments import trials
from dlp_lib.experiments.sweep import Outdated, Pool, command, sweep
from dlp_lib.experiments.sweep import pool as pool_module
from dlp_lib.experiments.sweep.job import identity
from dlp_lib.experiments.sweep.plan import check_plan
from dlp_lib.recipes import CIFAR10, SHAPES10
from dlp_lib.store import digest, lock

TESTS = Path(__file__).resolve().parent
TINY = {
    "n_train": 200,
    "image_size": 8,
    "e1": 2,
    "e2": 2,
    "reestimate": 50,
    "finetune_steps": 4,
    "finetune_batch": 8,
    "gamma": 0.05,
}


@pytest.fixture(scope="module")
def threads():
    """An executor in this very process: what needs no other process is quickly tested on it."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as executor:
        yield executor


def records(store):
    return sorted((store / "trials").rglob("*.json"))


def test_every_combination_with_every_seed_is_a_row(tmp_path, threads):
    told = []
    grid = {"a": [1, 2], "b": [10, 20], "c": "x"}
    table = sweep(toy_trials.add, grid, [0, 5], tmp_path, threads, lambda *row: told.append(row))
    assert list(table.columns) == ["a", "b", "c", "seed", "sum", "seconds", "error"]
    assert table[["a", "b", "seed", "sum"]].values.tolist() == [
        [1, 10, 0, 11], [1, 10, 5, 11], [1, 20, 0, 21], [1, 20, 5, 21],
        [2, 10, 0, 12], [2, 10, 5, 12], [2, 20, 0, 22], [2, 20, 5, 22],
    ]  # fmt: skip
    assert [(done, total) for done, total, _ in told] == [(done, 8) for done in range(1, 9)]
    assert len(records(tmp_path)) == 8


def test_a_grid_may_be_a_list_and_a_point_named_twice_is_one(tmp_path, threads):
    grid = [{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"b": 2, "a": 1}]
    table = sweep(toy_trials.add, grid, [0], tmp_path, threads)
    assert table["sum"].tolist() == [3, 7]


def test_a_rerun_does_only_what_is_missing(tmp_path, threads):
    first = sweep(toy_trials.noted, {"a": [1, 2]}, [0], tmp_path, threads)
    told = []
    again = sweep(
        toy_trials.noted, {"a": [3, 1, 2]}, [0], tmp_path, threads, lambda *row: told.append(row)
    )
    assert (tmp_path / "runs.txt").read_text().split() == ["1", "2", "3"]
    assert [(row[0], row[1], row[2]["a"]) for row in told] == [(1, 3, 1), (2, 3, 2), (3, 3, 3)]
    pd.testing.assert_frame_equal(again[1:].reset_index(drop=True), first)


def test_a_record_says_what_was_run_and_where(tmp_path, threads):
    sweep(toy_trials.add, {"a": [1], "b": [2]}, [0], tmp_path, threads)
    (path,) = records(tmp_path)
    assert path.parent.name == "toy_trials.add"
    record = json.loads(path.read_text())
    assert record["parameters"] == {"a": 1, "b": 2, "seed": 0}
    assert (record["result"], record["error"]) == ({"sum": 3}, None)
    assert {"torch", "device", "threads", "commit"} <= set(record["environment"])


def test_a_failed_trial_is_recorded_and_retried_on_request(tmp_path, threads):
    for _ in range(2):
        table = sweep(toy_trials.fails_once, {"a": [1, 2]}, [0], tmp_path, threads)
        assert table["half"].isna().tolist() == [False, True]
        assert table["error"].fillna("").tolist() == ["", "RuntimeError: no luck"]
    errors = [json.loads(path.read_text())["error"] for path in records(tmp_path)]
    assert any(error and "in fails_once" in error for error in errors)
    table = sweep(toy_trials.fails_once, {"a": [1, 2]}, [0], tmp_path, threads, retry=True)
    assert table["half"].tolist() == [0.5, 1.0]
    assert table["error"].isna().all()
    assert len(records(tmp_path)) == 2


def test_results_must_be_flat_finite_and_new(tmp_path, threads):
    grid = {"a": ["nested", "nan", "taken", "fine"]}
    table = sweep(toy_trials.returns, grid, [0], tmp_path, threads)
    reasons = [
        "the trial returned {'x': {}}",
        "the trial returned {'x': nan}",
        "the trial returned a, which",
    ]
    for error, reason in zip(table["error"], reasons, strict=False):
        assert error.startswith(f"ValueError: {reason}")
    assert table["error"].isna().tolist() == [False, False, False, True]


def other_code(record):
    """A record that was written by another version of the trial: as it would be signed there."""
    content = {name: value for name, value in record.items() if name != "sha256"}
    return content | {"sha256": digest("other code", content)}


DAMAGES = {
    "half of it": lambda record: json.dumps(record)[:50],
    "nothing": lambda record: "",
    "no text": lambda record: b"\xff\xfe\x00",
    "a list": lambda record: [1],
    "a number": lambda record: 5,
    "null": lambda record: None,
    "nested too deeply": lambda record: "[" * 100_000,
    "another digit": lambda record: record | {"result": {"sum": 4}},
    "another time": lambda record: record | {"seconds": 0.5},
    "an error": lambda record: record | {"error": "ValueError"},
    "another machine": lambda record: record | {"environment": {}},
    "no checksum": lambda record: {k: v for k, v in record.items() if k != "sha256"},
    "no result": lambda record: {k: v for k, v in record.items() if k != "result"},
    "a checksum of null": lambda record: record | {"sha256": None},
    "parameters of another type": lambda record: record | {"parameters": [1]},
    "true in place of 1": lambda record: record | {"parameters": {"a": True, "b": 2, "seed": 0}},
    "other code": other_code,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("retry", [False, True])
def test_a_damaged_record_is_done_again_with_a_warning(tmp_path, threads, damage, retry):
    grid = {"a": [1], "b": [2]}
    sweep(toy_trials.add, grid, [0], tmp_path, threads)
    (path,) = records(tmp_path)
    complete = json.loads(path.read_text())
    content = DAMAGES[damage](complete)
    if not isinstance(content, (bytes, str)):
        content = json.dumps(content)
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"trial record {path.name} is damaged"):
        table = sweep(toy_trials.add, grid, [0], tmp_path, threads, retry=retry)
    assert table["sum"].tolist() == [3]
    assert json.loads(path.read_text())["result"] == complete["result"]
    assert len(records(tmp_path)) == 1


def test_two_records_that_were_swapped_are_noticed(tmp_path, threads):
    sweep(toy_trials.add, {"a": [1, 5], "b": 2}, [0], tmp_path, threads)
    one, other = records(tmp_path)
    texts = one.read_text(), other.read_text()
    one.write_text(texts[1])
    other.write_text(texts[0])
    with pytest.warns(UserWarning, match="it was written for") as warned:
        table = sweep(toy_trials.add, {"a": [1, 5], "b": 2}, [0], tmp_path, threads)
    assert table["sum"].tolist() == [3, 7]
    assert len(warned) == 4  # each is read twice: by the sweep, and under its lock


IMPORTABLE = "allowed are functions that can be imported"
DLP = {"trial": trials.run_dlp}
DEFENCE = {"trial": trials.run_defence}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trial": lambda parameters: {}}, f"trial=.*lambda.*: {IMPORTABLE}"),
        ({"trial": max}, f"trial=max: {IMPORTABLE}"),
        ({"trial": toy_trials.unreadable}, "trial=toy_trials.unreadable: no record can be kept"),
        ({"grid": {"a": []}}, "one of their lists is empty"),
        ({"seeds": []}, "one of their lists is empty"),
        ({"grid": None}, "grid=None: allowed are a dict of lists and a list of dicts"),
        ({"grid": [1, 2]}, "grid=.1, 2.: allowed are"),
        ({"grid": {"a": [{}]}}, "grid: a={}: allowed are finite numbers"),
        ({"grid": {"a": [float("nan")]}}, "grid: a=nan: allowed are finite numbers"),
        ({"grid": {"error": [1]}}, "grid: error=1"),
        ({"executor": 0}, "executor=0: allowed are whole numbers"),
        ({"grid": {"seed": [1]}}, "grid: seed=1"),
        ({"seeds": ["x"]}, "seeds='x': allowed are whole numbers"),
        (DLP | {"grid": {"gama": [0.1]}}, "no parameter gama: allowed are dataset, n_train"),
        (DLP | {"grid": {"gamma": [0.1, 2]}}, "gamma=2: allowed are fractions"),
        (DLP | {"grid": {"attack": ["BadNet"]}}, "attack='BadNet': allowed are BadNets"),
        (DLP | {"grid": {"dataset": ["shape10"]}}, "dataset='shape10': allowed are 'shapes10'"),
        (DLP | {"grid": {"image_size": ["x"]}}, "image_size='x': allowed are whole numbers"),
        (DLP | {"grid": {"device": ["gpu"]}}, "device='gpu': allowed are"),
        (DLP | {"grid": {"unlearn_lr": ["5e-3"]}}, "unlearn_lr='5e-3': allowed are finite numbers"),
        (DLP | {"grid": {"unlearn_lr": [0]}}, "unlearn_lr=0: allowed are finite numbers > 0"),
        (DLP | {"grid": {"attack": [5]}}, "attack=5: allowed are BadNets"),
        (DLP | {"grid": {"architecture": ["wrn"]}}, "architecture='wrn': allowed are WRN-16-1"),
        (DLP | {"grid": {"stop": ["no"]}}, "stop='no': allowed are True and False"),
        (DLP | {"grid": {"finetune_steps": [2.5]}}, "finetune_steps=2.5: allowed are whole"),
        (DLP | {"grid": {"finetune_batch": ["x"]}}, "finetune_batch='x': allowed are whole"),
        (DLP | {"grid": {"order": [5]}}, "order=5: allowed is text"),
        (DLP | {"grid": {"dataset": [5]}}, "dataset=5: allowed is text"),
        (DLP | {"grid": {"mu": [True]}}, "mu=True: allowed are whole numbers"),
        (DLP | {"grid": {"immunise": [1.5]}}, "immunise=1.5: allowed are finite numbers"),
        ({"grid": {1: [1]}}, "grid: 1=1: allowed are"),
        ({"seeds": 3}, "seeds=3: allowed are lists of whole numbers"),
        ({"seeds": "12"}, "seeds='12': allowed are lists"),
        ({"seeds": None}, "seeds=None: allowed are lists"),
        (DEFENCE | {"grid": {"defence": ["FB"]}}, "defence='FB': allowed are none, DLP, FP"),
        (DEFENCE | {"grid": {"epochs": [0]}}, "epochs=0: allowed are whole numbers"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(tmp_path, changes, message):
    arguments = {"trial": toy_trials.add, "grid": {"a": [1], "b": [2]}, "seeds": [0]}
    with pytest.raises(ValueError, match=message):
        sweep(**{**arguments, "store": tmp_path, **changes})
    assert not list(tmp_path.iterdir())


def test_sweeps_side_by_side_run_no_trial_twice(tmp_path):
    with ThreadPoolExecutor(2) as both, ThreadPoolExecutor(2) as executor:
        arguments = toy_trials.noted, {"a": [1, 2, 3, 4]}, [0], tmp_path, executor
        tables = [both.submit(sweep, *arguments) for _ in range(2)]
        one, other = (table.result() for table in tables)
    assert sorted((tmp_path / "runs.txt").read_text().split()) == ["1", "2", "3", "4"]
    pd.testing.assert_frame_equal(one, other)


def test_a_stage_that_trials_share_is_trained_once_whoever_gets_there_first(tmp_path, pool):
    table = sweep(toy_trials.learns, {"a": [1, 2, 3, 4]}, [0], tmp_path, pool)
    assert table["computed"].sum() == 3
    assert table["loss"].nunique() == 1


def test_a_lock_survives_its_killed_holder(tmp_path):
    code = """
import pathlib, sys, time
from dlp_lib.store import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "x.lock")], stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    mine = lock(tmp_path / "x.lock")
    with pytest.raises(TimeoutError):
        mine.acquire(timeout=0.2)
    holder.kill()
    with mine.acquire(timeout=5):
        pass
    holder.communicate()


def test_a_killed_worker_is_replaced(tmp_path):
    table = sweep(toy_trials.dies, {"a": ["once", "x", "y"]}, [0], tmp_path, 2)
    assert table["alive"].tolist() == [True, True, True]


def test_a_trial_that_kills_its_worker_every_time_is_recorded_and_the_others_go_on(tmp_path):
    table = sweep(toy_trials.dies, {"a": ["always", "x", "y"]}, [0], tmp_path, 2)
    assert table["error"].fillna("").tolist() == ["its worker died: out of memory?", "", ""]
    assert table["alive"].tolist()[1:] == [True, True]


def test_a_trial_that_exits_is_a_failure_of_its_own(tmp_path, threads):
    table = sweep(toy_trials.leaves, {}, [0], tmp_path, threads)
    assert table["error"].tolist() == ["SystemExit: of its own accord"]


def test_a_check_may_fill_in_defaults_which_the_record_has_and_the_table_has_not(tmp_path, threads):
    table = sweep(toy_trials.doubled, [{}, {"a": 5}, {"a": 6}], [0], tmp_path, threads)
    assert table["double"].tolist() == [10, 12]
    values = [json.loads(path.read_text())["parameters"]["a"] for path in records(tmp_path)]
    assert sorted(values) == [5, 6]


def test_numbers_of_numpy_are_pythons_own(tmp_path, threads):
    sweep(toy_trials.add, {"a": [0.1], "b": [2]}, [0], tmp_path, threads)
    grid = {"a": list(np.linspace(0.1, 0.1, 1)), "b": [np.int64(2)]}
    sweep(toy_trials.add, grid, np.arange(1), tmp_path, threads)
    assert len(records(tmp_path)) == 1


EDITS = {
    "as it was": ("return {'x': double(1)}", "return 2 * value"),
    "a comment": ("return {'x': double(1)}  # twice", "return 2 * value"),
    "another trial": ("return {'x': double(2)}", "return 2 * value"),
    "another function that it calls": ("return {'x': double(1)}", "return 3 * value"),
}


def test_an_edited_trial_is_another_and_an_edited_comment_is_not(tmp_path, threads, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    results = {}
    for number, (edit, (trial_body, helper_body)) in enumerate(EDITS.items()):
        text = f"def trial(parameters):\n    {trial_body}\n\n"
        text += f"def double(value):\n    {helper_body}\n"
        (tmp_path / f"mine{number}.py").write_text(text)
        trial = importlib.import_module(f"mine{number}").trial
        trial.__module__ = "mine0"  # as if it were the same file, edited
        results[edit] = sweep(trial, {}, [0], tmp_path, threads)["x"].item()
    assert list(results.values()) == [2, 2, 4, 3]
    assert len(records(tmp_path)) == 3


def test_the_identity_of_dlp_follows_the_library_but_not_its_plots(monkeypatch):
    before = identity(trials.run_dlp)
    functions = [name for name, value in vars(plots.base).items() if inspect.isfunction(value)]
    assert functions
    for name in functions:
        monkeypatch.setattr(plots.base, name, toy_trials.add)
    assert identity(trials.run_dlp) == before
    monkeypatch.setattr("dlp_lib.data.datasets.HOME", TESTS)  # as in another checkout
    assert identity(trials.run_dlp) == before
    monkeypatch.setattr("dlp_lib.training.stage.train", toy_trials.add)
    assert identity(trials.run_dlp) != before


def test_a_worker_with_older_code_is_told_to_be_restarted(tmp_path, monkeypatch):
    (tmp_path / "edited.py").write_text("def trial(parameters):\n    return {'x': 1}\n")
    monkeypatch.syspath_prepend(tmp_path)
    trial = importlib.import_module("edited").trial
    # A worker sees this, and we do not.
    (tmp_path / "edited.py").write_text("def trial(parameters):\n    return {'x': 22}\n")
    importlib.invalidate_caches()
    with Pool(1) as fresh, pytest.raises(Outdated, match="has other code of edited"):
        sweep(trial, {}, [0], tmp_path, fresh)
    assert not records(tmp_path)


def test_processes_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "_cores", lambda: 6)
    one = sweep(toy_trials.threads, {}, [0], tmp_path)
    assert one[["threads", "inherited"]].values.tolist() == [[6, "6"]]
    two = sweep(toy_trials.threads, {}, [1, 2, 3], tmp_path, 2)
    assert two["threads"].tolist() == [3, 3, 3]


def test_every_worker_has_a_gpu_of_its_own(monkeypatch):
    number = multiprocessing.get_context("spawn").Value("i", 0)
    begin = pool_module._begin
    monkeypatch.setattr(pool_module, "_end_with", lambda alive: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seen = []
    for inherited in ("4,7", "4,7", None):
        if inherited is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", inherited)
        begin(None, number, torch.get_num_threads(), 2)
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert seen == ["4", "7", "0"]


def test_a_trial_of_dlp_returns_every_stage(tmp_path, threads):
    table = sweep(trials.run_dlp, [TINY, TINY | {"order": "SL-ASSFT"}], [0], tmp_path, threads)
    assert table["error"].isna().all()
    last = table.loc[0, ["ASSFT_ca", "ASSFT_asr", "ASSFT_ra"]]
    assert table.loc[0, ["ca", "asr", "ra"]].tolist() == last.tolist()
    assert table["AU_ca"].isna().tolist() == [False, True]
    for column in ("SL_ca", "SL_asr", "ca", "asr", "ra", "suspected", "trusted"):
        assert table[column].between(0, 1).all()
    assert table.loc[0, "images"] == 2 * 200 + 2 * 10 + 4 * 8 * 4


def test_a_trial_of_any_defence(tmp_path, threads):
    grid = {"n_train": 200, "image_size": 8, "epochs": 2, "defence": ["none", "FP", "DLP"]}
    of_dlp = {"e1": 2, "e2": 2, "finetune_steps": 2, "reestimate": 20}
    table = sweep(trials.run_defence, grid | of_dlp, [0], tmp_path, threads)
    assert table["error"].isna().all()
    assert table[["ca", "asr", "ra"]].stack().between(0, 1).all()
    assert table["sees"].fillna("nothing").tolist() == ["nothing", "clean", "tampered"]
    assert table["starts"].tolist()[1:] == ["trained", "untrained"]
    assert table.loc[0, "images"] == 2 * 200
    assert table.loc[1, "images"] > 0


def test_what_a_trial_is_not_told_is_its_recipes_and_the_record_says_so():
    parameters = trials.run_dlp.check({"gamma": 0.1, "seed": 3})
    assert parameters["gamma"] == 0.1
    settings = ("e1", "e2", "order", "stop", "unlearn_lr", "reestimate")
    assert [parameters[name] for name in settings] == [4, 20, "SL-AU-ASSFT", True, 0.005, 1000]
    settings = ("finetune_steps", "finetune_batch", "mu", "immunise")
    assert [parameters[name] for name in settings] == [360, 64, 3, 0]
    assert trials.DLPTrial(immunise=0.5).dlp().fixmatch.immunise == 0.5
    depends_on_data = {"poisoning_rate", "image_size"}
    assert {name for name, value in parameters.items() if value is None} == depends_on_data
    assert trials.DLPTrial().dlp() == SHAPES10.dlp
    assert trials.DLPTrial(dataset="cifar10").dlp() == CIFAR10.dlp
    assert trials.run_defence.check({"dataset": "cifar10"})["epochs"] == CIFAR10.epochs


def started(plan, *more):
    """The command line on a plan, in a session of its own.

    There Ctrl-C works even if these tests run as a background job, which would pass on that it is
    ignored.
    """
    folders = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "dlp_lib", "sweep", str(plan), "--allow-code", *more],
        env=os.environ | {"PYTHONPATH": folders},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, ours)
    return process


@pytest.fixture
def plan(tmp_path):
    """A file that says what to sweep, and where its records go."""

    def write(**changes):
        content = {
            "trial": "toy_trials:prefix",
            "grid": {"epochs": [1, 2, 3, 4]},
            "seeds": [0],
            "store": str(tmp_path / "store"),
        }
        (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content | changes))
        return tmp_path / "plan.yaml"

    return write


def losses(store):
    """A result for every trial: KeyError and JSON errors tell of a record that is not complete."""
    found = {}
    for path in records(store):
        record = json.loads(path.read_text())
        parameters = record["parameters"]
        found[parameters["epochs"], parameters["seed"]] = record["result"]["loss"]
    return found


def test_killed_again_and_again_a_sweep_ends_as_if_it_had_not_been(tmp_path, plan, pool):
    """Once at each moment of KILLS."""
    chance = random.Random(0)
    grid = {"epochs": list(range(1, 7))}
    seeds = list(range(4))
    undisturbed = sweep(toy_trials.prefix, grid, seeds, tmp_path / "undisturbed", pool)
    file = plan(grid=grid, seeds=seeds)
    store = tmp_path / "store"
    done = []
    for moment in KILLS.values():
        run_and_kill(file, store, chance, moment)
        done.append(len(losses(store)))
    print("trials done after each kill:", done)
    assert 0 < done[-1] < 24
    sweep(toy_trials.prefix, grid, seeds, store, pool)
    assert len(records(store)) == 24
    expected = {(row.epochs, row.seed): row.loss for row in undisturbed.itertuples()}
    assert losses(store) == expected


def blocks(store):
    return sorted(store.rglob("SL-*/*.safetensors"))


class Kill(NamedTuple):
    """The moment of a kill: when something is new, and up to some seconds later."""

    changes: Callable[[Path, psutil.Process], list] | None  # None: waits for nothing
    seconds: float = 0.0
    worker_first: bool = False  # the sweep itself goes on until then


KILLS = {
    "while it starts": Kill(None, seconds=1),
    "when its workers start": Kill(lambda store, process: workers_of(process)),
    "when a block of training is stored": Kill(lambda store, process: blocks(store)),
    "when a trial is recorded": Kill(lambda store, process: records(store)),
    "after a worker has died": Kill(lambda store, process: blocks(store), 0.5, worker_first=True),
    "while trials run": Kill(lambda store, process: blocks(store), seconds=1),
}


def run_and_kill(file, store, chance, kill):
    """Start the command, kill it at its moment, and see that its workers end."""
    running = started(file, "--workers", "2")
    process = psutil.Process(running.pid)
    if kill.changes:
        before = kill.changes(store, process)
        while kill.changes(store, process) == before:
            assert running.poll() is None
            time.sleep(0.05)  # to look is work, too
    family = process.children(recursive=True)
    if kill.worker_first:
        chance.choice(workers_of(process)).kill()
    time.sleep(chance.uniform(0, kill.seconds))
    family = {*family, *process.children(recursive=True)}
    running.kill()
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def workers_of(process):
    return [child for child in process.children(recursive=True) if at_work(child)]


def at_work(process):
    """Whether it is a worker, and has not ended in the meantime."""
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # ZombieProcess is one
        return False


def test_the_command_prints_the_table_and_goes_on_after_ctrl_c(tmp_path, plan, capsys):
    written = plan(seeds=[0, 1])
    first = started(written, "--workers", "1")
    while not records(tmp_path / "store"):
        time.sleep(0.05)
        assert first.poll() is None
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, err = first.communicate(timeout=30)
    assert first.returncode == 1
    assert "run it again to go on" in err
    assert "Traceback" not in err
    left = len(records(tmp_path / "store"))
    assert left < 8
    table = tmp_path / "table.csv"
    command.main([str(written), "--workers", "1", "--allow-code", "--out", str(table)])
    out, err = capsys.readouterr()
    assert out.split()[:5] == ["epochs", "seed", "loss", "seconds", "error"]
    assert len(out.strip().splitlines()) == 9
    assert "8/8" in err
    assert len(pd.read_csv(table)) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sweeps": 1}, "sweeps: allowed are trial, notebook, grid, seeds, store"),
        ({"notebook": "00_quickstart.ipynb"}, "either a trial or a notebook"),
        ({"grid": {"epochs": []}}, "there is nothing to do"),
        ({"trial": "toy_trials:missing"}, "toy_trials:missing"),
        ({"trial": "no_such_module:x"}, "no_such_module:x"),
        ({"trial": 5}, "trial=5: allowed is module:function"),
        ({"seeds": 3}, "seeds=3: allowed are lists of whole numbers"),
        ({"store": 5}, "store=5: allowed are folders"),
        ({"store": __file__}, "is a file; allowed are folders"),
    ],
)
def test_the_command_refuses_plans_that_cannot_work(plan, capsys, changes, message):
    with pytest.raises(SystemExit) as stopped:
        command.main([str(plan(**changes)), "--allow-code"])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def notebook(tmp_path):
    """A notebook as ours are: literals as parameters, metrics.json in the folder ``out``."""
    parameters = "gamma = 0.1\nseed = 0\ncache = ''\nout = ''"
    work = """
import json, pathlib
assert gamma < 0.5
rows = [{"stage": "SL", "ca": gamma}, {"stage": "AU", "ca": seed}]
result = {"parameters": {"gamma": gamma}, "stages": rows, "curve": [1, 2]}
pathlib.Path(out, "metrics.json").write_text(json.dumps(result))
"""
    cells = [
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(work),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def test_a_notebook_is_a_trial(tmp_path, notebook, pool):
    trial = trials.Notebook(str(notebook))
    for name in ("alpha", "out"):
        message = f"small.ipynb has no parameter {name}: allowed are gamma, seed"
        with pytest.raises(ValueError, match=message):
            sweep(trial, {name: [1]}, [0], tmp_path, pool)
    table = sweep(trial, {"gamma": [0.2, 0.9]}, [3], tmp_path, pool)
    results = ["stages.SL.ca", "stages.AU.ca", "curve.0", "curve.1"]
    assert list(table.columns) == ["gamma", "seed", *results, "seconds", "error"]
    assert table.iloc[0, 2:6].tolist() == [0.2, 3, 1, 2]
    assert "AssertionError" in table.loc[1, "error"]
    assert len(list((tmp_path / "notebooks" / "small").glob("*/small.ipynb"))) == 2


def test_a_kernel_that_does_not_start_is_tried_again(tmp_path, notebook, monkeypatch):
    execute = papermill.execute_notebook
    tried = []

    def stubborn(*arguments, **options):
        tried.append(arguments)
        if len(tried) < 3:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return execute(*arguments, **options)

    monkeypatch.setattr(papermill, "execute_notebook", stubborn)
    parameters = {"seed": 7, "store": str(tmp_path)}
    assert trials.Notebook(str(notebook))(parameters)["stages.AU.ca"] == 7
    assert len(tried) == 3
    tried.clear()
    with pytest.raises(RuntimeError, match="Kernel died"):
        trials.Notebook(str(notebook), attempts=2)(parameters)
    assert len(tried) == 2


def test_metrics_are_flattened():
    nested = {
        "a": {"b": [1, {"c": "x"}]},
        "rows": [{"n": "p", "m": "q", "v": 1}, {"n": "r", "m": "q", "v": 2}],
    }
    expected = {"a.b.0": 1, "a.b.1.c": "x", "rows.p.q.v": 1, "rows.r.q.v": 2}
    assert trials.flatten(nested) == expected
    assert trials.flatten({"rows": [{"n": "p", "v": 1}, {"n": "p", "v": 2}]})["rows.1.v"] == 2


def test_a_notebook_that_writes_no_metrics_does_not_get_those_of_another(tmp_path, notebook, pool):
    sweep(trials.Notebook(str(notebook)), {}, [0], tmp_path, pool)
    content = nbformat.read(notebook, 4)
    content.cells.pop()
    nbformat.write(content, notebook)
    table = sweep(trials.Notebook(str(notebook)), {}, [0], tmp_path, pool)
    assert "FileNotFoundError" in table.loc[0, "error"]
    content.cells.clear()
    nbformat.write(content, notebook)
    with pytest.raises(ValueError, match="has no parameter out"):
        sweep(trials.Notebook(str(notebook)), {}, [0], tmp_path, pool)
    with pytest.raises(ValueError, match="no such file"):
        trials.Notebook(str(tmp_path / "none.ipynb"))


def test_the_identity_of_a_notebook_follows_its_code_and_the_library(notebook):
    before = identity(trials.Notebook(str(notebook)))
    assert before == identity(trials.Notebook(str(notebook), attempts=2))
    content = nbformat.read(notebook, 4)
    content.cells.append(nbformat.v4.new_markdown_cell("A remark."))
    nbformat.write(content, notebook)
    assert identity(trials.Notebook(str(notebook))) == before
    content.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    nbformat.write(content, notebook)
    assert identity(trials.Notebook(str(notebook))) != before
    _, library = trials.Notebook(str(notebook)).__fingerprint__()
    assert Path(trials.__file__).read_text(encoding="utf-8") in library


def test_a_notebook_that_changes_during_a_sweep_is_not_run(tmp_path, notebook):
    trial = trials.Notebook(str(notebook))
    identity(trial)
    content = nbformat.read(notebook, 4)
    content.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    nbformat.write(content, notebook)
    with pytest.raises(RuntimeError, match="has changed since the sweep began"):
        trial({"seed": 0, "store": str(tmp_path)})


def test_a_plan_names_trials_of_this_library_and_others_need_a_flag():
    grid = {"grid": {"gamma": [0.1]}}
    for name in ("run_dlp", "dlp_lib.experiments.trials:run_dlp"):
        assert check_plan(grid | {"trial": name})["trial"] is trials.run_dlp
    for name in ("toy_trials:add", "os:system", "dlp_lib.experiments.trials:Notebook", "toy"):
        with pytest.raises(ValueError, match=r"allowed are run_dlp, run_defence.*--allow-code"):
            check_plan(grid | {"trial": name})
    allowed = check_plan(grid | {"trial": "toy_trials:add"}, allow_code=True)
    assert allowed["trial"] is toy_trials.add


def test_a_plan_names_notebooks_of_this_project_and_others_need_a_flag(notebook, monkeypatch):
    grid = {"grid": {"gamma": [0.1]}}
    own = HOME / "notebooks" / "00_quickstart.ipynb"
    for name in (str(own), "00_quickstart"):
        assert check_plan(grid | {"notebook": name})["trial"] == trials.Notebook(str(own))
    with pytest.raises(ValueError, match="another one runs code of yours, and needs --allow-code"):
        check_plan(grid | {"notebook": str(notebook)})
    monkeypatch.chdir(notebook.parent)  # a folder that somebody else has made
    (notebook.parent / "notebooks").mkdir()
    copy = notebook.rename(notebook.parent / "notebooks" / notebook.name)
    with pytest.raises(ValueError, match="--allow-code"):
        check_plan(grid | {"notebook": "notebooks/small.ipynb"})
    notebook = copy
    allowed = check_plan(grid | {"notebook": str(notebook)}, allow_code=True)
    assert allowed["trial"] == trials.Notebook(str(notebook))


def test_a_home_folder_is_the_users(tmp_path, threads, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    plan = {"trial": "run_dlp", "grid": {"gamma": [0.1]}, "store": "~/kept"}
    assert check_plan(plan)["store"] == tmp_path / "kept"
    sweep(toy_trials.add, {"a": 1, "b": 2}, [0], "~/kept", threads)
    assert len(records(tmp_path / "kept")) == 1


def test_names_may_be_in_any_case_and_are_one_trial():
    one = trials.run_defence.check(
        {"attack": "BADNETS", "architecture": "wrn-16-1", "defence": "fp", "dataset": "Shapes10"}
    )
    assert one == trials.run_defence.check({"defence": "FP"})
    with pytest.raises(ValueError, match="did you mean TrojanNN"):
        trials.run_dlp.check({"attack": "trojan"})


def test_numbers_of_torch_are_pythons_own(tmp_path, threads):
    sweep(toy_trials.add, {"a": [0.5], "b": [2]}, [0], tmp_path, threads)
    grid = {"a": [torch.tensor(0.5)], "b": [torch.tensor(2)]}
    sweep(toy_trials.add, grid, [torch.tensor(0)], tmp_path, threads)
    assert len(records(tmp_path)) == 1
