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
from dataclasses import dataclass
from pathlib import Path

import torch

PRECISIONS = ("float32", "bfloat16")
_GLOBAL_STREAM = threading.RLock()
SOURCE = __loader__.get_source(__name__)  # of the code as it was loaded: part of every stored stage's key
_CHECKOUT = Path(__file__).resolve().parents[1]  # data and outputs go there, wherever a notebook was started from
HOME = _CHECKOUT if (_CHECKOUT / "notebooks").is_dir() else Path.cwd()


@dataclass(frozen=True)
class Runtime:
    """Device, precision and seed of a run; the only source of random numbers. ValueError for what it cannot take.

    Every purpose has a stream of its own: a draw in one place never shifts another's, nor does an interruption.
    """

    seed: int = 0
    device: str = "cpu"  # "auto" takes the GPU where there is one
    precision: str = "float32"  # of training steps; "bfloat16" is autocast's. Scores are float32 in any case
    compiled: bool = False  # the model in DLP's steps by torch.compile (with a C++ compiler), on a GPU as CUDA graphs

    def __post_init__(self):
        whole("seed", self.seed)
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r}: allowed are {', '.join(map(repr, PRECISIONS))}")
        if self.device == "auto":
            object.__setattr__(self, "device", "cuda" if torch.cuda.is_available() else "cpu")
        if self.device != "cpu" and not (str(self.device).startswith("cuda") and torch.cuda.is_available()):
            raise ValueError(f"device={self.device!r}: allowed are 'cpu', 'auto' and, where there is a GPU, 'cuda'")

    def autocast(self) -> torch.autocast:
        """In which a training step computes its loss."""
        reduced = self.precision != "float32"
        return torch.autocast(torch.device(self.device).type, getattr(torch, self.precision), enabled=reduced)

    def generator(self, *purpose) -> torch.Generator:
        """The CPU random stream of a purpose, such as ``generator("SL", "order", 3)``."""
        digest = hashlib.sha256(repr((self.seed, *purpose)).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))  # it would ignore a fifth byte

    @contextlib.contextmanager
    def global_stream(self, *purpose):
        """Seed torch's global stream inside the block, for code that takes no generator (init, dropout).

        All threads of a process have that one stream: they take turns.
        """
        with _GLOBAL_STREAM, torch.random.fork_rng([self.device] if "cuda" in self.device else []):
            torch.manual_seed(self.generator(*purpose).initial_seed())
            yield


@functools.cache
def keep_freed_memory() -> bool:
    """Whether glibc could be told to keep large blocks that are freed, as the next step needs the same ones again.

    By default it hands those above 32 MiB back to the system, which clears every page before it lends it anew: a sixth
    of the time of a FixMatch step at 32 pixels. This holds for the whole process; where the environment variables of
    glibc's malloc already say something, that stands.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or not even a C library to ask
        return False
    map_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
    return bool(tell(map_threshold, 2**30) and tell(trim_threshold, 2**31 - 1))


def whole(name: str, value, least: int = 0) -> int:
    """``value`` if it is a whole number ≥ ``least``; ValueError naming the parameter otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value!r}: allowed are whole numbers (int) ≥ {least}")
    return value


def fraction(name: str, value) -> float:
    """``value`` if it lies strictly between 0 and 1; ValueError naming the parameter otherwise."""
    if not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ValueError(f"{name}={value!r}: allowed are fractions between 0 and 1, both excluded")
    return float(value)


def environment(runtime: Runtime) -> dict:
    """Provenance of a result: versions, machine, threads and the commit of this checkout (None outside one)."""
    ask = [shutil.which("git"), "-C", str(HOME), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(ask, capture_output=True, text=True).stdout.strip() or None if ask[0] else None
    machine = {"python": platform.python_version(), "torch": torch.__version__, "platform": platform.platform()}
    device = torch.cuda.get_device_name() if "cuda" in runtime.device else "cpu"
    how = {"device": device, "precision": runtime.precision, "compiled": runtime.compiled}
    return machine | how | {"threads": torch.get_num_threads(), "commit": commit}
