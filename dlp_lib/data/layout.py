"""The layout of an image folder: its parts and classes, told by the names of its folders alone."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TRAINING = ("train", "training")
_TESTING = ("test", "testing", "val", "valid", "validation")  # the first that is there is taken
# Names such as "train2017", "TestImages" and "my_validation_set" look like parts, too.
_WORDS_OF_PARTS = re.compile(r"(train|test)(ing)?|val(id(ation)?)?|eval(uation)?|dev|holdout")
_FURTHER_WORDS = re.compile(r"(set|data|images?|imgs?|split)$")
# What other programs leave behind. Names that begin with a dot are left out as well.
_JUNK = {
    "$recycle.bin",
    "@eadir",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "ehthumbs.db",
    "lost+found",
    "system volume information",
    "thumbs.db",
}


@dataclass(frozen=True)
class Listing:
    """The image files of a folder that holds one folder a class."""

    classes: tuple[str, ...]
    files: tuple[Path, ...]  # class after class, sorted by name
    labels: tuple[int, ...]  # of each file


class ImageFolder:
    """A folder that a data set is read from.

    Args:
        root: an existing folder.

    Attributes:
        skipped: what was found and belongs to no data set, or not to this one.
    """

    def __init__(self, root: Path):
        self.root = root
        self.skipped: set[Path] = set()

    def parts(self, needs_test: bool = True) -> list[Path]:
        """Return the folder of the training set, then that of the test set if there is one.

        A single folder around all others is stepped into.

        Args:
            needs_test: whether a training set in a folder of its own must have a test set.

        Raises:
            ValueError: where names look like parts of a data set, and it is not clear which.
            FileNotFoundError: where the training or the test set is missing.
        """
        around = self.root
        while (inner := self._only_folder(around)) and not _is_part(inner):
            around = inner
        folders, beside = self._entries(around)
        if not self._has_parts(folders):
            return [around]
        self._refuse_unclear_parts(folders)
        self.skipped.update(beside)
        training = _first_of(folders, _TRAINING)
        testing = _first_of(folders, _TESTING)
        if training is None:
            raise FileNotFoundError(
                f"{self._subject} it holds {_names(folders)} but no folder 'train': add it"
            )
        if testing is None and not needs_test:
            self.skipped.update(set(folders) - {training})
            return [training]
        if testing is None:
            raise FileNotFoundError(
                f"{self._subject} it holds {training.name!r} but no folder 'test', 'val', 'valid' "
                f"or 'validation': add one, or give {str(training)!r}, of which a fifth is for "
                "testing"
            )
        self.skipped.update(set(folders) - {training, testing})
        return [training, testing]

    def listing(self, part: Path) -> Listing:
        """Return the files of a part, which holds one folder a class.

        Classes are sorted by name, or by number if all their names are numbers.

        Raises:
            ValueError: for one class alone, and for folders inside that of a class.
            FileNotFoundError: where there is no class, or a class has no file.
        """
        while inner := self._only_folder(part):
            part = inner
        folders, beside = self._entries(part)
        self._refuse_too_few_classes(part, folders, beside)
        self.skipped.update(beside)
        files: list[Path] = []
        labels: list[int] = []
        empty: list[Path] = []
        folders = _sort_classes(folders)
        for label, folder in enumerate(folders):
            inside, images = self._entries(folder)
            if inside:
                raise ValueError(
                    f"{self._subject} class {folder.name!r} holds folders ({_names(inside)}); "
                    "allowed are images alone: one folder a class, and none inside it"
                )
            if not images:
                empty.append(folder)
            files += images
            labels += [label] * len(images)
        if empty:
            raise FileNotFoundError(f"{self._subject} no image is in the folders {_names(empty)}")
        names = tuple(folder.name for folder in folders)
        return Listing(names, tuple(files), tuple(labels))

    @property
    def _subject(self) -> str:
        return f"dataset={str(self.root)!r}:"

    def _entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the folders and the files in a folder, sorted; what is skipped is noted."""
        folders: list[Path] = []
        files: list[Path] = []
        with os.scandir(folder) as found:  # which knows most folders without asking the disk again
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith(".") or entry.name.casefold() in _JUNK:
                self.skipped.add(path)
            elif _is_folder(entry):
                folders.append(path)
            else:
                files.append(path)
        return folders, files

    def _only_folder(self, folder: Path) -> Path | None:
        """Return the one folder in a folder, if it holds further folders."""
        folders, files = self._entries(folder)
        if len(folders) != 1 or not self._entries(folders[0])[0]:
            return None
        self.skipped.update(files)
        return folders[0]

    def _has_parts(self, folders: list[Path]) -> bool:
        """Tell parts from classes: a class of trains may be called "train".

        Parts hold folders, or there is one for training and one for testing, or nothing else.
        """
        similar = [folder for folder in folders if _looks_like_part(folder)]
        if any(self._entries(folder)[0] for folder in similar):
            return True
        for_training = [folder for folder in similar if "train" in folder.name.casefold()]
        if for_training and len(for_training) < len(similar):
            return True
        return bool(folders) and all(_is_part(folder) for folder in folders)

    def _refuse_unclear_parts(self, folders: list[Path]) -> None:
        others = [folder for folder in folders if not _is_part(folder)]
        if others:
            raise ValueError(
                f"{self._subject} it is not clear what is a part of the data set and what a class: "
                f"{_names(folders)}; allowed are 'train' and one of 'test', 'val', 'valid' and "
                "'validation', with nothing beside them, or classes alone"
            )
        words = [folder.name.casefold() for folder in folders]
        if len(set(words)) < len(words) or set(_TRAINING) <= set(words):
            raise ValueError(
                f"{self._subject} two folders have the name of one part: {_names(folders)}"
            )

    def _refuse_too_few_classes(self, part: Path, folders: list[Path], files: list[Path]) -> None:
        if len(folders) > 1:
            return
        where = "it"
        if part != self.root:
            where = repr(part.relative_to(self.root).as_posix())
        if not folders:
            raise FileNotFoundError(
                f"{self._subject} {where} holds {len(files)} files and no folder; every class "
                "needs a folder with its images"
            )
        raise ValueError(
            f"{self._subject} {where} holds one class ({folders[0].name!r}); allowed are two or "
            "more, each in a folder of its own"
        )


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # of a link that leads in a circle
        return False


def _is_part(folder: Path) -> bool:
    return folder.name.casefold() in _TRAINING + _TESTING


def _looks_like_part(folder: Path) -> bool:
    """Return whether a word of the name is one for a part of a data set."""
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", folder.name):
        word = _FURTHER_WORDS.sub("", word.casefold())
        if _WORDS_OF_PARTS.fullmatch(word):
            return True
    return False


def _first_of(folders: list[Path], names: tuple[str, ...]) -> Path | None:
    by_name = {folder.name.casefold(): folder for folder in folders}
    for name in names:
        if name in by_name:
            return by_name[name]
    return None


def _sort_classes(folders: list[Path]) -> list[Path]:
    """Sort by name, or by number if all names are numbers: 2 comes before 10."""
    if all(folder.name.isdecimal() for folder in folders):
        return sorted(folders, key=lambda folder: (int(folder.name), folder.name))
    return folders


def _names(folders: Iterable[Path]) -> str:
    return list_names([folder.name for folder in folders])


def list_names(names: Sequence[str]) -> str:
    """Return up to ten names for an error; ``repr`` shows what a terminal would obey."""
    shown = ", ".join(repr(name) for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
