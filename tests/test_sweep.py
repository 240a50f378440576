import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pandas as pd
import papermill
import psutil
import pytest
import toy_trials
import yaml

from dlp_lib import trials
from dlp_lib.store import lock
from dlp_lib.sweep import Pool, __main__, sweep

TESTS = Path(__file__).resolve().parent
TINY = {"n_train": 200, "e1": 2, "e2": 2, "reestimate": 50, "finetune_steps": 4, "finetune_batch": 8, "gamma": 0.05}


@pytest.fixture(scope="module")
def threads():
    """An executor in this very process: whatever has no need of processes is quickly tested on it."""
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
    table = sweep(
        toy_trials.add, {"a": [1, 2], "b": [10, 20], "c": "x"}, [0, 5], tmp_path, threads, lambda *row: told.append(row)
    )
    assert list(table.columns) == ["a", "b", "c", "seed", "sum", "seconds", "error"]
    assert table[["a", "b", "seed", "sum"]].values.tolist() == [
        [1, 10, 0, 11], [1, 10, 5, 11], [1, 20, 0, 21], [1, 20, 5, 21],
        [2, 10, 0, 12], [2, 10, 5, 12], [2, 20, 0, 22], [2, 20, 5, 22],
    ]  # fmt: skip
    assert [(done, total) for done, total, _ in told] == [(done, 8) for done in range(1, 9)]
    assert len(records(tmp_path)) == 8


def test_a_grid_may_be_a_list_and_a_point_named_twice_is_one(tmp_path, threads):
    table = sweep(toy_trials.add, [{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"b": 2, "a": 1}], [0], tmp_path, threads)
    assert table["sum"].tolist() == [3, 7]


def test_a_rerun_does_only_what_is_missing(tmp_path, threads):
    first = sweep(toy_trials.noted, {"a": [1, 2]}, [0], tmp_path, threads)
    told = []
    again = sweep(toy_trials.noted, {"a": [3, 1, 2]}, [0], tmp_path, threads, lambda *row: told.append(row))
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
    assert any(
        "in fails_once" in json.loads(path.read_text())["error"]
        for path in records(tmp_path)
        if "no luck" in path.read_text()
    )
    table = sweep(toy_trials.fails_once, {"a": [1, 2]}, [0], tmp_path, threads, retry=True)
    assert table["half"].tolist() == [0.5, 1.0]
    assert table["error"].isna().all()
    assert len(records(tmp_path)) == 2


def test_results_must_be_flat_finite_and_new(tmp_path, threads):
    table = sweep(toy_trials.returns, {"a": ["nested", "nan", "taken", "fine"]}, [0], tmp_path, threads)
    reasons = [
        "TypeError: the trial returned {'x': {}}",
        "ValueError: Out of range",
        "ValueError: the trial returned a, ",
    ]
    for error, reason in zip(table["error"], reasons, strict=False):
        assert error.startswith(reason)
    assert table["error"].isna().tolist() == [False, False, False, True]


def test_a_damaged_record_is_done_again(tmp_path, threads):
    sweep(toy_trials.add, {"a": [1], "b": [2]}, [0], tmp_path, threads)
    (path,) = records(tmp_path)
    whole = json.loads(path.read_text())
    path.write_text(path.read_text()[:50])
    with pytest.warns(UserWarning, match="is damaged"):
        sweep(toy_trials.add, {"a": [1], "b": [2]}, [0], tmp_path, threads)
    assert json.loads(path.read_text())["result"] == whole["result"]
    assert len(records(tmp_path)) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trial": lambda parameters: {}}, "trial=.*lambda.*: allowed are functions that can be imported"),
        ({"grid": {"a": []}}, "grid: a list in it is empty"),
        ({"grid": {"a": [{}]}}, "grid: a={}: allowed are numbers"),
        ({"grid": {"seed": [1]}}, "grid: seed=1"),
        ({"seeds": ["x"]}, "seeds='x': allowed are whole numbers"),
        ({"trial": trials.dlp, "grid": {"gama": [0.1]}}, "no parameter gama: allowed are dataset, n_train"),
        ({"trial": trials.dlp, "grid": {"gamma": [0.1, 2]}}, "gamma=2: allowed are fractions"),
        ({"trial": trials.dlp, "grid": {"attack": ["BadNet"]}}, "attack='BadNet': allowed are BadNets"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(tmp_path, given, message):
    arguments = {"trial": toy_trials.add, "grid": {"a": [1], "b": [2]}, "seeds": [0], "store": tmp_path} | given
    with pytest.raises(ValueError, match=message):
        sweep(**arguments)
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
    code = "import sys, time, pathlib; from dlp_lib.store import lock\nwith lock(pathlib.Path(sys.argv[1])):"
    code += "\n  print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x.lock")], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    mine = lock(tmp_path / "x.lock")
    with pytest.raises(TimeoutError):
        mine.acquire(timeout=0.2)
    holder.kill()
    with mine.acquire(timeout=5):
        pass
    holder.communicate()


def test_a_killed_worker_is_replaced_as_long_as_something_gets_done(tmp_path):
    table = sweep(toy_trials.dies, {"a": ["never", "once"]}, [0], tmp_path)
    assert table["alive"].tolist() == [True, True]
    with pytest.raises(BrokenExecutor):
        sweep(toy_trials.dies, {"a": ["always"]}, [0], tmp_path)


def test_a_trial_of_dlp_returns_every_stage(tmp_path, threads):
    table = sweep(trials.dlp, [TINY, TINY | {"order": "SL-ASSFT"}], [0], tmp_path, threads)
    assert table["error"].isna().all()
    assert table.loc[0, ["ca", "asr", "ra"]].tolist() == table.loc[0, ["ASSFT_ca", "ASSFT_asr", "ASSFT_ra"]].tolist()
    assert table["AU_ca"].isna().tolist() == [False, True]
    for column in ("SL_ca", "SL_asr", "ca", "asr", "ra", "suspected", "trusted"):
        assert table[column].between(0, 1).all()
    assert table.loc[0, "images"] == 2 * 200 + 2 * 10 + 4 * 8 * 4


def command(plan, *more):
    """The command line on a plan, in a session of its own."""
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    words = [sys.executable, "-m", "dlp_lib.sweep", str(plan), *more]
    return subprocess.Popen(
        words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


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
    """A result for every trial: KeyError and JSON errors tell of a record that is not whole."""
    whole = [json.loads(path.read_text()) for path in records(store)]
    return {
        (record["parameters"]["epochs"], record["parameters"]["seed"]): record["result"]["loss"] for record in whole
    }


def test_killed_at_twenty_random_moments_a_sweep_ends_as_if_it_had_not_been(tmp_path, plan):
    chance, epochs, seeds = random.Random(0), list(range(1, 13)), list(range(8))
    wanted = sweep(toy_trials.prefix, {"epochs": epochs}, seeds, tmp_path / "undisturbed")
    written, store, done = plan(grid={"epochs": epochs}, seeds=seeds), tmp_path / "store", []
    for moment in range(20):
        running, before = command(written), files(store)
        while moment % 5 and files(store) == before and running.poll() is None:  # one in five may die while it starts
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 1))
        family = psutil.Process(running.pid).children(recursive=True)
        if family and chance.random() < 0.5:  # a worker first: the sweep may go on without it, for a moment
            chance.choice(family).kill()
            time.sleep(chance.uniform(0, 0.5))
        running.kill()
        running.communicate()
        assert running.returncode == -signal.SIGKILL
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
        done.append(len(losses(store)))
    print("trials done after each kill:", done)
    assert 0 < done[-1] < 96
    last = command(written)
    _, err = last.communicate(timeout=300)
    assert last.returncode == 0, err
    assert len(records(store)) == 96
    assert losses(store) == {(row.epochs, row.seed): row.loss for row in wanted.itertuples()}


def files(store):
    return sum(1 for path in store.rglob("*") if path.suffix != ".lock")


def test_the_command_prints_the_table_and_goes_on_after_ctrl_c(tmp_path, plan):
    written = plan(seeds=[0, 1, 2, 3])
    first = command(written, "--workers", "1")
    while not records(tmp_path / "store"):
        time.sleep(0.05)
        assert first.poll() is None
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, err = first.communicate(timeout=30)
    assert first.returncode == 1
    assert "the same command does the rest" in err
    assert "Traceback" not in err
    left = len(records(tmp_path / "store"))
    assert left < 16
    second = command(written, "--out", str(tmp_path / "table.csv"))
    out, err = second.communicate(timeout=120)
    assert out.split()[:5] == ["epochs", "seed", "loss", "seconds", "error"]
    assert len(out.strip().splitlines()) == 17
    assert f"{16}/{16}" in err
    assert len(pd.read_csv(tmp_path / "table.csv")) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sweeps": 1}, "sweeps: allowed are trial, notebook, grid, seeds and store"),
        ({"notebook": "00_quickstart.ipynb"}, "either a trial or a notebook"),
        ({"grid": {"epochs": []}}, "it has no points"),
        ({"trial": "toy_trials:missing"}, "toy_trials:missing"),
    ],
)
def test_the_command_refuses_plans_that_cannot_work(plan, capsys, changes, message):
    with pytest.raises(SystemExit) as stopped:
        __main__.main([str(plan(**changes))])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def notebook(tmp_path):
    """A notebook as ours are: literals as parameters, metrics.json in the folder ``out``."""
    cells = [
        nbformat.v4.new_code_cell("gamma, seed, cache, out = 0.1, 0, '', ''", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "import json, pathlib\nassert gamma < 0.5\n"
            "rows = [{'stage': 'SL', 'ca': gamma}, {'stage': 'AU', 'ca': seed}]\n"
            "result = {'parameters': {'gamma': gamma}, 'stages': rows, 'curve': [1, 2]}\n"
            "pathlib.Path(out, 'metrics.json').write_text(json.dumps(result))"
        ),
    ]
    # one a line, so that papermill finds each
    cells[0].source = "gamma = 0.1\nseed = 0\ncache = ''\nout = ''"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def test_a_notebook_is_a_trial(tmp_path, notebook, pool):
    trial = trials.Notebook(str(notebook))
    with pytest.raises(ValueError, match=r"small.ipynb has no parameter alpha: allowed are gamma, seed, cache, out"):
        sweep(trial, {"alpha": [1]}, [0], tmp_path, pool)
    table = sweep(trial, {"gamma": [0.2, 0.9]}, [3], tmp_path, pool)
    assert list(table.columns) == [
        "gamma",
        "seed",
        "stages.SL.ca",
        "stages.AU.ca",
        "curve.0",
        "curve.1",
        "seconds",
        "error",
    ]
    assert table.iloc[0, 2:6].tolist() == [0.2, 3, 1, 2]
    assert "AssertionError" in table.loc[1, "error"]
    assert len(list((tmp_path / "notebooks" / "small").glob("*/small.ipynb"))) == 2


def test_a_kernel_that_does_not_start_is_tried_again(tmp_path, notebook, monkeypatch):
    execute, tried = papermill.execute_notebook, []

    def stubborn(*given, **named):
        tried.append(given)
        if len(tried) < 3:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return execute(*given, **named)

    monkeypatch.setattr(papermill, "execute_notebook", stubborn)
    given = {"seed": 7, "store": str(tmp_path)}
    assert trials.Notebook(str(notebook))(given)["stages.AU.ca"] == 7
    assert len(tried) == 3
    tried.clear()
    with pytest.raises(RuntimeError, match="Kernel died"):
        trials.Notebook(str(notebook), attempts=2)(given)
    assert len(tried) == 2


def test_metrics_are_flattened():
    nested = {"a": {"b": [1, {"c": "x"}]}, "rows": [{"n": "p", "m": "q", "v": 1}, {"n": "r", "m": "q", "v": 2}]}
    assert trials.flat(nested) == {"a.b.0": 1, "a.b.1.c": "x", "rows.p.q.v": 1, "rows.r.q.v": 2}
    assert trials.flat({"rows": [{"n": "p", "v": 1}, {"n": "p", "v": 2}]})["rows.1.v"] == 2
