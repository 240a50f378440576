"""What all checks of an installation share. It needs nothing but Python itself."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1]
# Run as a file: an import from dlp_lib needs torch.
_PLACES = runpy.run_path(str(PACKAGE / "places.py"))
IN_CHECKOUT = _PLACES["IN_CHECKOUT"]
PROJECT = _PLACES["PROJECT"]
HOME = _PLACES["HOME"]
PYTHON = subprocess.list2cmdline([sys.executable])
PIP = f"{PYTHON} -m pip install"
IN_VIRTUAL_ENVIRONMENT = sys.prefix != sys.base_prefix
REINSTALL = f"Install the wheel of dlp_lib again: {PIP} --force-reinstall --no-deps FILE.whl"
_SECONDS_FOR_A_PROGRAM = 300
_ERROR_LINE = re.compile(r"[\w.]+(Error|Exception)\b")


def how_to_install() -> str:
    """Return what brings the packages that are missing."""
    if not IN_CHECKOUT:
        return f'{PIP} "dlp_lib[lab,cluster]"'
    if IN_VIRTUAL_ENVIRONMENT:
        return f'{PIP} -e "{HOME}[lab,cluster]"'
    return "make lab, or as in docs/INSTALL.md"


INSTALL = how_to_install()


def how_to_restore(folder: str) -> str:
    """Return what brings damaged files of this project back; the folder is one of its own."""
    return f"git checkout -- {folder}" if IN_CHECKOUT else REINSTALL


class Finding(NamedTuple):
    """What a check has found."""

    level: str  # "ok"; "warning": it works, though not as well as it could; "problem"
    found: str
    remedy: str = ""  # what to do about it


class Outcome(NamedTuple):
    """How a program ended."""

    works: bool  # whether its exit status was 0
    text: str  # the line of its output that says most


def run(*command: str) -> Outcome:
    """Run a program where notebooks run, and return how it ended."""
    folder = HOME / "notebooks" if IN_CHECKOUT else HOME
    try:
        process = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},  # names of folders hold any sign
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS_FOR_A_PROGRAM,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Outcome(False, str(error))
    if process.returncode == 0:
        return Outcome(True, _telling_line(process.stdout))
    output = process.stderr or process.stdout
    return Outcome(False, _telling_line(output) or f"exit status {process.returncode}")


def _telling_line(output: str) -> str:
    """Return the last line that names an error, or the last line of all."""
    lines = output.strip().split("\n")
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    return (errors or lines)[-1]
