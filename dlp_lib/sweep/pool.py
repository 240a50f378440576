"""A process pool that suits training: it shares the machine out, and leaves no process behind."""

import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor

import torch

from ..runtime import whole


class Pool(ProcessPoolExecutor):
    """Spawned processes that share the machine: one a GPU, else one a core; each has an equal share of the threads.

    They end at once when their parent does, however that ends, or when the ``with`` block is left by an exception.
    """

    def __init__(self, workers: int | None = None, threads: int | None = None):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = torch.cuda.device_count() or cores if workers is None else whole("workers", workers, 1)
        context = multiprocessing.get_context("spawn")
        alive, self._alive = context.Pipe(duplex=False)  # its other end closes when this process ends
        threads = max(1, cores // workers) if threads is None else whole("threads", threads, 1)
        super().__init__(workers, context, _begin, (alive, context.Value("i", 0), threads))

    def __exit__(self, kind, *rest):
        if kind:
            self._alive.close()
        self.shutdown(cancel_futures=bool(kind))


def _begin(alive, started, threads: int) -> None:
    """A worker's first act."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its parent's affair
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of the processes that it starts itself: notebooks
    torch.set_num_threads(threads)
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())


def _end_with(alive) -> None:
    with contextlib.suppress(EOFError, OSError):
        alive.recv_bytes()
    os._exit(1)
