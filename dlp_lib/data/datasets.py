"""The data sets that ``load`` knows by name, and image folders."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch

from ..checking import check_int
from ..fingerprint import neutral
from ..places import HOME
from ..runtime import Runtime
from ..store import Store
from . import cifar10, folder, gtsrb, shapes10
from .memory import check_memory
from .split import Split


@dataclass(frozen=True)
class Request:
    """What a data set is asked for; None: all images, or the set's own size."""

    n_train: int | None
    n_test: int | None
    image_size: int | None
    data_seed: int
    store: Store  # where decoded images are kept


@neutral
def download_folder() -> Path:
    """Return where downloaded data sets go. What is computed from them does not depend on it."""
    return HOME / "data"


def _shapes10(request: Request) -> tuple[Split, Split]:
    size = request.image_size or 16
    n_train = request.n_train or 5000
    n_test = request.n_test or 2000
    check_memory("shapes10", n_train + n_test, size)
    train = shapes10.draw(n_train, size, request.data_seed, part=0)
    test = shapes10.draw(n_test, size, request.data_seed, part=1)
    return (Split.from_arrays(*train, shapes10.CLASSES), Split.from_arrays(*test, shapes10.CLASSES))


def _cifar10(request: Request) -> tuple[Split, Split]:
    if request.image_size not in (None, 32):
        raise ValueError(f"image_size={request.image_size}: cifar10 has 32")
    return cifar10.load(download_folder())


def _gtsrb(request: Request) -> tuple[Split, Split]:
    return gtsrb.load(download_folder(), request.image_size or 32, request.store)


# To add a data set, add a function of a Request, and a recipe (recipes.py).
DATASETS: dict[str, Callable[[Request], tuple[Split, Split]]] = {
    "shapes10": _shapes10,
    "cifar10": _cifar10,
    "gtsrb": _gtsrb,
}


def load(
    name: str | Path,
    n_train: int | None = None,
    n_test: int | None = None,
    image_size: int | None = None,
    data_seed: int = 0,
    store: Store | None = None,
) -> tuple[Split, Split]:
    """Load a training and a test set, on the CPU.

    Args:
        name: one of DATASETS, or a folder. "shapes10" is drawn: by default 5,000 and 2,000 images
            of 16×16. "cifar10" and "gtsrb" are downloaded into data/ on first use. A folder holds
            ``train/<class>/*`` and ``test/<class>/*`` (or val, valid, validation), or
            ``<class>/*`` alone, of which a fifth is for testing.
        n_train: how many random training images; None: all there are.
        n_test: how many random test images; None: all there are.
        image_size: pixels a side. The images of a folder and of "gtsrb" are cut to a centred square
            and resized to it. None: for a folder the median of the shorter sides of its training
            images; 32 for "gtsrb".
        data_seed: of drawn images, and of every random choice of images.
        store: where the decoded images of a folder and of "gtsrb" are kept.

    Raises:
        ValueError: for an unknown name, for a folder without a clear reading, for more images than
            there are, for files that cannot be decoded (naming them), and for images that take
            more memory than there is.
        FileNotFoundError: for a missing folder or part, and for a class without images.
        ConnectionError: for a data set that cannot be downloaded, with what to do by hand.
    """
    if not isinstance(name, (str, PathLike)) or not str(name):
        raise ValueError(f"name={name!r}: allowed are {', '.join(DATASETS)} and folders")
    check_int("data_seed", data_seed)
    for parameter, value in {
        "n_train": n_train,
        "n_test": n_test,
        "image_size": image_size,
    }.items():
        if value is not None:
            check_int(parameter, value, 1)
    store = store or Store()
    if name in DATASETS:
        request = Request(n_train, n_test, image_size, data_seed, store)
        train, test = DATASETS[name](request)
    else:
        path = Path(name).expanduser()
        expect_folder(path)
        train, test = folder.load(path, image_size, data_seed, store)
    return (
        _sample(train, n_train, data_seed, "n_train"),
        _sample(test, n_test, data_seed, "n_test"),
    )


def expect_folder(path: Path) -> None:
    """Check that a data set which no name stands for is a folder, and that its parts are clear.

    Raises:
        ValueError: for a single word, with the nearest name; for a file; for unclear parts.
        FileNotFoundError: for a longer path, and for a part that is missing.
    """
    if path.is_dir():
        folder.ImageFolder(path).parts()
        return
    if path.exists():
        raise ValueError(f"dataset={str(path)!r}: it is a file; allowed are folders (unpack it)")
    if len(path.parts) > 1:
        raise FileNotFoundError(f"dataset={str(path)!r}: there is no such folder")
    near = difflib.get_close_matches(str(path).casefold(), DATASETS, cutoff=0.4)
    names = ", ".join(repr(name) for name in DATASETS)
    hint = " or ".join(near) or "a folder"
    raise ValueError(f"dataset={str(path)!r}: allowed are {names}, a folder; did you mean {hint}?")


def _sample(split: Split, n: int | None, data_seed: int, parameter: str) -> Split:
    if n is not None and n > len(split):
        raise ValueError(f"{parameter}={n}: the data set has {len(split)}")
    order = torch.randperm(len(split), generator=Runtime(data_seed).generator(parameter))
    return split.subset(order[:n].sort().values)
