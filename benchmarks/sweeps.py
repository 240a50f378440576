"""What a sweep costs: how much its trials share, and how throughput grows with workers.

python benchmarks/sweeps.py [sharing] [pool] [dask]
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor

from dlp_lib.experiments import trials
from dlp_lib.experiments.sweep import DASK, Pool, sweep

GAMMAS = [0.005, 0.01, 0.02, 0.05, 0.1]
WITHOUT = {"order": "SL-AU", "e1": 10}  # fine-tuning; E1 is the paper's


def seconds(executor: Executor, grid: dict, seeds: list[int]) -> tuple[float, float]:
    """Of a sweep from an empty store, and of its shortest trial."""
    with tempfile.TemporaryDirectory() as store:
        began = time.perf_counter()
        table = sweep(trials.run_dlp, grid, seeds, store, executor)
        took = time.perf_counter() - began
    assert table["error"].isna().all(), table["error"]
    return took, table["seconds"].min()


def warm(executor: Executor) -> Executor:
    """Its workers have imported what they need."""
    seconds(
        executor,
        {"n_train": 200, "e1": 1, "e2": 1, "reestimate": 20, "finetune_steps": 1},
        list(range(8)),
    )
    return executor


@contextlib.contextmanager
def on_pool(workers: int) -> Iterator[Executor]:
    with Pool(workers, threads=1) as pool:
        yield warm(pool)


@contextlib.contextmanager
def on_dask(workers: int) -> Iterator[Executor]:
    import dask
    from distributed import Client, LocalCluster

    dask.config.set(DASK)
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield warm(client.get_executor(pure=False))


def sharing() -> None:
    for workers in (1, 2):
        with on_pool(workers) as pool:
            one, _ = seconds(pool, WITHOUT | {"gamma": 0.01}, [0])
            five, _ = seconds(pool, WITHOUT | {"gamma": GAMMAS}, [0])
        print(
            f"{workers} workers: one gamma {one:.1f} s, five {five:.1f} s: {five / one:.2f} times (stages 1 and 2)"
        )


def scaling(name: str, start) -> None:
    took = {}
    for workers in (1, 2):
        with start(workers) as executor:
            took[workers], shortest = seconds(executor, WITHOUT | {"e1": 4}, list(range(8)))
    print(
        f"{name}: eight independent trials, the shortest {shortest:.1f} s, take {took[1]:.1f} s with one worker, "
        f"{took[2]:.1f} s with two: {took[1] / took[2]:.2f} times the throughput"
    )


def main() -> None:
    parts = {
        "sharing": sharing,
        "pool": lambda: scaling("processes", on_pool),
        "dask": lambda: scaling("Dask", on_dask),
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*parts, []], metavar="PART")
    for part in parser.parse_args().parts or parts:
        parts[part]()


if __name__ == "__main__":
    main()
