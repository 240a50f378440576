"""GTSRB (Stallkamp et al. 2012): German traffic signs in 43 classes, by torchvision's download."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ..store import Store
from .folder import file_state, to_square
from .split import Split

# What the signs numbered 0 to 42 say.
CLASSES = (
    "speed limit 20",
    "speed limit 30",
    "speed limit 50",
    "speed limit 60",
    "speed limit 70",
    "speed limit 80",
    "end of speed limit 80",
    "speed limit 100",
    "speed limit 120",
    "no passing",
    "no passing for trucks",
    "right of way at the next crossing",
    "priority road",
    "yield",
    "stop",
    "no vehicles",
    "no trucks",
    "no entry",
    "general danger",
    "bend to the left",
    "bend to the right",
    "double bend",
    "bumpy road",
    "slippery road",
    "road narrows on the right",
    "road work",
    "traffic signals",
    "pedestrians",
    "children",
    "cyclists",
    "ice or snow",
    "wild animals",
    "end of all limits",
    "turn right ahead",
    "turn left ahead",
    "ahead only",
    "ahead or right",
    "ahead or left",
    "keep right",
    "keep left",
    "roundabout",
    "end of no passing",
    "end of no passing for trucks",
)
_FOLDERS = {"train": "Training", "test": "Final_Test"}  # torchvision's


def load(root: Path, size: int, store: Store) -> tuple[Split, Split]:
    """Load the training and the test images; download them where they are not there.

    Images are 15 to 250 pixels large. Like those of a folder, each is cut to a centred square and
    resized. They are decoded once, as long as no file changes.

    Args:
        root: under which torchvision has its folder ``gtsrb``.
        size: pixels a side.
        store: where the decoded images are kept.

    Raises:
        ValueError: for a folder that a download left incomplete.
    """
    return _load_part("train", root, size, store), _load_part("test", root, size, store)


def _load_part(part: str, root: Path, size: int, store: Store) -> Split:
    from torchvision.datasets import GTSRB

    def fit_to_size(image) -> ndarray:
        return to_square(image, size)

    home = root / "gtsrb"
    images = home / "GTSRB" / _FOLDERS[part]
    try:
        listing = GTSRB(root, part, transform=fit_to_size, download=True)
    except FileNotFoundError as error:  # of the list of the test images, which comes last
        raise ValueError(f"{home} is incomplete: delete it, and load again ({error})") from None
    classes = len(list(images.glob("[0-9]*/")))
    if part == "train" and classes != len(CLASSES):
        raise ValueError(f"{home} holds {classes} of 43 classes: delete it, and load again")

    def compute() -> dict[str, Tensor]:
        return _decode_all(listing)

    files = sorted([*images.rglob("*.ppm"), *home.glob("*.csv")])
    states = [file_state(path, home) for path in files]
    store, name = store.address("GTSRB", _decode_all, to_square, states, size)
    tensors = store.get_or_compute(name, compute)
    return Split.from_arrays(tensors["images"], tensors["labels"], CLASSES)


def _decode_all(listing) -> dict[str, Tensor]:
    """Return images (n, 3, size, size), uint8, and labels (n,) of a torchvision data set."""
    with ThreadPoolExecutor() as pool:  # decoding releases the GIL
        samples = list(pool.map(listing.__getitem__, range(len(listing))))
    images, labels = zip(*samples, strict=True)
    images = torch.from_numpy(np.stack(images))
    return {"images": images.permute(0, 3, 1, 2), "labels": torch.tensor(labels)}
