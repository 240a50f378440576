"""Background jobs: one at a time, and a new job replaces the one before."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

Check = Callable[[], None]  # raises Superseded when the job should stop
Job = Callable[[Check], None]


class Superseded(Exception):
    """Raised inside a job that a newer job, or a click on "cancel", has replaced."""


class LatestJob:
    """Runs jobs in one thread; a new job replaces the one that runs or waits.

    A job is a function of ``check``. It calls ``check`` often, which raises Superseded when the
    job should stop. Other exceptions go to ``on_error``.
    """

    def __init__(self, on_error: Callable[[Exception], None]):
        self._on_error = on_error
        # One thread for all jobs: PyTorch keeps helper threads, and their memory, for each thread
        # that calls it.
        self._thread = ThreadPoolExecutor(1)
        self._version = 0  # of the newest job
        self._last: Future | None = None

    def submit(self, job: Job | None) -> None:
        """Start a job and stop the one before; None only stops."""
        self._version += 1
        if job is not None:
            self._last = self._thread.submit(self._run, job, self._version)

    def is_busy(self) -> bool:
        """Return whether a job runs or waits, be it one that is to stop."""
        return self._last is not None and not self._last.done()

    def _run(self, job: Job, version: int) -> None:
        def check() -> None:
            if version != self._version:
                raise Superseded

        try:
            check()
            job(check)
        except Superseded:
            pass
        except Exception as error:  # the user must see it, whatever it is
            if version == self._version:
                self._on_error(error)

    def wait(self) -> None:
        """Wait until the newest job has ended, and whatever its end has started."""
        waited = None
        while self._last is not waited:
            waited = self._last
            wait([waited])


def loop_caller() -> Callable[[Callable[[], None]], object]:
    """Return a function with which a thread hands work to the page.

    It goes through the event loop that runs now, or calls directly where there is none.
    """
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        return lambda function: function()
