"""Image files that nobody has checked: opened by format, limited in size, turned into RGB.

A file of an untrusted data set may be no file at all, a program, or a small file that unpacks to
gigabytes. Each of them ends in an error that says what it is.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy import ndarray

from .memory import Budget

# Others, such as EPS, would make Pillow start other programs, or are not for photographs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MOST_BYTES = 2**28  # of a file
MOST_PIXELS = 8192 * 6144  # of an image: a photograph of 50 megapixels
_COPIES = {"WEBP": 2}  # of the pixels, where decoding takes more memory than elsewhere
_MOST_SCANS = 32  # of a progressive JPEG, which has about ten; each takes a pass over all pixels
_ROWS = 256  # of an image that are scaled to 8 bits at a time
_TIFF_BITS = 258  # tags of TIFF
_TIFF_PHOTOMETRIC = 262
_TIFF_TILE_WIDTH = 322
_TIFF_TILE_LENGTH = 323
_TIFF_SAMPLE_FORMAT = 339
_ORIENTATION = 274  # a tag of EXIF
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


FILES = Budget(MOST_BYTES)  # that are open; some formats are read as a whole
PIXELS = Budget(MOST_PIXELS)  # that are decoded; waited for while a file is held


def state_of(path: Path) -> os.stat_result:
    """Return what the system knows of a file; read nothing.

    Raises:
        ValueError: for what is not a regular file, and for one that is too large.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None
    _check_state(facts)
    return facts


def _check_state(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        kind = _KINDS.get(stat.S_IFMT(facts.st_mode), "something else")
        raise ValueError(f"it is {kind}, and not a regular file")
    if facts.st_size > MOST_BYTES:
        raise ValueError(
            f"it has {facts.st_size / 1e6:,.0f} MB; allowed are {MOST_BYTES / 1e6:,.0f}"
        )


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height as the file's header gives them, in pixels; decode nothing.

    Raises:
        ValueError: for a file that is not an image of FORMATS, or too large.
    """
    with _opened(path) as image:
        return image.size


def decode(path: Path, finish: Callable[..., ndarray]) -> ndarray:
    """Decode a file, and return what a function makes of it.

    The pixels that threads decode at the same time are limited until ``finish`` returns. Of a file
    with several images the first is taken.

    Args:
        path: of the file.
        finish: a function of an upright RGB image of Pillow's.

    Raises:
        ValueError: for a file that cannot be decoded.
    """
    with _opened(path) as image, PIXELS.hold(_cost(image)):
        try:
            return finish(_to_rgb(_upright(image), image))
        finally:
            image.close()  # its pixels go before others may use the budget


@contextmanager
def _opened(path: Path) -> Iterator:
    """Open an image of Pillow's, and say of any error what is wrong with the file."""
    from PIL import Image, UnidentifiedImageError

    held = FILES.hold(state_of(path).st_size)
    try:
        with held, _open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
            _check_size(image)
            if image.format in ("JPEG", "MPO"):
                _check_scans(file)
            yield image
    except _Refused as error:
        raise ValueError(str(error)) from None
    except UnidentifiedImageError:
        raise ValueError(f"it is not an image that can be read ({', '.join(FORMATS)})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"it has far more than {MOST_PIXELS:,} pixels") from None
    except Exception as error:  # whatever damage does to a parser, the answer is the same
        raise ValueError(f"it cannot be decoded ({error})") from None


class _Refused(ValueError):
    """An image that could be decoded, and is not."""


def _open_regular(path: Path) -> BinaryIO:
    """Open a regular file; a pipe that has taken its place meanwhile would make ``open`` wait."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _check_state(os.fstat(file.fileno()))
    except ValueError as error:
        file.close()
        raise _Refused(str(error)) from None
    return file


def _cost(image) -> int:
    """Return how many pixels are decoded at once; a tile of a TIFF may be larger than the image."""
    tags = getattr(image, "tag_v2", {})
    tile = tags.get(_TIFF_TILE_WIDTH, 1) * tags.get(_TIFF_TILE_LENGTH, 1)
    return max(tile, image.width * image.height * _COPIES.get(image.format, 1))


def _check_size(image) -> None:
    cost = _cost(image)
    if cost <= MOST_PIXELS:
        return
    found = f"{image.width:,} × {image.height:,} pixels"
    if cost > image.width * image.height:
        found += f", and {cost:,} are held to decode it"
    raise _Refused(f"it has {found}; allowed are {MOST_PIXELS:,}")


def _check_scans(file: BinaryIO) -> None:
    """Refuse a JPEG of very many scans; its position in the file stays."""
    position = file.tell()
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(position)
    if scans > _MOST_SCANS:
        raise _Refused(f"it has {scans:,} scans; allowed are {_MOST_SCANS}")


def _upright(image):
    """Return the image as its EXIF data says that it is looked at."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    image.load()
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION))
    except Exception:  # damaged EXIF data say nothing; the pixels are not concerned
        turn = None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image, opened):
    """Return an image as RGB of 8 bits.

    Args:
        image: of Pillow's.
        opened: the one that was opened, which knows its format and its tags.
    """
    tags = getattr(opened, "tag_v2", {})
    if 2 in _as_tuple(tags.get(_TIFF_SAMPLE_FORMAT)):
        raise _Refused("its numbers have a sign; allowed are 8, 12 and 16 bits without one")
    if image.mode == "F":
        image = _scale(image, _from_fractions, tags)
    elif image.mode.startswith("I;16"):
        bits = _as_tuple(tags.get(_TIFF_BITS, 16))[0]
        image = _scale(image, lambda values: values >> (bits - 8), tags)
    elif image.mode == "I":
        if opened.format == "TIFF":
            raise _Refused("its numbers have 32 bits; allowed are 8, 12 and 16 bits")
        image = _scale(image, lambda values: values >> 8, tags)  # 16 bits of PNG or PPM
    image.info.pop("transparency", None)  # of a palette: Pillow would warn that it is lost
    return image if image.mode == "RGB" else image.convert("RGB")


def _as_tuple(value) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def _scale(image, to_8_bits: Callable[[ndarray], ndarray], tags):
    """Return an image of one channel with 8 bits, made a few rows at a time."""
    from PIL import Image

    width, height = image.size
    scaled = np.empty((height, width), np.uint8)
    for top in range(0, height, _ROWS):
        rows = slice(top, min(top + _ROWS, height))
        scaled[rows] = to_8_bits(np.asarray(image.crop((0, rows.start, width, rows.stop))))
    if tags.get(_TIFF_PHOTOMETRIC) == 0:  # white is 0; Pillow has inverted 8 bits already
        scaled = 255 - scaled
    return Image.fromarray(scaled)


def _from_fractions(values: ndarray) -> ndarray:
    low = values.min()
    high = values.max()
    if not (low >= 0 and high <= 1):
        raise _Refused(
            f"its floating-point numbers run from {low:g} to {high:g}; allowed are 0 to 1"
        )
    return np.rint(255 * values)
