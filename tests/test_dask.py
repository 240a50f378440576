"""Sweeps on Dask: its processes started by hand, on this machine as they would be on others."""

import contextlib
import importlib
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

import psutil
import pytest
import toy_trials
import yaml

from dlp_lib import HOME
from dlp_lib.experiments.sweep import DASK, command, make_credentials, read_credentials, sweep

distributed = pytest.importorskip("distributed")
PROGRAM = shutil.which("dask", path=Path(sys.executable).parent)
# Dask warns of connections that break, which they do here on purpose.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def dask(tmp_path):
    """Start Dask processes; whatever still runs is killed in the end."""
    started = []
    folders = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    variables = {"PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}
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


def scheduler(dask, address, *more):
    port = address.rsplit(":")[-1]
    return dask("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", *more)


def worker(dask, address, *more):
    local = ("--no-dashboard", "--host", "127.0.0.1")
    return dask("worker", address, "--nthreads", "1", *local, *more)


@pytest.fixture
def credentials(tmp_path):
    """A folder of credentials, and the options that hand them to Dask's programs."""
    pytest.importorskip("cryptography")
    folder = tmp_path / "tls"
    make_credentials(folder)
    options = {"ca-file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    words = ["--protocol", "tls"]
    for option, name in options.items():
        words += [f"--tls-{option}", str(folder / name)]
    return folder, words


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


def test_a_restarted_scheduler_costs_no_finished_trial(tmp_path, dask, address, credentials):
    """With credentials in files, as on several machines."""
    folder, words = credentials
    address = address.replace("tcp://", "tls://")
    security = read_credentials(folder)
    first = scheduler(dask, address, *words)
    worker(dask, address, *words)
    grid = {"a": list(range(8))}

    def on_progress(done, total, row):
        if done == 3:
            kill(first)

    with distributed.Client(address, security=security) as client:
        client.wait_for_workers(1, timeout=60)
        executor = client.get_executor(pure=False)
        with pytest.raises(BrokenExecutor, match="scheduler gone"):
            sweep(toy_trials.noted, grid, [0], tmp_path, executor, on_progress)
    finished = len(list((tmp_path / "trials").rglob("*.json")))
    assert finished >= 3
    scheduler(dask, address, *words)
    worker(dask, address, *words)
    done = []
    with distributed.Client(address, security=security) as client:
        client.wait_for_workers(1, timeout=60)
        executor = client.get_executor(pure=False)
        table = sweep(
            toy_trials.noted, grid, [0], tmp_path, executor, lambda *row: done.append(row[0])
        )
    assert table["square"].tolist() == [a * a for a in range(8)]
    assert done == list(range(1, 9))
    assert len(runs(tmp_path)) <= 8 + 1  # what was running when the scheduler went


@contextlib.contextmanager
def cluster(security):
    """A cluster in this very process, on the loopback interface."""
    local = distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        protocol="tls",
        security=security,
    )
    with local:
        yield local.scheduler_address


def temporary(_):
    return distributed.Security.temporary()


@pytest.mark.parametrize("kind", [temporary, read_credentials])
def test_with_tls_only_who_has_the_credentials_comes_in(tmp_path, credentials, kind):
    security = kind(credentials[0])
    with cluster(security) as address:
        with distributed.Client(address, security=security) as client:
            executor = client.get_executor(pure=False)
            table = sweep(toy_trials.add, {"a": [1, 2], "b": 3}, [0], tmp_path, executor)
        assert table["sum"].tolist() == [4, 5]
        with pytest.raises(OSError, match="certificate does not match"):
            distributed.Client(address, security=temporary(None), timeout=5)
        plain = address.replace("tls://", "tcp://")
        with pytest.raises(OSError):
            distributed.Client(plain, timeout=1)


def test_the_command_takes_credentials_from_a_folder(tmp_path, credentials, capsys):
    folder, _ = credentials
    plan = {"trial": "toy_trials:add", "grid": {"a": [1], "b": 3}, "store": str(tmp_path / "store")}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    with cluster(read_credentials(folder)) as address:
        words = ["--allow-code", "--dask", address, "--tls", str(folder)]
        command.main([str(tmp_path / "plan.yaml"), *words])
    assert capsys.readouterr().out.split()[:6] == ["a", "b", "seed", "sum", "seconds", "error"]


def test_credentials_are_the_owners_alone_and_are_never_replaced(credentials):
    folder, _ = credentials
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    before = (folder / "key.pem").read_bytes()
    with pytest.raises(FileExistsError, match="take another folder, or remove it"):
        make_credentials(folder)
    assert (folder / "key.pem").read_bytes() == before
    (folder / "ca.pem").unlink()
    with pytest.raises(ValueError, match=r"it has no ca\.pem"):
        read_credentials(folder)


def test_no_guide_opens_a_port_without_tls():
    """A scheduler or worker listens on this machine alone, or asks for credentials."""
    found = 0
    for page in [HOME / "README.md", *(HOME / "docs").glob("*.md")]:
        for line in page.read_text(encoding="utf-8").splitlines():
            program = re.search(r"(?<!`)dask (scheduler|worker) ", line)
            if program:
                found += 1
                assert "--host 127.0.0.1" in line or "$TLS" in line, line
    assert found >= 4
