"""Files: written as a whole or not at all, with errors that say what to do."""

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

USE = "DLP_LIB_NOTE_USE"  # an environment variable: the file in which ``note_use`` writes
TEMPORARY = ".tmp"  # how the name of a file ends that is being written
OLD = 60 * 60  # seconds; no write takes that long, so whoever wrote the file has been killed
_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_FOLDER = (errno.EEXIST, errno.ENOTDIR)
_tidied: set[Path] = set()  # folders in which this process has looked for leftovers


class CannotWrite(OSError):
    """A folder cannot be written: the disk is full, say. The text says what to do."""

    def __str__(self) -> str:
        return self.strerror


@contextlib.contextmanager
def explain_errors(folder: Path) -> Iterator[None]:
    """Turn what the system says of a write into a sentence with the folder and what to do.

    Raises:
        CannotWrite: where the block raises any OSError.
    """
    try:
        yield
    except CannotWrite:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        sentence = f"cannot write into {folder}: {reason}. {_remedy(error)}"
        raise CannotWrite(error.errno, sentence) from error


def _remedy(error: OSError) -> str:
    remedy = "Take another folder"
    if error.errno in _NO_ROOM:
        remedy = "Make room (python -m dlp_lib store shows what can go), or take another folder"
    if error.errno in _NOT_ALLOWED:
        remedy = "Take a folder that you may write, or a copy of the project that you own"
    if error.errno in _NO_FOLDER:
        remedy = "A file lies where a folder should be: take another folder"
    return f"{remedy}; then run it again to go on."


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync it and rename it.

    Whoever reads it sees all of it or none. A temporary file is removed where writing fails. What
    killed processes have left in the same folder is removed as well.

    Raises:
        CannotWrite: naming the folder and what to do.
    """
    with explain_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent not in _tidied:
            _tidied.add(path.parent)
            remove_leftovers(path.parent.glob(f"*{TEMPORARY}"))
        temporary = path.with_suffix(f".{uuid.uuid4().hex}{TEMPORARY}")
        try:
            _write(temporary, data)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    note_use("wrote", path)


def note_use(verb: str, path: Path) -> None:
    """Add a line on a file to the notes, where the environment names a file for them.

    So whoever starts a notebook learns which records it used, whichever process used them. Notes
    that cannot be written are left out: no work depends on them.

    Args:
        verb: "read" or "wrote".
        path: of the file that was used.
    """
    notes = os.environ.get(USE)
    if not notes:
        return
    with contextlib.suppress(OSError), Path(notes).open("a", encoding="utf-8") as file:
        file.write(f"{verb} {path.resolve()}\n")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def remove_leftovers(paths: Iterator[Path]) -> int:
    """Remove the temporary files among these that are old, and return how many bytes they held.

    Args:
        paths: of temporary files; a newer one may still be written, and stays.
    """
    removed = 0
    for path in paths:
        with contextlib.suppress(OSError):  # another process has removed it, or it is not ours
            facts = path.stat()
            if time.time() - facts.st_mtime > OLD:
                path.unlink()
                removed += facts.st_size
    return removed
