"""Sweeps on Dask: its processes started by hand, on this machine as they would be on others."""

import importlib
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

import psutil
import pytest
import toy_trials

from dlp_lib.experiments.sweep import DASK, sweep

distributed = pytest.importorskip("distributed")
PROGRAM = shutil.which("dask", path=Path(sys.executable).parent)
# Dask warns of connections that break, which they do here on purpose.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def dask(tmp_path):
    """Start Dask processes; whatever still runs is killed in the end."""
    started = []
    variables = {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    environment = os.environ | variables

    def start(*words):
        with (tmp_path / f"{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [PROGRAM, *words], env=environment, stdout=log, stderr=log, cwd=tmp_path
            )
        started.append(process)
        return process

    yield start
    for process in started:
        kill(process)


@pytest.fixture
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{free.getsockname()[1]}"


def kill(process):
    """Kill a process and all that it has started."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
    process.wait()


def scheduler(dask, address):
    port = address.rsplit(":")[-1]
    return dask("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")


def worker(dask, address):
    return dask("worker", address, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")


def runs(store):
    return sorted((store / "runs.txt").read_text().split())


def test_a_killed_worker_costs_no_finished_trial_and_its_own_is_done_again(tmp_path, dask, address):
    scheduler(dask, address)
    first = worker(dask, address)
    worker(dask, address)
    killed = []

    def on_progress(done, total, row):
        if done == 4 and not killed:
            killed.append(runs(tmp_path))
            kill(first)

    with distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=60)
        executor = client.get_executor(pure=False)
        grid = {"a": list(range(12))}
        table = sweep(toy_trials.noted, grid, [0], tmp_path, executor, on_progress)
    assert table["square"].tolist() == [a * a for a in range(12)]
    assert set(runs(tmp_path)) == {str(a) for a in range(12)}
    assert 12 <= len(runs(tmp_path)) <= 13  # at most the one that was running then
    assert killed


def test_workers_may_keep_memory_and_still_have_one_thread():
    config = importlib.import_module("dask.config")
    with config.set(DASK):
        environment = dict(config.get("distributed.nanny.pre-spawn-environ"))
    assert environment["MALLOC_TRIM_THRESHOLD_"] == 2**30
    assert environment["MALLOC_MMAP_THRESHOLD_"] == 2**30
    assert environment["OMP_NUM_THREADS"] == 1
    assert config.get("distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_") < 2**30


def test_a_restarted_scheduler_costs_no_finished_trial(tmp_path, dask, address):
    first = scheduler(dask, address)
    worker(dask, address)
    grid = {"a": list(range(8))}

    def on_progress(done, total, row):
        if done == 3:
            kill(first)

    with distributed.Client(address) as client:
        client.wait_for_workers(1, timeout=60)
        executor = client.get_executor(pure=False)
        with pytest.raises(BrokenExecutor, match="scheduler gone"):
            sweep(toy_trials.noted, grid, [0], tmp_path, executor, on_progress)
    finished = len(list((tmp_path / "trials").rglob("*.json")))
    assert finished >= 3
    scheduler(dask, address)
    worker(dask, address)
    done = []
    with distributed.Client(address) as client:
        client.wait_for_workers(1, timeout=60)
        executor = client.get_executor(pure=False)
        table = sweep(
            toy_trials.noted, grid, [0], tmp_path, executor, lambda *row: done.append(row[0])
        )
    assert table["square"].tolist() == [a * a for a in range(8)]
    assert done == list(range(1, 9))
    assert len(runs(tmp_path)) <= 8 + 1  # what was running when the scheduler went
