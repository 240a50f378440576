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
    parts = folder.parts()
    listings = [folder.listing(part) for part in parts]
    _expect_same_classes(root, parts, listings)
    _tell_of_skipped(folder)
    files = [path for listing in listings for path in listing.files]
    states = file_states(files, root)
    sides = sizes(files, states, root, store)
    n_train = len(listings[0].files)
    if size is None:
        size = int(sides[:n_train].amin(1).median())
    _tell_of_different_sizes(root, sides, size)
    check_memory(str(root), len(files), size)
    images = decode(files, states, root, size, store)
    # No copies, as there may not be memory for them.
    train = Split(images[:n_train], torch.tensor(listings[0].labels), listings[0].classes)
    if len(listings) == 1:
        return _split_at_random(train, data_seed)
    return train, Split(images[n_train:], torch.tensor(listings[1].labels), listings[1].classes)


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
            stacklevel=4,
        )


def _tell_of_different_sizes(root: Path, sides: Tensor, size: int) -> None:
    shorter = sides.amin(1)
    low = int(shorter.min())
    high = int(shorter.max())
    if high > _WIDE * low:
        warnings.warn(
            f"dataset={str(root)!r}: the shorter sides of the images have {low:,} to {high:,} "
            f"pixels; all images are resized to {size:,} × {size:,} (image_size)",
            stacklevel=4,
        )
