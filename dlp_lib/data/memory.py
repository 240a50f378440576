"""How much memory a data set takes, how much the machine has, and a limit for many threads."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..fingerprint import neutral

COPIES = 3  # of the images, while they are written to the store
_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@neutral
def check_memory(dataset: str, n: int, size: int) -> None:
    """Refuse a data set that the machine cannot hold, before any image is decoded or drawn.

    Args:
        dataset: as the caller wrote it.
        n: how many images it has.
        size: pixels a side.

    Raises:
        ValueError: with the memory that it takes, and the largest size that is allowed.
    """
    have = machine_memory()
    need = COPIES * 3 * n * size**2
    if have is None or need <= have:
        return
    largest = int((have / (COPIES * 3 * n)) ** 0.5)
    advice = "fewer images"
    if largest >= 1:
        advice = f"image_size up to {largest}"
    raise ValueError(
        f"dataset={dataset!r}: {n:,} images of {size:,} × {size:,} pixels take "
        f"{need / COPIES / 1e9:,.1f} GB of memory, and {COPIES} times as much while they are "
        f"loaded; this machine has {have / 1e9:,.1f} GB; allowed is {advice}"
    )


def machine_memory() -> int | None:
    """Return the bytes of memory of this machine or container; None where nothing says it."""
    sizes = []
    try:
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # on Windows
        sizes += _windows_memory()
    for path in _CONTAINER_LIMITS:
        try:
            sizes.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return min(sizes, default=None)


def _windows_memory() -> list[int]:
    """Return the bytes of memory of a machine with Windows, in a list; [] on other systems."""
    if not hasattr(ctypes, "windll"):
        return []
    kilobytes = ctypes.c_ulonglong(0)
    ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
    return [kilobytes.value * 1024] if kilobytes.value else []


@neutral
class Budget:
    """How many pixels or bytes all threads together may hold at the same time."""

    def __init__(self, amount: int):
        self._amount = amount
        self._free = amount
        self._since_trim = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Wait until so much is free, and hold it; never more than there is in all."""
        amount = min(amount, self._amount)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            self._give_back(amount)

    def _give_back(self, amount: int) -> None:
        with self._changed:
            self._since_trim += amount
            if self._since_trim > self._amount // 3:
                _trim_freed_memory()
                self._since_trim = 0
            self._free += amount
            self._changed.notify_all()


def _trim_freed_memory() -> None:
    """Tell glibc to return freed memory to the system; it keeps some for each thread."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # not glibc
        return
