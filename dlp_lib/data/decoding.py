"""Many image files: decoded by several threads into one tensor, once as long as none changes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..store import Store
from . import image_file

MOST_NAMED = 10  # files in one error

FileState = tuple[str, int, int]


def file_states(files: Sequence[Path], root: Path) -> list[FileState]:
    """Return what changes when a file does: its name, its size and the time of its last change.

    Args:
        files: to look at; nothing of them is read.
        root: the folder that holds them all. Names are relative to it.

    Raises:
        ValueError: naming files that are not regular, or too large.
    """

    def state(path: Path) -> FileState:
        facts = image_file.state_of(path)
        return path.relative_to(root).as_posix(), facts.st_size, facts.st_mtime_ns

    return read_all(state, files, root)


def sizes(files: Sequence[Path], states: list[FileState], root: Path, store: Store) -> Tensor:
    """Return width and height of images in pixels, (n, 2), from the files' headers.

    Raises:
        ValueError: naming files that are not images.
    """

    def compute() -> dict[str, Tensor]:
        return {"sizes": torch.tensor(read_all(image_file.size_of, files, root))}

    store, name = store.address("sizes", image_file.size_of, str(root.resolve()), states)
    return store.get_or_compute(name, compute)["sizes"]


def decode(
    files: Sequence[Path], states: list[FileState], root: Path, size: int, store: Store
) -> Tensor:
    """Return images (n, 3, size, size), uint8, each cut to a centred square and resized.

    Args:
        files: image files.
        states: of the files, by ``file_states``.
        root: the folder that holds them all.
        size: pixels a side.
        store: where decoded images are kept.

    Raises:
        ValueError: naming files that cannot be decoded.
    """

    def compute() -> dict[str, Tensor]:
        return {"images": _decode_all(files, root, size)}

    place = (str(root.resolve()), states, size)
    store, name = store.address("images", _decode_all, *place)
    return store.get_or_compute(name, compute)["images"]


def _decode_all(files: Sequence[Path], root: Path, size: int) -> Tensor:
    images = np.empty((len(files), 3, size, size), np.uint8)
    rows = dict(zip(files, images, strict=True))

    def decode_one(path: Path) -> None:
        square = image_file.decode(path, lambda image: to_square(image, size))
        rows[path][:] = square.transpose(2, 0, 1)

    read_all(decode_one, files, root)
    return torch.from_numpy(images)


def read_all(read: Callable[[Path], object], files: Sequence[Path], root: Path) -> list:
    """Return what a function makes of each file, read by several threads.

    Args:
        read: a function of one file; a ValueError says what is wrong with the file.
        files: to read.
        root: the folder that holds them all.

    Raises:
        ValueError: naming the files that are wrong, up to ten of them.
    """
    problems: list[str] = []

    def attempt(path: Path) -> object:
        if len(problems) >= MOST_NAMED:
            return None
        try:
            return read(path)
        except ValueError as error:
            problems.append(f"{path.relative_to(root).as_posix()!r}: {error}")
            return None

    with ThreadPoolExecutor() as pool:  # decoding releases the GIL
        results = list(pool.map(attempt, files))
    if problems:
        raise ValueError(_list_problems(problems, root))
    return results


def _list_problems(problems: list[str], root: Path) -> str:
    count = f"{len(problems)} of its files cannot be taken"
    if len(problems) >= MOST_NAMED:
        count = f"{MOST_NAMED} or more of its files cannot be taken"
    elif len(problems) == 1:
        count = "one of its files cannot be taken"
    listed = "\n  ".join(sorted(problems)[:MOST_NAMED])
    return f"dataset={str(root)!r}: {count}; repair or remove what is named here\n  {listed}"


def to_square(image, size: int) -> np.ndarray:
    """Cut an image of Pillow's to a centred square, and resize it: (size, size, 3) uint8."""
    from PIL import ImageOps

    return np.array(ImageOps.fit(image, (size, size)))
