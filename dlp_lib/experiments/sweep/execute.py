"""Run a trial at every point of a grid, on any executor of concurrent.futures."""

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from pathlib import Path

from ...checking import check_int
from ...files import CannotWrite
from .grid import grid_points
from .job import Job, Outdated, Trial, identity, run_job
from .pool import Pool, default_workers

OnProgress = Callable[[int, int, dict], None]  # trials done, of how many, and a row
POLL_SECONDS = 1  # on Windows, Ctrl-C does not end a wait


def sweep(
    trial: Trial,
    grid: dict[str, list] | list[dict],
    seeds: Sequence[int],
    store: str | Path,
    executor: Executor | int | None = None,
    on_progress: OnProgress = lambda *_: None,
    retry: bool = False,
):
    """Run a trial at every point of a grid with every seed.

    A trial that raises, or that kills its worker, is recorded with the reason. Finished trials
    stay, whatever interrupts the sweep, and a rerun does what is missing.

    Args:
        trial: an importable function of a dict of parameters, to which "seed" and "store" (a
            folder) are added. It returns a flat dict of plain values. If it has an attribute
            ``check``, that is called with every point first, and may return the point with its
            defaults filled in.
        grid: a dict of lists, of which every combination is a point, or a list of points.
        seeds: whole numbers.
        store: a folder that all workers see. It has a JSON file for each trial, under the hash of
            its parameters and its code, and the stages that trials share.
        executor: anything that runs functions elsewhere, or how many processes to start; None: one
            a GPU, else one a core.
        on_progress: called whenever a trial is finished: how many are, of how many, and its row.
        retry: do trials again that have failed.

    Returns:
        A pandas table with a row for each trial: its point, its results, "seconds" and "error".

    Raises:
        ValueError: before anything runs, for what cannot work.
        Outdated: where a worker has older code than this process.
        BrokenExecutor: where a given executor is gone for good.
        CannotWrite: where the store's folder cannot be written; it says what to do.
    """
    import pandas

    jobs = _jobs(trial, grid_points(grid, seeds), Path(store).expanduser().resolve(), retry)
    progress = _Progress(jobs, on_progress)
    progress.read_records()
    if isinstance(executor, Executor):
        _finish(executor, progress.missing(), progress)
    else:
        workers = default_workers() if executor is None else check_int("executor", executor, 1)
        _finish_on_pools(workers, progress)
    table = pandas.DataFrame(progress.rows())
    last = ["seconds", "error"]
    first = [name for name in table if name not in last]
    return table[first + last]


def _jobs(trial: Trial, points: list[dict], folder: Path, retry: bool) -> list[Job]:
    """Return a job for every point; points that come to the same record are one job."""
    name, code = identity(trial)
    complete = getattr(trial, "check", dict)
    jobs: dict[Path, Job] = {}
    for point in points:
        parameters = complete(point) or point
        job = Job(trial, name, code, point, parameters, folder, retry)
        jobs.setdefault(job.path, job)
    return list(jobs.values())


class _Progress:
    """Which jobs of a sweep are done."""

    def __init__(self, jobs: list[Job], on_progress: OnProgress):
        self._jobs = jobs
        self._on_progress = on_progress
        self._records: dict[Path, dict] = {}

    def add(self, job: Job, record: dict) -> None:
        """Take note of a finished job."""
        self._records[job.path] = record
        self._on_progress(len(self._records), len(self._jobs), job.row(record))

    def missing(self) -> list[Job]:
        """Return the jobs that are not done."""
        return [job for job in self._jobs if job.path not in self._records]

    def read_records(self) -> None:
        """Take note of the missing jobs that have a record by now."""
        for job in self.missing():
            record = job.read()
            if record:
                self.add(job, record)

    def rows(self) -> list[dict]:
        """Return the rows of the table, all jobs being done."""
        return [job.row(self._records[job.path]) for job in self._jobs]


def _finish_on_pools(workers: int, progress: _Progress) -> None:
    """Run all missing jobs on pools of processes, with a new pool whenever a worker has died.

    Where a pool broke before any job was done, the next runs one job alone. So the job that kills
    its worker is found.
    """
    alone = False
    while jobs := progress.missing():
        batch = jobs[:1] if alone else jobs
        try:
            with Pool(min(workers, len(batch))) as pool:
                _finish(pool, batch, progress)
            alone = False
        except BrokenExecutor:
            progress.read_records()
            suspect = jobs[0]
            if alone and suspect in progress.missing():
                record = suspect.write({}, "its worker died: out of memory?", 0.0)
                progress.add(suspect, record)
            nothing_done = len(progress.missing()) == len(jobs)
            alone = nothing_done and not alone


def _finish(executor: Executor, jobs: list[Job], progress: _Progress) -> None:
    """Run jobs on one executor."""
    futures = {executor.submit(run_job, job): job for job in jobs}
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                job = futures[future]
                progress.add(job, _outcome(future, job))
    except BrokenExecutor:
        raise  # it cancels its futures itself
    except BaseException:
        if isinstance(executor, Pool):
            executor.stop()
        for future in pending:
            future.cancel()
        raise


def _outcome(future: Future, job: Job) -> dict:
    """Return the record of a finished future.

    An executor can fail to run one job, as Dask does where it killed too many workers. That counts
    as the trial's failure.
    """
    try:
        return future.result()
    except CancelledError:
        raise BrokenExecutor(
            "the executor cancelled a trial: is its scheduler gone? Finished trials are kept"
        ) from None
    except (BrokenExecutor, Outdated, CannotWrite):
        raise
    except Exception:
        return job.write({}, traceback.format_exc(), 0.0)
