"""A process pool for training: it divides the machine, and leaves no process behind."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import torch

from ...checking import check_int

WINDOWS_LIMIT = 61  # workers that a ProcessPoolExecutor may have there


def default_workers() -> int:
    """Return how many workers this machine has room for: one a GPU, else one a core."""
    return torch.cuda.device_count() or _cores()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return min(count, WINDOWS_LIMIT) if sys.platform == "win32" else count


class Pool(ProcessPoolExecutor):
    """Spawned processes, each with its GPU, where there are any, and its share of the threads.

    They end at once when their parent ends, in whatever way; on ``stop``; and when an exception
    leaves the ``with`` block.
    """

    def __init__(self, workers: int | None = None, threads: int | None = None):
        """Start no process yet; the first job does.

        Args:
            workers: how many processes; None: one a GPU, else one a core.
            threads: of each process; None: an equal share of the cores.
        """
        if workers is None:
            workers = default_workers()
        check_int("workers", workers, 1)
        if threads is None:
            threads = max(1, _cores() // workers)
        check_int("threads", threads, 1)
        context = multiprocessing.get_context("spawn")
        # The pipe's other end closes when this process ends.
        alive, self._alive = context.Pipe(duplex=False)
        started = context.Value("i", 0)
        gpus = torch.cuda.device_count()
        super().__init__(workers, context, _begin, (alive, started, threads, gpus))

    def stop(self) -> None:
        """End the workers, whatever they are doing."""
        self._alive.close()
        self.shutdown(cancel_futures=True)

    def __exit__(self, kind, *rest):
        if kind:
            self.stop()
        return super().__exit__(kind, *rest)


def _begin(alive, started, threads: int, gpus: int) -> None:
    """Set up a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    with started.get_lock():
        number = started.value
        started.value = number + 1
    if gpus:
        _take_gpu(number, gpus)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def _take_gpu(number: int, gpus: int) -> None:
    """Leave one GPU visible, by a variable that processes of this worker inherit as well."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % gpus]


def _end_with(alive) -> None:
    with contextlib.suppress(EOFError, OSError):
        alive.recv_bytes()
    os._exit(1)
