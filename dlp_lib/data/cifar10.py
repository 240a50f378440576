"""CIFAR-10 (Krizhevsky 2009), from the binary archive of its authors."""

import tarfile
from pathlib import Path

import numpy as np

from .split import Split

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def load(root: Path) -> tuple[Split, Split]:
    """Read the archive under ``root``; download it where a verified one is not there.

    Raises:
        ConnectionError: where it is not there and cannot be downloaded, with what to do by hand.
    """
    archive = root / Path(URL).name
    _download(archive)
    files: dict[str, np.ndarray] = {}
    with tarfile.open(archive) as members:
        for member in members:
            if member.name.endswith(".bin"):
                content = members.extractfile(member).read()
                files[Path(member.name).stem] = np.frombuffer(content, np.uint8)
    return _split(files, "data_batch"), _split(files, "test_batch")


def _download(archive: Path) -> None:
    from torchvision.datasets.utils import download_url

    state = "is not there"
    if archive.exists():
        state = "has another checksum"
    try:
        download_url(URL, str(archive.parent), md5=MD5)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"dataset='cifar10': {archive} {state}, and could not be downloaded ({error}). "
            f"By hand: download {URL} (170 MB, MD5 {MD5}), and put it at {archive}, as it is"
        ) from None


def _split(files: dict[str, np.ndarray], prefix: str) -> Split:
    """Join the files whose names begin with ``prefix``.

    A row is one byte for the label, and 3·32·32 bytes for the pixels.
    """
    parts = [files[name] for name in sorted(files) if name.startswith(prefix)]
    rows = np.concatenate(parts).reshape(-1, 1 + 3 * 32 * 32)
    labels = rows[:, 0]
    images = rows[:, 1:].reshape(-1, 3, 32, 32)
    return Split.from_arrays(images, labels, CLASSES)
