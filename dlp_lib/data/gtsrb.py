"""GTSRB (Stallkamp et al. 2012): German traffic signs in 43 classes, by torchvision's download."""

import csv
from pathlib import Path

from ..store import Store
from .decoding import decode, file_states
from .memory import check_memory
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
_FOLDERS = {"train": "Training", "test": "Final_Test/Images"}  # torchvision's
_IMAGES = 26_640 + 12_630  # for training and for testing
_ARCHIVES = "GTSRB-Training_fixed.zip, GTSRB_Final_Test_Images.zip and GTSRB_Final_Test_GT.zip"
_SOURCE = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"

Sample = tuple[Path, int]  # a file and its label


def load(root: Path, size: int, store: Store) -> tuple[Split, Split]:
    """Load the training and the test images; download them where they are not there.

    Images are 15 to 250 pixels large. Like those of a folder, each is cut to a centred square and
    resized. They are decoded once, as long as no file changes.

    Args:
        root: under which torchvision has its folder ``gtsrb``.
        size: pixels a side.
        store: where the decoded images are kept.

    Raises:
        ValueError: for a folder that a download left incomplete, for files that cannot be decoded,
            and for a size that takes more memory than there is.
        ConnectionError: where the images are not there and cannot be downloaded.
    """
    check_memory("gtsrb", _IMAGES, size)
    return _load_part("train", root, size, store), _load_part("test", root, size, store)


def _load_part(part: str, root: Path, size: int, store: Store) -> Split:
    home = root / "gtsrb"
    _download(part, root)
    samples = _training_samples(home) if part == "train" else _test_samples(home)
    files = [path for path, _ in samples]
    labels = [label for _, label in samples]
    states = file_states(files, home)
    return Split.from_arrays(decode(files, states, home, size, store), labels, CLASSES)


def _download(part: str, root: Path) -> None:
    from torchvision.datasets import GTSRB

    home = root / "gtsrb"
    if (home / "GTSRB" / _FOLDERS[part]).is_dir():
        return
    try:
        GTSRB(root, part, download=True)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"dataset='gtsrb': it is not in {home}, and could not be downloaded ({error}). "
            f"By hand: download {_ARCHIVES} from {_SOURCE}, and unpack them all in {home}"
        ) from None


def _training_samples(home: Path) -> list[Sample]:
    images = home / "GTSRB" / _FOLDERS["train"]
    files = sorted(images.glob("[0-9]*/*.ppm"))
    samples = [(path, int(path.parent.name)) for path in files]
    classes = len({label for _, label in samples})
    if classes != len(CLASSES):
        raise _incomplete(home, f"it holds {classes} of {len(CLASSES)} classes")
    return samples


def _test_samples(home: Path) -> list[Sample]:
    images = home / "GTSRB" / _FOLDERS["test"]
    try:
        text = (home / "GT-final_test.csv").read_text(encoding="ascii")
        rows = csv.DictReader(text.splitlines(), delimiter=";")
        samples = [(images / row["Filename"], int(row["ClassId"])) for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _incomplete(home, f"GT-final_test.csv cannot be read: {error!r}") from None
    if not samples:
        raise _incomplete(home, "GT-final_test.csv lists no image")
    return samples


def _incomplete(home: Path, reason: object) -> ValueError:
    return ValueError(f"{home} is incomplete: delete it, and load again ({reason})")
