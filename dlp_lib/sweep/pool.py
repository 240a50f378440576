"""A process pool that suits training: it shares the machine out, and leaves no process behind."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import torch

from ..runtime import whole


def room() -> int:
    """How many workers this machine has room for: one a GPU, else one a core."""
    return torch.cuda.device_count() or _cores()


def _cores() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, 61) if sys.platform == "win32" else count  # the most that a pool may have there


class Pool(ProcessPoolExecutor):
    """Spawned processes that share the machine: each has its GPU, where there are any, and its share of the threads.

    They end at once when their parent does, however that ends; on ``stop``; and when the ``with`` block is left by an
    exception.
    """

    def __init__(self, workers: int | None = None, threads: int | None = None):
        workers = room() if workers is None else whole("workers", workers, 1)
        threads = max(1, _cores() // workers) if threads is None else whole("threads", threads, 1)
        context = multiprocessing.get_context("spawn")
        alive, self._alive = context.Pipe(duplex=False)  # its other end closes when this process ends
        given = alive, context.Value("i", 0), threads, torch.cuda.device_count()
        super().__init__(workers, context, _begin, given)

    def stop(self) -> None:
        """End the workers, whatever they are at."""
        self._alive.close()
        self.shutdown(cancel_futures=True)

    def __exit__(self, kind, *rest):
        if kind:
            self.stop()
        return super().__exit__(kind, *rest)


def _begin(alive, started, threads: int, gpus: int) -> None:
    """A worker's first act."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its parent's affair
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    if gpus:  # by the environment, which the processes that it starts itself, notebooks, have from it
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % gpus]
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def _end_with(alive) -> None:
    with contextlib.suppress(EOFError, OSError):
        alive.recv_bytes()
    os._exit(1)
