"""Work beside the page: one job at a time, the newest alone."""

import threading
from collections.abc import Callable


class Superseded(Exception):
    """Raised inside a job that a newer one, or a click on "cancel", has made pointless."""


class Newest:
    """Runs jobs in a thread, one at a time; a newer one replaces whatever runs or waits.

    A job is a function of ``check``, which it calls often and which raises Superseded when it should stop. Other
    exceptions are handed to ``on_error``.
    """

    def __init__(self, on_error: Callable[[Exception], None]):
        self._on_error, self._lock, self._version, self._last = on_error, threading.Lock(), 0, None

    def submit(self, job: Callable[[Callable[[], None]], None] | None) -> None:
        """Start a job, or only stop the one that runs (None)."""
        self._version += 1
        version = self._version

        def check() -> None:
            if version != self._version:
                raise Superseded

        def run() -> None:
            with self._lock:  # the one before has stopped
                try:
                    check()
                    job(check)
                except Superseded:
                    pass
                except Exception as error:  # shown to the user, whatever it is
                    if version == self._version:
                        self._on_error(error)

        if job:
            self._last = threading.Thread(target=run, daemon=True)
            self._last.start()

    def wait(self) -> None:
        """Until the newest job has ended."""
        if self._last:
            self._last.join()
