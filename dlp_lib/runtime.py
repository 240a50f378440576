"""Where a computation runs, and from which random streams."""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .checking import check_bool, check_field, check_int
from .fingerprint import neutral
from .places import IN_CHECKOUT, PROJECT

PRECISIONS = ("float32", "bfloat16")


@neutral
class _Turns:
    """A lock that its owner may take again; it decides who waits, and no result."""

    def __init__(self):
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_) -> None:
        self._lock.release()


_GLOBAL_STREAM = _Turns()


@dataclass(frozen=True)
class Runtime:
    """Device, precision and seed of a run; the only source of random numbers.

    Every purpose has a stream of its own. A draw in one place never shifts the draws of another,
    and an interruption shifts none.

    Raises:
        ValueError: for a value that is not allowed, and for a device that is not there.
    """

    seed: int = 0  # 0 or more
    # Or "cuda", "cuda:1", or a torch.device; "auto" takes the GPU where there is one
    device: str | torch.device = "cpu"
    # Of training steps; "bfloat16" is autocast's. Scores are float32 in any case.
    precision: str = "float32"
    # The model in DLP's steps by torch.compile (with a C++ compiler), on a GPU as CUDA graphs
    compiled: bool = False
    # On a GPU: a whole training step captured as a CUDA graph, and replayed. See training.capture
    captured: bool = False

    def __post_init__(self):
        check_field(self, "seed", check_int)
        check_field(self, "compiled", check_bool)
        check_field(self, "captured", check_bool)
        if self.precision not in PRECISIONS:
            allowed = ", ".join(repr(name) for name in PRECISIONS)
            raise ValueError(f"precision={self.precision!r}: allowed are {allowed}")
        object.__setattr__(self, "device", _checked_device(self.device))
        if self.captured and self.device == "cpu":
            raise ValueError("captured=True: allowed on a GPU, not with device='cpu'")

    def __fingerprint__(self) -> tuple[int, str]:
        """Return what decides a result: the same seed on another device is the same run."""
        return self.seed, self.precision

    def autocast(self) -> torch.autocast:
        """Return the context in which a training step computes its loss."""
        kind = torch.device(self.device).type
        dtype = getattr(torch, self.precision)
        return torch.autocast(kind, dtype, enabled=self.precision != "float32")

    def generator(self, *purpose: str | int) -> torch.Generator:
        """Return the CPU random stream of a purpose, such as ``generator("SL", "order", 3)``."""
        digest = hashlib.sha256(repr((self.seed, *purpose)).encode()).digest()
        seed = int.from_bytes(digest[:4], "little")  # torch would ignore a fifth byte
        return torch.Generator().manual_seed(seed)

    @contextlib.contextmanager
    def global_stream(self, *purpose: str | int) -> Iterator[None]:
        """Seed torch's global stream inside the block, and restore it afterwards.

        This is for code that takes no generator, such as initialisation and dropout. All threads
        of a process have that one stream: they take turns.
        """
        devices = [self.device] if "cuda" in self.device else []
        with _GLOBAL_STREAM, torch.random.fork_rng(devices):
            torch.manual_seed(self.generator(*purpose).initial_seed())
            yield


def _checked_device(device: str | torch.device) -> str:
    """Return the name of a device that is there.

    Raises:
        ValueError: for any other.
    """
    name = str(device)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if gpus else "cpu"
    allowed = ["cpu", "auto"]
    if gpus:
        allowed += ["cuda", *[f"cuda:{index}" for index in range(gpus)]]
    if name not in allowed:
        names = ", ".join(repr(other) for other in allowed)
        raise ValueError(f"device={device!r}: allowed are {names}; Apple's mps is not supported")
    return name


@neutral
@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc to keep large blocks of memory that are freed; return whether that worked.

    Training and ``predict`` call this when they start. It changes malloc for the whole process,
    also for code that is not this library's, until the process ends: memory that was used once
    stays with the process. No result changes.

    By default glibc hands freed blocks above 32 MiB back to the system, and the system clears
    every page before it lends it again. The next step needs the same blocks. Keeping them saves a
    sixth of the time of a FixMatch step at 32 pixels, and holds some 250 MiB more.

    To prevent it, set one of the environment variables ``MALLOC_…`` or ``GLIBC_TUNABLES`` before
    the process starts. Where one is set, nothing is changed.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or no C library that can be asked
        return False
    map_threshold = -3  # M_MMAP_THRESHOLD of malloc.h
    trim_threshold = -1  # M_TRIM_THRESHOLD of malloc.h
    return bool(mallopt(map_threshold, 2**30) and mallopt(trim_threshold, 2**31 - 1))


@neutral
def environment(runtime: Runtime) -> dict:
    """Return where a result comes from, as plain JSON.

    Args:
        runtime: which computed it.

    Returns:
        Versions, machine, device, precision, threads, and the commit of this checkout (None
        outside one).
    """
    on_gpu = runtime.device != "cpu"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(runtime.device) if on_gpu else "cpu",
        "precision": runtime.precision,
        "compiled": runtime.compiled,
        "captured": runtime.captured,
        "threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    git = shutil.which("git")
    if git is None or not IN_CHECKOUT:  # the folder around a package may be another project's
        return None
    command = [git, "-C", str(PROJECT), "rev-parse", "--short", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return answer or None
