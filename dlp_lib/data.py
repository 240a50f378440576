"""Data sets as tensors: uint8 images and labels that live on the device from the start."""

import difflib
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import shapes10
from .runtime import HOME, Runtime, whole
from .store import Store, digest

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, eq=False)
class Split:
    """A set of labelled images; neither labels nor images need be trustworthy. ValueError for what does not fit."""

    images: Tensor  # (n, 3, h, w) uint8
    labels: Tensor  # (n,) int64
    classes: tuple[str, ...]

    def __post_init__(self):
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or 0 in shape:
            raise ValueError(
                f"images: {self.images.dtype} of shape {shape}; allowed is uint8 (n, 3, h, w), none of them 0"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != shape[:1]:
            given = f"{self.labels.dtype} of shape {tuple(self.labels.shape)}"
            raise ValueError(f"labels: {given}; allowed are whole numbers, one for each of {shape[0]} images")
        low, high = self.labels.min().item(), self.labels.max().item()
        if low < 0 or high >= len(self.classes):
            raise ValueError(f"labels: from {low} to {high}; allowed are 0 to {len(self.classes) - 1}")

    @classmethod
    def from_arrays(cls, images, labels, classes: tuple[str, ...] | None = None) -> "Split":
        """From NumPy arrays or tensors: uint8 images, NCHW or NHWC, whole-number labels; classes are named 0, 1, …"""
        images, labels = torch.as_tensor(images), torch.as_tensor(labels)
        if images.ndim == 4 and images.shape[1] != 3 and images.shape[3] == 3:
            images = images.permute(0, 3, 1, 2)
        labels = labels if labels.dtype.is_floating_point else labels.long()
        if classes is None:
            classes = map(str, range(int(labels.max()) + 1 if labels.numel() else 0))
        return cls(images.contiguous(), labels, tuple(classes))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """The content's hash: part of the key of everything computed from it."""
        return digest(self.images, self.labels, self.classes)

    def to(self, device: str | torch.device) -> "Split":
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    def subset(self, rows: Tensor | slice) -> "Split":
        """The samples of these indices, of a mask or of a slice."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])


def load(
    name: str | Path,
    n_train: int | None = None,
    n_test: int | None = None,
    image_size: int | None = None,
    data_seed: int = 0,
    store: Store | None = None,
) -> tuple[Split, Split]:
    """Training and test set, of n_train and n_test random images (None: all there are), on the CPU.

    ``name`` is "shapes10" (drawn; 5,000 and 2,000 images of 16×16 by default), "cifar10" (downloaded into data/ on
    first use) or a folder: ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` alone, of which a fifth is for
    testing. A folder's images are cut to a centred square, resized to ``image_size`` (None: the first one's shorter
    side) and kept decoded in ``store``. Raises ValueError for an unknown name, more images than there are or a file
    that cannot be decoded (naming it), FileNotFoundError for a missing folder or a class without images.
    """
    whole("data_seed", data_seed)
    for parameter, value in (("n_train", n_train), ("n_test", n_test), ("image_size", image_size)):
        whole(parameter, 1 if value is None else value, 1)
    if name == "shapes10":
        counts = enumerate((n_train or 5000, n_test or 2000))
        drawn = (shapes10.draw(n, image_size or 16, data_seed, part) for part, n in counts)
        train, test = (Split.from_arrays(*arrays, shapes10.CLASSES) for arrays in drawn)
    elif name == "cifar10":
        if image_size not in (None, 32):
            raise ValueError(f"image_size={image_size}: cifar10 has 32")
        train, test = _cifar10(HOME / "data")
    else:
        train, test = _folder(Path(name).expanduser(), image_size, data_seed, store or Store())
    return _sample(train, n_train, data_seed, "n_train"), _sample(test, n_test, data_seed, "n_test")


def imbalanced(split: Split, factor: float) -> Split:
    """Each class a fixed share smaller than the one after it, so that the first holds 1/``factor`` of the last.

    Of a class the first samples stay. ValueError for a factor below 1, or one that leaves a class without samples.
    """
    if not 1 <= factor < float("inf"):
        raise ValueError(f"factor={factor}: allowed are numbers of 1 and more")
    kept, steps = torch.zeros(len(split), dtype=torch.bool), max(1, len(split.classes) - 1)
    for label, name in enumerate(split.classes):
        members = (split.labels == label).nonzero()[:, 0]
        count = int(len(members) * factor ** (label / steps - 1))
        if not count:
            raise ValueError(f"factor={factor} leaves no sample of class {name!r}, which has {len(members)}")
        kept[members[:count]] = True
    return split.subset(kept.to(split.images.device))


def _sample(split: Split, n: int | None, data_seed: int, parameter: str) -> Split:
    if n is not None and n > len(split):
        raise ValueError(f"{parameter}={n}: the data set has {len(split)}")
    return split.subset(torch.randperm(len(split), generator=Runtime(data_seed).generator(parameter))[:n].sort().values)


def _cifar10(root: Path) -> tuple[Split, Split]:
    from torchvision.datasets.utils import download_url

    download_url(CIFAR10_URL, str(root), md5=CIFAR10_MD5)  # nothing to do where the verified file is there
    with tarfile.open(root / Path(CIFAR10_URL).name) as archive:
        members = [member for member in archive if member.name.endswith(".bin")]
        files = {Path(m.name).stem: np.frombuffer(archive.extractfile(m).read(), np.uint8) for m in members}

    def split(prefix: str) -> Split:
        rows = np.concatenate([files[name] for name in sorted(files) if name.startswith(prefix)]).reshape(-1, 3073)
        return Split.from_arrays(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0], CIFAR10_CLASSES)

    return split("data_batch"), split("test_batch")


def _folder(folder: Path, size: int | None, data_seed: int, store: Store) -> tuple[Split, Split]:
    if not folder.is_dir():
        if len(folder.parts) > 1:
            raise FileNotFoundError(f"dataset={str(folder)!r}: there is no such folder")
        near = " or ".join(difflib.get_close_matches(str(folder), ["shapes10", "cifar10"], cutoff=0.4)) or "a folder"
        raise ValueError(f"dataset={str(folder)!r}: allowed are 'shapes10', 'cifar10', a folder; did you mean {near}?")
    if not ((folder / "train").is_dir() and (folder / "test").is_dir()):
        both = _decoded(folder, size, store)
        order = torch.randperm(len(both), generator=Runtime(data_seed).generator("split"))
        test, train = order.tensor_split([max(1, len(both) // 5)])
        return both.subset(train.sort().values), both.subset(test.sort().values)
    train = _decoded(folder / "train", size, store)
    test = _decoded(folder / "test", train.images.shape[-1], store)
    if train.classes != test.classes:
        odd = ", ".join(sorted(set(train.classes) ^ set(test.classes)))
        raise ValueError(f"dataset={str(folder)!r}: train/ and test/ hold different classes ({odd})")
    return train, test


def _decoded(folder: Path, size: int | None, store: Store) -> Split:
    """The folder's images as one tensor, decoded once as long as no file changes."""
    from PIL import ImageOps
    from torchvision.datasets import ImageFolder

    # Takes every file that is not hidden; FileNotFoundError where there is no class, or a class has no image.
    listing = ImageFolder(folder, is_valid_file=lambda path: not Path(path).name.startswith("."))
    files = [Path(path) for path, _ in listing.samples]
    size = size or min(_image(files[0]).size)
    state = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    name = f"images-{digest(str(folder.resolve()), state, size)}"

    def decode() -> dict[str, Tensor]:
        with ThreadPoolExecutor() as pool:  # decoding releases the GIL
            images = list(pool.map(lambda path: np.asarray(ImageOps.fit(_image(path), (size, size))), files))
        return {"images": torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)}

    return Split.from_arrays(store.once(name, decode)["images"], listing.targets, tuple(listing.classes))


def _image(path: Path):
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not an image that can be decoded ({error})") from None
