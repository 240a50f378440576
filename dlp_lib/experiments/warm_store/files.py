"""The files of a store that a pack may hold, and what must be true of them."""

import json
import platform
import re
from importlib.metadata import version
from pathlib import PurePosixPath

from ...defences import DLP
from ...fingerprint import fingerprint
from ...store import SUFFIX, parse_record
from ...training import train

KIND = "a pack of a store"  # what a pack says that it is
_KEY = "[0-9a-f]{32}"
_RUN = rf"[A-Za-z][A-Za-z0-9_.+-]{{0,60}}-{_KEY}"
# A single result; a block of a run, or what was measured of one; the record of a trial. The state
# of a run is not among them: only a longer run needs it.
_RECORD = re.compile(rf"{_RUN}(/(\d{{1,9}}|measured-{_KEY}))?\{SUFFIX}", re.ASCII)
_TRIAL = re.compile(rf"trials/[A-Za-z][A-Za-z0-9_.+-]{{0,200}}/{_KEY}\.json", re.ASCII)


def is_allowed(name: object) -> bool:
    """Tell whether a pack may hold a file of this name.

    Every allowed name stays inside the store's folder, on every system.

    Args:
        name: the path inside the store, with slashes.
    """
    if not isinstance(name, str):
        return False
    return bool(_RECORD.fullmatch(name) or _TRIAL.fullmatch(name))


def unit_of(name: str) -> str:
    """Return the run, the single result or the trial that a file belongs to.

    It is the name of its lock as well. Its files come from one machine, or they do not fit.
    """
    path = PurePosixPath(name)
    if path.parts[0] == "trials":
        return str(path.with_suffix(""))
    return path.parts[0].removesuffix(SUFFIX)


def check_content(name: str, data: bytes) -> None:
    """Check that a file is what its name says.

    Args:
        name: an allowed one.
        data: all bytes of the file.

    Raises:
        ValueError: where it is not.
    """
    try:
        if name.endswith(SUFFIX):
            parse_record(name.removesuffix(SUFFIX), data)
        elif not isinstance(json.loads(data), dict):
            raise ValueError("it is no record of a trial")
    except Exception as error:  # whatever damage does to a parser, the answer is the same
        raise ValueError(f"{name} is damaged: {error}") from None


def made_with() -> dict[str, str]:
    """Return what results depend on besides their settings: versions, and the library's code.

    A result is found only where all of these are the same as where it was computed.
    """
    major, minor, _ = platform.python_version_tuple()
    return {
        "Python": f"{major}.{minor}",
        "PyTorch": version("torch").partition("+")[0],
        "the code of dlp_lib": fingerprint(train, DLP),
    }


def differences(other: dict) -> list[str]:
    """Return a sentence for everything in which this machine differs from that of a pack.

    Args:
        other: what ``made_with`` returned there.
    """
    found = []
    for what, ours in made_with().items():
        theirs = other.get(what)
        if theirs == ours:
            continue
        if what.startswith("the code"):
            found.append(f"{what} is another one there")
        else:
            found.append(f"{what} is {theirs} there, and {ours} here")
    # Another Python or PyTorch changes the fingerprint of the code, too: it says nothing more
    return found[:-1] if len(found) > 1 else found
