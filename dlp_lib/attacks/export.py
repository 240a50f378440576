"""Export: a tampered set as image files, for labs in which students must find the poison."""

import csv
import io
import shutil
import uuid
from pathlib import Path

import torch
from torch import Tensor

from ..data.split import Split
from ..files import write_atomically
from ..runtime import Runtime
from .poisoning import Truth

PARTS = ("train", "test")


def export(
    tampered: Split,
    folder: str | Path,
    truth: Truth | None = None,
    truth_file: str | Path | None = None,
    part: str = "train",
    shuffle: bool = True,
    seed: int = 0,
) -> tuple[str, ...]:
    """Write a set as ``folder/train/CLASS/NNNNN.png``, without loss.

    The numbers are places in one random order of the whole set, so that no name tells which image
    is poisoned. All files appear together, or none.

    Args:
        tampered: the set; each image lies in the folder of its label.
        folder: made where it is missing. It must not hold ``train`` yet.
        truth: about the set, from ``poison``; None: nothing is written of it.
        truth_file: a CSV file for the truth, outside ``folder``: file, label, true label, and
            whether the image is poisoned.
        part: "train", or "test" for the images by which a model is judged.
        shuffle: False: the numbers are those of the samples. Then they tell something: in a set
            that was loaded class by class, poisoned images stand where their true class does.
        seed: of the random order. Who knows it can undo the order, as can who knows the set.

    Returns:
        The path of every sample below ``folder``, in the order of the set.

    Raises:
        ValueError: before any work, for a class name that cannot name a folder, for a class
            without images, and for a truth without a file, or the reverse.
        FileExistsError: where ``folder`` holds this part, or where ``truth_file`` is there.
    """
    folder = Path(folder).expanduser()
    _expect_part(folder, part)
    _expect_classes(tampered)
    if truth_file is not None:
        truth_file = Path(truth_file).expanduser()
    _expect_truth(tampered, truth, truth_file, folder)
    paths = _paths(tampered, part, shuffle, seed)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        _write_images(tampered, paths, unfinished)
        if truth is not None:
            write_atomically(truth_file, _truth_table(tampered, truth, paths))
        (unfinished / part).rename(folder / part)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return paths


def _paths(split: Split, part: str, shuffle: bool, seed: int) -> tuple[str, ...]:
    """Return the path of every sample below the folder."""
    n = len(split)
    numbers = torch.arange(n)
    if shuffle:
        numbers = torch.randperm(n, generator=Runtime(seed).generator("export", part))
    digits = max(5, len(str(n - 1)))
    paths = []
    for label, number in zip(split.labels.tolist(), numbers.tolist(), strict=True):
        paths.append(f"{part}/{split.classes[label]}/{number:0{digits}d}.png")
    return tuple(paths)


def _write_images(split: Split, paths: tuple[str, ...], folder: Path) -> None:
    """Write all images in the order of their numbers, so that no time of a file tells more."""
    from PIL import Image

    for label in split.labels.unique().tolist():
        first = paths[split.labels.tolist().index(label)]
        (folder / first).parent.mkdir(parents=True)
    arrays = split.images.permute(0, 2, 3, 1).cpu().numpy()
    for row in sorted(range(len(split)), key=lambda row: Path(paths[row]).name):
        Image.fromarray(arrays[row]).save(folder / paths[row])


def _truth_table(tampered: Split, truth: Truth, paths: tuple[str, ...]) -> bytes:
    """Return the truth as CSV, in the order of the set."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "label", "true_label", "poisoned"])
    poisoned = truth.poisoned.tolist()
    true_labels = truth.labels.tolist()
    for row, label in enumerate(tampered.labels.tolist()):
        names = [tampered.classes[label], tampered.classes[true_labels[row]]]
        table.writerow([paths[row], *names, "yes" if poisoned[row] else "no"])
    return text.getvalue().encode()


def _expect_part(folder: Path, part: str) -> None:
    if part not in PARTS:
        raise ValueError(f"part={part!r}: allowed are 'train' and 'test'")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"folder={str(folder)!r}: a file of this name is there")
    if (folder / part).exists():
        raise FileExistsError(
            f"folder={str(folder)!r}: it holds {part} already; allowed is another folder"
        )


def _expect_classes(split: Split) -> None:
    counts: Tensor = split.labels.bincount(minlength=len(split.classes))
    names = [name.casefold() for name in split.classes]
    for name, count in zip(split.classes, counts.tolist(), strict=True):
        if not name or name.startswith(".") or any(sign in name for sign in "/\\\0"):
            raise ValueError(
                f"classes: {name!r} cannot name a folder; allowed are names without / and \\ that "
                "do not begin with a point"
            )
        if names.count(name.casefold()) > 1:
            raise ValueError(f"classes: {name!r} is there twice, if capitals do not count")
        if count == 0:
            raise ValueError(f"classes: {name!r} has no image, so that its folder would be lost")


def _expect_truth(
    tampered: Split, truth: Truth | None, truth_file: Path | None, folder: Path
) -> None:
    if (truth is None) != (truth_file is None):
        raise ValueError("truth, truth_file: allowed are both, or neither")
    if truth is None:
        return
    if len(truth.poisoned) != len(tampered):
        raise ValueError(
            f"truth: it is about {len(truth.poisoned)} images, and the set has {len(tampered)}"
        )
    if truth_file.exists():
        raise FileExistsError(f"truth_file={str(truth_file)!r}: it is there already")
    if truth_file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"truth_file={str(truth_file)!r}: it lies in the folder that students get; "
            "allowed are files elsewhere"
        )
