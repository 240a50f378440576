"""Where things lie: what comes with the library, and where its data and results go.

This file needs nothing but Python itself, as the doctor reads it where packages are missing.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_NAME = 'name = "dlp_lib"'  # a line of this project's own pyproject.toml


def is_checkout(folder: Path) -> bool:
    """Return whether a folder is this project's.

    A folder of installed packages is not, even where another package has put a folder "notebooks"
    or a pyproject.toml there.
    """
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):  # there is none, or it is not text
        return False
    return _NAME in text.splitlines()


IN_CHECKOUT = is_checkout(PACKAGE.parent)
# What comes with the library is read here: notebooks, recorded tables and guides. A wheel carries
# them inside the package.
PROJECT = PACKAGE.parent if IN_CHECKOUT else PACKAGE / "project"
# Data and results go here, wherever a notebook was started from. Outside a checkout it is the
# folder in which Python was started.
HOME = PROJECT if IN_CHECKOUT else Path.cwd()
