"""One trial at one point: what travels to a worker, and the record that it leaves."""

import contextlib
import inspect
import json
import math
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from ..runtime import Runtime, environment
from ..store import digest, lock, write_atomically

Trial = Callable[[dict], dict]
RESERVED = {"store", "seconds", "error"}  # what else a trial is given, and what else is in a table


class Outdated(RuntimeError):
    """A worker has loaded other code than the trial's own by now: restart it."""


@dataclass(frozen=True)
class Job:
    """A trial to be run; its record is an atomic JSON file under the hash of its parameters and of its code."""

    trial: Trial
    point: dict  # as the grid has it
    parameters: dict  # as the trial completes it
    folder: Path
    retry: bool  # a failure does not count as a record

    @property
    def path(self) -> Path:
        name, code = identity(self.trial)
        return self.folder / "trials" / name / f"{digest(code, self.parameters)}.json"

    def recorded(self) -> dict | None:
        """The trial's record, if there is one that counts."""
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            warnings.warn(f"trial record {self.path.name} is damaged ({error}): doing it again", stacklevel=2)
            return None
        return None if self.retry and record["error"] else record

    def keep(self, result: dict, error: str | None, seconds: float) -> dict:
        """Write the record, and give it back."""
        record = {"parameters": self.parameters, "result": result, "error": error, "seconds": seconds}
        with contextlib.suppress(ValueError):  # a device that there is not, for which the trial has failed
            record["environment"] = environment(Runtime(device=self.parameters.get("device", "auto")))
        write_atomically(self.path, json.dumps(record, allow_nan=False, indent=1).encode())
        return record

    def row(self, record: dict) -> dict:
        """Of the table: the point, the results, the time, and the last line of what went wrong."""
        error = record["error"] and record["error"].strip().splitlines()[-1]
        return {**self.point, **record["result"], "seconds": record["seconds"], "error": error}


def run(job: Job, path: Path) -> dict:
    """In a worker: the job's record, made and kept unless someone else has done so."""
    if job.path != path:
        raise Outdated(f"this worker has other code of {identity(job.trial)[0]}: restart it, or reload the module")
    with lock(path.with_suffix(".lock")):
        return job.recorded() or _record(job)


def _record(job: Job) -> dict:
    began, result, error = time.perf_counter(), {}, None
    try:
        result = job.trial(job.parameters | {"store": str(job.folder)})
        _check(result, job.point)
    except (Exception, SystemExit):  # whatever a trial does, the others go on
        result, error = {}, traceback.format_exc()
    return job.keep(result, error, time.perf_counter() - began)


def _check(result: dict, point: dict) -> None:
    if not isinstance(result, dict) or not all(map(plain, result.values())):
        raise ValueError(f"the trial returned {result!r}: allowed are flat dicts of finite numbers, text, bool, None")
    if taken := sorted(set(result) & (RESERVED | set(point))):
        raise ValueError(f"the trial returned {', '.join(taken)}, which the table has already")


def plain(value) -> bool:
    """Whether JSON keeps the value as it is."""
    return value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))


def identity(trial: Trial) -> tuple[str, str]:
    """A trial's name, and the code on which its records depend; ValueError for one that workers cannot import.

    The code is the attribute ``source``, if the trial has one, or else the function as it was loaded.
    """
    if hasattr(trial, "source") and hasattr(trial, "name"):
        return trial.name, trial.source
    module, name = getattr(trial, "__module__", "__main__"), getattr(trial, "__qualname__", "<no name>")
    if module == "__main__" or "<" in name or not inspect.isfunction(trial):
        raise ValueError(f"trial={name}: allowed are functions that can be imported, from a file of their own")
    return f"{module}.{name}", getattr(trial, "source", None) or digest(_code(trial.__code__))


def _code(part) -> list | str:
    """A function's code, or a constant in it, in a form that is the same in every process."""
    if isinstance(part, CodeType):
        return [part.co_code.hex(), list(part.co_names), [_code(constant) for constant in part.co_consts]]
    if isinstance(part, (tuple, frozenset)):
        inner = [_code(constant) for constant in part]
        return sorted(inner, key=repr) if isinstance(part, frozenset) else inner
    return repr(part)
