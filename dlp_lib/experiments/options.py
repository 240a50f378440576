"""Options of commands: each is checked before any work, in words that name it."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import yaml

from ..checking import check_seed, match_name
from ..data.datasets import DATASETS, expect_folder
from ..places import HOME
from ..runtime import PRECISIONS, Runtime

STORE = HOME / "build" / "store"  # where finished work is kept


def whole_number(least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers of at least ``least``."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r}: allowed are whole numbers ≥ {least}")
        return value

    return read


def seed(text: str) -> int:
    """Return a seed."""
    value = whole_number(0)(text)
    return _checked(lambda: check_seed("seed", value))


def number(text: str) -> float:
    """Return a number of 0 or more; it may be infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are numbers ≥ 0")
    return value


def device(text: str) -> str:
    """Return the name of a device that this machine has."""
    return _checked(lambda: Runtime(device=text) and text)


def precision(text: str) -> str:
    """Return the name of a precision."""
    return _checked(lambda: match_name("precision", text, PRECISIONS))


def dataset(text: str) -> str:
    """Return a name of ``data.DATASETS``, or a folder that there is."""
    if text not in DATASETS:
        folder = Path(text).expanduser()
        _checked(lambda: expect_folder(folder))
        return str(folder)
    return text


def folder(text: str) -> Path:
    """Return a folder that may still have to be made; "~" is the user's own."""
    path = Path(text).expanduser()
    for part in (path, *path.parents):
        if part.is_file():
            raise argparse.ArgumentTypeError(f"{text!r}: {part} is a file; allowed are folders")
    return path


def existing_folder(text: str) -> Path:
    """Return a folder that there is."""
    path = folder(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no such folder")
    return path


def add_store(parser: argparse.ArgumentParser, kind: Callable[[str], Path] = folder) -> None:
    """Give a parser the option ``--store``.

    Args:
        parser: of a command that reads or keeps finished work.
        kind: which folders are allowed.
    """
    parser.add_argument(
        "--store", type=kind, default=str(STORE), help="folder of finished work: %(default)s"
    )


def new_file(text: str) -> Path:
    """Return a file that is to be written, in a folder that there is."""
    path = Path(text).expanduser()
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: this is a folder; allowed are files")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: there is no folder {path.parent}")
    return path.absolute()


def yaml_file(text: str) -> object:
    """Return what a YAML file holds."""
    path = Path(text).expanduser()
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise argparse.ArgumentTypeError(f"{text!r}: {reason}; allowed are YAML files") from None
    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise argparse.ArgumentTypeError(f"{text!r}: this is not YAML: {reason}") from None


def _checked(check: Callable):
    """Return what a check returns; what it says is an error of the option."""
    try:
        return check()
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
