"""Work beside the page: one job at a time, the newest alone."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class Superseded(Exception):
    """Raised inside a job that a newer one, or a click on "cancel", has made pointless."""


class Newest:
    """Runs jobs in one thread; a newer one replaces whatever runs or waits.

    A job is a function of ``check``, which it calls often and which raises Superseded when it should stop. Other
    exceptions are handed to ``on_error``.
    """

    def __init__(self, on_error: Callable[[Exception], None]):
        # One thread for all jobs: PyTorch's helper threads, and their memory, belong to the thread that calls it.
        self._on_error, self._thread, self._version = on_error, ThreadPoolExecutor(1), 0
        self._last: Future | None = None

    def submit(self, job: Callable[[Callable[[], None]], None] | None) -> None:
        """Start a job, or only stop the one that runs (None)."""
        self._version += 1
        version = self._version

        def check() -> None:
            if version != self._version:
                raise Superseded

        def run() -> None:
            try:
                check()
                job(check)
            except Superseded:
                pass
            except Exception as error:  # shown to the user, whatever it is
                if version == self._version:
                    self._on_error(error)

        if job:
            self._last = self._thread.submit(run)

    def wait(self) -> None:
        """Until the newest job has ended."""
        if self._last:
            wait([self._last])
