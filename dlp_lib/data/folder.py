"""Image folders: one folder a class, decoded once and kept in the store."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..runtime import Runtime
from ..store import Store
from .split import Split


def load(root: Path, size: int | None, data_seed: int, store: Store) -> tuple[Split, Split]:
    """Load ``root/train`` and ``root/test``, or set a fifth of ``root`` aside for testing.

    Args:
        root: an existing folder.
        size: pixels a side; None: the shorter side of the first image.
        data_seed: of the split.
        store: where decoded images are kept.

    Raises:
        ValueError: where train and test hold different classes, or a file cannot be decoded.
        FileNotFoundError: where there is no class, or a class has no image.
    """
    if not ((root / "train").is_dir() and (root / "test").is_dir()):
        return _split_at_random(decode(root, size, store), data_seed)
    train = _inside("train", decode(root / "train", size, store))
    test = _inside("test", decode(root / "test", train.images.shape[-1], store))
    if train.classes != test.classes:
        odd = ", ".join(sorted(set(train.classes) ^ set(test.classes)))
        raise ValueError(f"dataset={str(root)!r}: train/ and test/ hold different classes ({odd})")
    return train, test


def load_training(root: Path, size: int | None, largest: int, store: Store) -> Split:
    """Load all images that a model is trained on; none is set aside.

    Args:
        root: an existing folder, with ``train/<class>/*`` or ``<class>/*``.
        size: pixels a side; None: the shorter side of the first image, at most ``largest``.
        largest: pixels a side that the images are reduced to where no size is given.
        store: where decoded images are kept.

    Raises:
        ValueError: where a file cannot be decoded.
        FileNotFoundError: where there is no class, or a class has no image.
    """
    folders = {path.name for path in root.iterdir() if path.is_dir() and _is_visible(path)}
    if "train" in folders and folders <= {"train", "test"}:
        return _inside("train", decode(root / "train", size, store, largest))
    return decode(root, size, store, largest)


def _inside(part: str, split: Split) -> Split:
    """Return the set with paths that begin with the name of its folder."""
    return replace(split, paths=tuple(f"{part}/{path}" for path in split.paths))


def _split_at_random(both: Split, data_seed: int) -> tuple[Split, Split]:
    """Set a fifth aside at random for testing; both parts keep the order of the files."""
    order = torch.randperm(len(both), generator=Runtime(data_seed).generator("split"))
    n_test = max(1, len(both) // 5)
    train = both.subset(order[n_test:].sort().values)
    test = both.subset(order[:n_test].sort().values)
    return train, test


def decode(root: Path, size: int | None, store: Store, largest: int | None = None) -> Split:
    """Return the folder's images as one set, decoded once as long as no file changes."""
    from torchvision.datasets import ImageFolder

    listing = ImageFolder(root, is_valid_file=_is_visible)
    files = [Path(path) for path, _ in listing.samples]
    if size is None:
        size = min(read_image(files[0]).size)
        size = size if largest is None else min(size, largest)

    def compute() -> dict[str, Tensor]:
        return {"images": _decode_all(files, size)}

    states = [file_state(path, root) for path in files]
    place = (str(root.resolve()), states, size)
    store, name = store.address("images", _decode_all, *place)
    images = store.get_or_compute(name, compute)["images"]
    both = Split.from_arrays(images, listing.targets, tuple(listing.classes))
    return replace(both, paths=tuple(name for name, _, _ in states))


def _is_visible(path: str | Path) -> bool:
    return not Path(path).name.startswith(".")


def file_state(path: Path, root: Path) -> tuple[str, int, int]:
    """Return what changes when a file does: its name, its size and the time of its last change."""
    facts = path.stat()
    return path.relative_to(root).as_posix(), facts.st_size, facts.st_mtime_ns


def _decode_all(files: list[Path], size: int) -> Tensor:
    """Return images (n, 3, size, size), uint8, each cut to a centred square and resized."""

    def decode_one(path: Path) -> np.ndarray:
        return to_square(read_image(path), size)

    with ThreadPoolExecutor() as pool:  # decoding releases the GIL
        images = list(pool.map(decode_one, files))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def to_square(image, size: int) -> np.ndarray:
    """Cut an image of Pillow's to a centred square, and resize it: (size, size, 3) uint8."""
    from PIL import ImageOps

    return np.array(ImageOps.fit(image, (size, size)))


def read_image(path: Path):
    """Return a file as an upright RGB image of Pillow's.

    Raises:
        ValueError: naming the file, where it cannot be decoded.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not an image that can be decoded ({error})") from None
