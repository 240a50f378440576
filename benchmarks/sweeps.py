"""What a sweep costs: how much its trials share, and how throughput grows with workers.

python benchmarks/sweeps.py [sharing] [pool] [dask]
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor

from dlp_lib.experiments import trials
from dlp_lib.experiments.sweep import DASK, Pool, sweep

GAMMAS = [0.005, 0.01, 0.02, 0.05, 0.1]
NOT_FINETUNED = {"order": "SL-AU", "e1": 10}  # E1 is the paper's
TINY = {"n_train": 200, "e1": 1, "e2": 1, "reestimate": 20, "finetune_steps": 1}


def measure(executor: Executor, grid: dict, seeds: list[int]) -> tuple[float, float]:
    """Return the seconds of a sweep from an empty store, and those of its shortest trial."""
    with tempfile.TemporaryDirectory() as store:
        began = time.perf_counter()
        table = sweep(trials.run_dlp, grid, seeds, store, executor)
        duration = time.perf_counter() - began
    assert table["error"].isna().all(), table["error"]
    return duration, table["seconds"].min()


def warm_up(executor: Executor) -> Executor:
    """Return the executor when its workers have imported what they need."""
    measure(executor, TINY, list(range(8)))
    return executor


@contextlib.contextmanager
def on_pool(workers: int) -> Iterator[Executor]:
    with Pool(workers, threads=1) as pool:
        yield warm_up(pool)


@contextlib.contextmanager
def on_dask(workers: int) -> Iterator[Executor]:
    import dask
    from distributed import Client, LocalCluster

    dask.config.set(DASK)
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield warm_up(client.get_executor(pure=False))


def sharing() -> None:
    """Print what four more trials cost that share stage 1."""
    for workers in (1, 2):
        with on_pool(workers) as pool:
            one, _ = measure(pool, NOT_FINETUNED | {"gamma": 0.01}, [0])
            five, _ = measure(pool, NOT_FINETUNED | {"gamma": GAMMAS}, [0])
        print(
            f"{workers} workers: one gamma {one:.1f} s, five {five:.1f} s: "
            f"{five / one:.2f} times (stages 1 and 2)"
        )


def scaling(name: str, start: Callable) -> None:
    """Print the throughput of two workers beside that of one, on trials that share nothing."""
    durations = {}
    for workers in (1, 2):
        with start(workers) as executor:
            grid = NOT_FINETUNED | {"e1": 4}
            durations[workers], shortest = measure(executor, grid, list(range(8)))
    print(
        f"{name}: eight independent trials, the shortest {shortest:.1f} s, take "
        f"{durations[1]:.1f} s with one worker, {durations[2]:.1f} s with two: "
        f"{durations[1] / durations[2]:.2f} times the throughput"
    )


PARTS = {
    "sharing": sharing,
    "pool": lambda: scaling("processes", on_pool),
    "dask": lambda: scaling("Dask", on_dask),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    options = parser.parse_args()
    for name in options.parts or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
