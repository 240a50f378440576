"""Grids of trials on any concurrent.futures executor: a finished trial is a record, and a rerun does what is missing.

python -m dlp_lib.sweep plan.yaml does it without a notebook.
"""

import itertools
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from pathlib import Path

from ..runtime import whole
from .job import RESERVED, Job, Outdated, Trial, plain, run
from .pool import Pool, room

# For dask.config.set before a LocalCluster: Dask has its workers give freed memory back at once, which the next batch
# asks for again, and so trains at half the speed (Linux).
DASK = {f"distributed.nanny.pre-spawn-environ.MALLOC_{kind}_THRESHOLD_": 2**30 for kind in ("TRIM", "MMAP")}  # bytes


def sweep(
    trial: Trial,
    grid: dict[str, list] | list[dict],
    seeds: Sequence[int],
    store: str | Path,
    executor: Executor | int | None = None,
    on_progress: Callable[[int, int, dict], None] = lambda *_: None,
    retry: bool = False,
):
    """Run a trial at every point of a grid with every seed; return a pandas table with a row for each.

    ``trial``: an importable function of a dict of parameters, to which "seed" and "store" (a folder) are added; it
    returns a flat dict of plain values. If it has an attribute ``check``, that is called with every point first, and
    may return the point with its defaults filled in. ``grid``: a dict of lists, of which every combination is a point,
    or a list of points. ``store``: a folder that all workers see; it keeps a JSON file for each trial under the hash
    of its parameters and its code, and the stages that trials share. ``executor``: anything that runs functions
    elsewhere; or how many processes to start, by default one a GPU, else one a core. ``on_progress`` is told,
    whenever a trial is finished, how many are, of how many, and its row.

    A trial that raises, or kills its worker, is recorded with the reason, in the column "error", and tried again only
    on ``retry``. Whatever is interrupted, finished trials stay. Raises ValueError, before anything runs, for what
    cannot work; Outdated where a worker still has older code; BrokenExecutor where a given executor is gone for good.
    """
    import pandas

    complete = getattr(trial, "check", dict)
    points = _points(grid, seeds)
    once: dict[Path, Job] = {}
    for point in points:
        job = Job(trial, point, complete(point) or point, Path(store).resolve(), retry)
        once.setdefault(job.path, job)
    jobs = list(once.values())
    records: dict[Path, dict] = {}

    def keep(job: Job, record: dict) -> None:
        records[job.path] = record
        on_progress(len(records), len(jobs), job.row(record))

    def missing() -> list[Job]:
        return [job for job in jobs if job.path not in records]

    _reread(jobs, keep)
    if isinstance(executor, Executor):
        _finish(executor, missing(), keep)
    else:
        _on_pools(room() if executor is None else whole("executor", executor, 1), missing, keep)
    table = pandas.DataFrame([job.row(records[job.path]) for job in jobs])
    last = ["seconds", "error"]
    return table[[name for name in table if name not in last] + last]


def _on_pools(workers: int, missing: Callable[[], list[Job]], keep: Callable[[Job, dict], None]) -> None:
    """On processes of our own, new ones whenever one has died."""
    alone = False  # one trial at a time, to find the one that kills its worker
    while jobs := missing():
        batch = jobs[:1] if alone else jobs
        try:
            with Pool(min(workers, len(batch))) as pool:
                _finish(pool, batch, keep)
            alone = False
        except BrokenExecutor:
            _reread(missing(), keep)
            if alone and jobs[0] in missing():
                keep(jobs[0], jobs[0].keep({}, "its worker died: out of memory?", 0.0))
            alone = not alone and len(missing()) == len(jobs)


def _finish(executor: Executor, jobs: list[Job], keep: Callable[[Job, dict], None]) -> None:
    futures = {executor.submit(run, job, job.path): job for job in jobs}
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, 1, FIRST_COMPLETED)  # a second: on Windows, Ctrl-C does not end a wait
            for future in done:
                keep(futures[future], _outcome(future, futures[future]))
    except BrokenExecutor:
        raise  # it sees to its futures itself
    except BaseException:
        if isinstance(executor, Pool):
            executor.stop()
        for future in pending:
            future.cancel()
        raise


def _outcome(future: Future, job: Job) -> dict:
    try:
        return future.result()
    except CancelledError:
        raise BrokenExecutor("the executor gave up: is its scheduler gone? Finished trials are kept") from None
    except (BrokenExecutor, Outdated):
        raise
    except Exception:  # the executor's own: it could not run this one (Dask: it killed too many workers)
        return job.keep({}, traceback.format_exc(), 0.0)


def _reread(jobs: list[Job], keep: Callable[[Job, dict], None]) -> None:
    for job in jobs:
        if record := job.recorded():
            keep(job, record)


def _points(grid: dict[str, list] | list[dict], seeds: Sequence[int]) -> list[dict]:
    """The points of a grid with every seed; ValueError for what is none."""
    if isinstance(grid, dict):
        values = [value if isinstance(value, (list, tuple)) else [value] for value in grid.values()]
        grid = [dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*values)]
    if not isinstance(grid, list) or not all(isinstance(point, dict) for point in grid):
        raise ValueError(f"grid={grid!r}: allowed are a dict of lists and a list of dicts")
    points = [{name: _python(value) for name, value in point.items()} for point in grid]
    for name, value in ((name, value) for point in points for name, value in point.items()):
        if name in RESERVED | {"seed"} or not plain(value):
            names = ", ".join(sorted(RESERVED | {"seed"}))
            raise ValueError(f"grid: {name}={value!r}: allowed are finite numbers, text, bool and None, not {names}")
    points = [point | {"seed": whole("seeds", _python(seed))} for point in points for seed in seeds]
    if not points:
        raise ValueError("grid, seeds: one of their lists is empty, so there is nothing to do")
    return points


def _python(value):
    """A number of NumPy's as Python's own, which it would not equal in a hash."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 else value
