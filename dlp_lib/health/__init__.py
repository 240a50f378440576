"""Checks of an installation, for ``doctor``. They start without any package but Python's own."""

from __future__ import annotations

from collections.abc import Iterator

from .base import INSTALL, Finding
from .hardware import compute
from .interpreter import packages, python
from .notebooks import jupyter, widgets
from .project import data, folder

CHECKS = (python, packages, compute, widgets, jupyter, folder, data)


def examine() -> Iterator[tuple[str, Finding]]:
    """Yield the name of a check and what it has found, check by check.

    A check that fails is a finding itself, and the others go on.
    """
    for check in CHECKS:
        try:
            for finding in check():
                yield check.__name__, finding
        except Exception as error:
            yield check.__name__, Finding("problem", f"cannot be checked: {error!r}", INSTALL)
