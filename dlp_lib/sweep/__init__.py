"""Grids of trials on any concurrent.futures executor: a finished trial is a record, and a rerun does what is missing.

python -m dlp_lib.sweep plan.yaml does it without a notebook.
"""

import inspect
import itertools
import json
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, as_completed
from pathlib import Path

from ..runtime import Runtime, environment, whole
from ..store import digest, lock, write_atomically
from .pool import Pool

Trial = Callable[[dict], dict]
PLAIN = (type(None), bool, int, float, str)


def sweep(
    trial: Trial,
    grid: dict[str, list] | list[dict],
    seeds: Sequence[int],
    store: str | Path,
    executor: Executor | None = None,
    on_progress: Callable[[int, int, dict], None] = lambda *_: None,
    retry: bool = False,
):
    """Run a trial at every point of a grid with every seed; return a pandas table with a row for each.

    ``trial``: an importable function of a dict of parameters, to which "seed" and "store" (a folder) are added; it
    returns a flat dict of plain values. If it has an attribute ``check``, that is called with every point first.
    ``grid``: a dict of lists, of which every combination is a point, or a list of points. ``store``: a folder that all
    workers see. It keeps a JSON file for each trial under the hash of its parameters and of the trial's own source, and
    the stages that trials share. ``executor``: anything that runs functions elsewhere; by default a ``Pool``.
    ``on_progress`` is told, whenever a trial is finished, how many are, of how many, and its row.

    A trial that raises is recorded with its traceback, in the column "error", and tried again only on ``retry``.
    Whatever is interrupted, finished trials stay. Raises ValueError, before anything runs, for what cannot work, and
    BrokenExecutor where the executor's workers or scheduler are gone for good.
    """
    import pandas

    name, source = _identity(trial)
    points = [point | {"seed": whole("seeds", seed)} for point in _points(grid) for seed in seeds]
    for point in points:
        getattr(trial, "check", dict)(point)
    folder = Path(store).resolve()
    jobs = {folder / "trials" / name / f"{digest(source, point)}.json": point for point in points}
    records = {path: record for path in jobs if (record := _read(path)) and not (retry and record["error"])}
    for count, record in enumerate(records.values(), 1):
        on_progress(count, len(jobs), _row(record))

    def finish(executor: Executor) -> None:
        missing = [path for path in jobs if path not in records]
        futures = {executor.submit(_run, trial, jobs[path], path, folder, retry): path for path in missing}
        try:
            for future in as_completed(futures):
                records[futures[future]] = future.result()
                on_progress(len(records), len(jobs), _row(future.result()))
        except CancelledError:
            raise BrokenExecutor("the executor gave up: is its scheduler gone? Finished trials are kept") from None
        finally:
            for future in [] if isinstance(executor, Pool) else futures:  # a Pool sees to it when it is left
                future.cancel()

    while len(records) < len(jobs):
        before = len(records)
        try:
            if executor:
                finish(executor)
            else:
                with Pool() as pool:
                    finish(pool)
        except BrokenExecutor:  # a pool's worker was killed: as long as something gets done, go on with a new pool
            if executor or len(records) == before:
                raise
    return pandas.DataFrame([_row(records[path]) for path in jobs])


def _run(trial: Trial, point: dict, path: Path, folder: Path, retry: bool) -> dict:
    """In a worker: the trial's record, made and kept unless someone else has done so."""
    with lock(path.with_suffix(".lock")):
        record = _read(path)
        if record is None or (retry and record["error"]):
            began, result, error = time.perf_counter(), {}, None
            try:
                result = trial(point | {"store": str(folder)})
                _check(result, point)
            except Exception:
                result, error = {}, traceback.format_exc()
            record = {"parameters": point, "result": result, "error": error, "seconds": time.perf_counter() - began}
            record |= {"environment": environment(Runtime(device="auto"))}
            write_atomically(path, json.dumps(record, allow_nan=False, indent=1).encode())
    return record


def _read(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        warnings.warn(f"trial record {path.name} is damaged ({error}): doing it again", stacklevel=3)
        return None


def _row(record: dict) -> dict:
    error = record["error"] and record["error"].strip().splitlines()[-1]
    return {**record["parameters"], **record["result"], "seconds": record["seconds"], "error": error}


def _points(grid: dict[str, list] | list[dict]) -> list[dict]:
    """The points of a grid; ValueError for what is not one."""
    if isinstance(grid, dict):
        values = [value if isinstance(value, (list, tuple)) else [value] for value in grid.values()]
        grid = [dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*values)]
    for name, value in ((name, value) for point in grid for name, value in point.items()):
        if name in ("seed", "store") or not isinstance(value, PLAIN):
            raise ValueError(
                f"grid: {name}={value!r}: allowed are numbers, text, true, false and none, not seed or store"
            )
    if not grid:
        raise ValueError("grid: a list in it is empty, so it has no points")
    return grid


def _identity(trial: Trial) -> tuple[str, str]:
    """A trial's name, and the source on which its records depend; ValueError for one that workers cannot import."""
    if hasattr(trial, "source"):
        return trial.name, trial.source
    module, name = getattr(trial, "__module__", "__main__"), getattr(trial, "__qualname__", "<no name>")
    if module == "__main__" or "<" in name:
        raise ValueError(f"trial={name}: allowed are functions that can be imported, from a file of their own")
    return f"{module}.{name}", inspect.getsource(trial)


def _check(result: dict, point: dict) -> None:
    if not isinstance(result, dict) or not all(isinstance(value, PLAIN) for value in result.values()):
        raise TypeError(f"the trial returned {result!r}: allowed are flat dicts of numbers, text, true, false and None")
    if taken := sorted(set(result) & {*point, "seconds", "error"}):
        raise ValueError(f"the trial returned {', '.join(taken)}, which the table has already")
    json.dumps(result, allow_nan=False)
