"""Image folders: one folder a class, decoded once and kept in the store."""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from ..runtime import Runtime
from ..store import Store
from .decoding import decode, file_states, sizes
from .layout import ImageFolder, Listing, list_names
from .memory import check_memory
from .split import Split

_WIDE = 4  # a warning comes where sizes differ by more than this factor


def load(root: Path, size: int | None, data_seed: int, store: Store) -> tuple[Split, Split]:
    """Load a training and a test set, or set a fifth of the images aside for testing.

    Args:
        root: an existing folder; ``ImageFolder`` says how it may be laid out.
        size: pixels a side; None: the median of the shorter sides of the training images.
        data_seed: of the split.
        store: where decoded images are kept.

    Raises:
        ValueError: where parts or classes are unclear, training and test set hold different
            classes, files cannot be decoded, or the images take more memory than there is.
        FileNotFoundError: where a part or a class is missing, or a class has no image.
    """
    folder = ImageFolder(root)
    parts = _read(folder, folder.parts(), size, None, store)
    if len(parts) == 1:
        return _split_at_random(parts[0], data_seed)
    train, test = parts
    return train, test


def load_training(root: Path, size: int | None, largest: int, store: Store) -> Split:
    """Load all images that a model is trained on; none is set aside, and no test set is needed.

    Args:
        root: an existing folder; ``ImageFolder`` says how it may be laid out.
        size: pixels a side; None: the median of the images' shorter sides, at most ``largest``.
        largest: pixels a side that the images are reduced to where no size is given.
        store: where decoded images are kept.

    Raises:
        ValueError: as ``load`` does.
        FileNotFoundError: where there is no training set, or a class has no image.
    """
    folder = ImageFolder(root)
    training, *_ = folder.parts(needs_test=False)
    return _read(folder, [training], size, largest, store)[0]


def _read(
    folder: ImageFolder, parts: list[Path], size: int | None, largest: int | None, store: Store
) -> list[Split]:
    """Return the images of each part, with the paths of their files in the folder."""
    root = folder.root
    listings = [folder.listing(part) for part in parts]
    _expect_same_classes(root, parts, listings)
    _tell_of_skipped(folder)
    files = [path for listing in listings for path in listing.files]
    states = file_states(files, root)
    sides = sizes(files, states, root, store)
    if size is None:
        n_train = len(listings[0].files)
        size = int(sides[:n_train].amin(1).median())
        size = size if largest is None else min(size, largest)
    _tell_of_different_sizes(root, sides, size)
    check_memory(str(root), len(files), size)
    images = decode(files, states, root, size, store)
    splits = []
    for listing, part in zip(listings, images.split([len(x.files) for x in listings]), strict=True):
        paths = tuple(path.relative_to(root).as_posix() for path in listing.files)
        # No copy, as there may not be memory for it
        splits.append(Split(part, torch.tensor(listing.labels), listing.classes, paths))
    return splits


def _split_at_random(both: Split, data_seed: int) -> tuple[Split, Split]:
    """Set a fifth aside at random for testing; both parts keep the order of the files."""
    order = torch.randperm(len(both), generator=Runtime(data_seed).generator("split"))
    n_test = max(1, len(both) // 5)
    train = both.subset(order[n_test:].sort().values)
    test = both.subset(order[:n_test].sort().values)
    return train, test


def _expect_same_classes(root: Path, parts: list[Path], listings: list[Listing]) -> None:
    odd = set(listings[0].classes) ^ set(listings[-1].classes)
    if odd:
        raise ValueError(
            f"dataset={str(root)!r}: {parts[0].name}/ and {parts[1].name}/ hold different classes "
            f"({list_names(sorted(odd))})"
        )


def _tell_of_skipped(folder: ImageFolder) -> None:
    names = sorted(path.relative_to(folder.root).as_posix() for path in folder.skipped)
    if names:
        shown = ", ".join(repr(name) for name in names[:3])
        warnings.warn(
            f"dataset={str(folder.root)!r}: skipped what belongs to no part or class "
            f"({len(names)}), such as {shown}",
            stacklevel=5,
        )


def _tell_of_different_sizes(root: Path, sides: Tensor, size: int) -> None:
    shorter = sides.amin(1)
    low = int(shorter.min())
    high = int(shorter.max())
    if high > _WIDE * low:
        warnings.warn(
            f"dataset={str(root)!r}: the shorter sides of the images have {low:,} to {high:,} "
            f"pixels; all images are resized to {size:,} × {size:,} (image_size)",
            stacklevel=5,
        )
