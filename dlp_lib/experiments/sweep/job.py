"""One trial at one point: what travels to a worker, and the record that it leaves."""

import contextlib
import inspect
import json
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...files import CannotWrite, note_use, write_atomically
from ...fingerprint import CannotFingerprint, fingerprint
from ...runtime import Runtime, environment
from ...store import digest, lock
from .grid import RESERVED, is_plain

Trial = Callable[[dict], dict]
_CHECKSUM = "sha256"  # over the trial's code and all other fields of a record
_FIELDS = {"parameters", "result", "error", "seconds", _CHECKSUM}


class Outdated(RuntimeError):
    """A worker has loaded other code of the trial than the process that made the job."""


@dataclass(frozen=True)
class Job:
    """A trial to be run at one point.

    Its record is a JSON file, named by the hash of the trial's code and of the parameters.
    """

    trial: Trial
    name: str  # the trial's, which is also the folder of its records
    code: str  # fingerprint of the trial
    point: dict  # as the grid has it
    parameters: dict  # as the trial completes it
    folder: Path  # of the sweep's store
    retry: bool  # a failure does not count as a record

    @property
    def path(self) -> Path:
        """Where the record is stored."""
        key = digest(self.code, self.parameters)
        return self.folder / "trials" / self.name / f"{key}.json"

    def read(self) -> dict | None:
        """Return the trial's record, if there is one that counts.

        One that is damaged, or was written for other parameters or other code, brings a warning.
        """
        try:
            data = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            record = self._parse(data)
        except Exception as error:  # whatever damage does to a parser, the answer is the same
            warnings.warn(
                f"trial record {self.path.name} is damaged ({error}): doing it again", stacklevel=2
            )
            return None
        if self.retry and record["error"]:
            return None
        note_use("read", self.path)
        return record

    def _parse(self, data: bytes) -> dict:
        """Return a record from the bytes of its file; ValueError where it is not as written."""
        record = json.loads(data)
        if not isinstance(record, dict) or not _FIELDS.issubset(record):
            raise ValueError(f"it is not a dict with {', '.join(sorted(_FIELDS))}")
        if digest(record["parameters"]) != digest(_as_json(self.parameters)):
            raise ValueError(f"it was written for {record['parameters']}")
        if record.pop(_CHECKSUM) != digest(self.code, record):
            raise ValueError("its checksum does not match")
        return record

    def write(self, result: dict, error: str | None, seconds: float) -> dict:
        """Store the trial's record, and return it.

        Raises:
            CannotWrite: where the store's folder cannot be written.
        """
        record = {
            "parameters": self.parameters,
            "result": result,
            "error": error,
            "seconds": seconds,
        }
        # A device that this machine lacks raises ValueError; the trial has then failed as well.
        with contextlib.suppress(ValueError):
            runtime = Runtime(device=self.parameters.get("device", "auto"))
            record["environment"] = environment(runtime)
        record = _as_json(record)
        signed = record | {_CHECKSUM: digest(self.code, record)}
        write_atomically(self.path, json.dumps(signed, allow_nan=False, indent=1).encode())
        return record

    def row(self, record: dict) -> dict:
        """Return the table's row: point, results, time, and the last line of an error."""
        error = record["error"]
        if error:
            error = error.strip().splitlines()[-1]
        return {**self.point, **record["result"], "seconds": record["seconds"], "error": error}


def _as_json(value: dict) -> dict:
    """Return plain values as they come back from a JSON file."""
    return json.loads(json.dumps(value, allow_nan=False))


def run_job(job: Job) -> dict:
    """Return the job's record, in a worker; run the trial unless another process has done so.

    Raises:
        Outdated: where this process has loaded other code of the trial.
        CannotWrite: where the store's folder cannot be written.
    """
    if identity(job.trial) != (job.name, job.code):
        raise Outdated(
            f"this worker has other code of {job.name}: restart it, or reload the module"
        )
    with lock(job.path.with_suffix(".lock")):
        return job.read() or _run(job)


def _run(job: Job) -> dict:
    began = time.perf_counter()
    result = {}
    error = None
    try:
        returned = job.trial(job.parameters | {"store": str(job.folder)})
        _check_result(returned, job.point)
        result = returned
    except CannotWrite:  # a full disk is no failure of the trial
        raise
    except (Exception, SystemExit):  # the other trials go on
        error = traceback.format_exc()
    return job.write(result, error, time.perf_counter() - began)


def _check_result(result: dict, point: dict) -> None:
    is_flat = isinstance(result, dict) and all(map(is_plain, result.values()))
    if not is_flat or not all(isinstance(name, str) for name in result):
        raise ValueError(
            f"the trial returned {result!r}: allowed are flat dicts of finite numbers, text, "
            "bool, None"
        )
    taken = sorted(set(result) & (RESERVED | set(point)))
    if taken:
        raise ValueError(f"the trial returned {', '.join(taken)}, which the table has already")


def identity(trial: Trial) -> tuple[str, str]:
    """Return a trial's name, and the fingerprint of all the code that it runs.

    Raises:
        ValueError: for a trial that workers cannot import, or whose code cannot be read.
    """
    name = _name(trial)
    try:
        return name, fingerprint(trial)
    except CannotFingerprint as reason:
        raise ValueError(f"trial={name}: no record can be kept of it, as {reason}") from None


def _name(trial: Trial) -> str:
    if hasattr(trial, "name"):
        return trial.name
    module = getattr(trial, "__module__", "__main__")
    name = getattr(trial, "__qualname__", "<no name>")
    if module == "__main__" or "<" in name or not inspect.isfunction(trial):
        raise ValueError(
            f"trial={name}: allowed are functions that can be imported, from a file of their own"
        )
    return f"{module}.{name}"
