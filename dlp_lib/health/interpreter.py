"""Check the Python that runs, and the packages that it has."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from . import base
from .base import Finding

_INSTALL_PYTHON = "Install Python 3.11 or newer, of 64 bits, on a Mac for Apple silicon; then: "
_ONLY_IN_CHECKOUT = ("test", "book")  # lists of pyproject.toml that a wheel has no use for
# Who needs the packages of a list in pyproject.toml, and how bad it is where they are missing.
_READERS = {
    "lab": ("notebooks", "problem"),
    "cluster": ("Dask (notebook 09)", "warning"),
    "test": ("tests", "ok"),
}


def python() -> Iterator[Finding]:
    """Check version and kind of this Python, and whether make has installed into another one."""
    found = f"Python {platform.python_version()}, {sys.executable}"
    if _is_supported() and sys.version_info >= (3, 11):
        yield Finding("ok", found)
    else:
        then = "make lab PYTHON=python3.12" if base.IN_CHECKOUT else "install dlp_lib for it"
        problem = f"{found}: not one for dlp_lib and PyTorch"
        yield Finding("problem", problem, _INSTALL_PYTHON + then)
    environment = base.HOME / ".venv"
    by_make = base.IN_CHECKOUT and environment.is_dir()
    if by_make and environment.resolve() != Path(sys.prefix).resolve():
        other = environment / "bin" / "python"
        if sys.platform == "win32":
            other = environment / "Scripts" / "python.exe"
        yield Finding(
            "warning",
            f"make has installed for another one, in {environment}",
            f"Ask that one: {other} {base.PACKAGE / 'doctor.py'}",
        )


def _is_supported() -> bool:
    """Return whether PyTorch is made for this kind of machine."""
    has_64_bits = sys.maxsize > 2**32
    is_intel_mac = sys.platform == "darwin" and platform.machine() == "x86_64"
    return has_64_bits and not is_intel_mac


def packages() -> Iterator[Finding]:
    """Check the packages that pyproject.toml asks for, list by list."""
    import tomllib

    text = (base.PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    yield _check_list("dlp_lib", "problem", project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        if extra in _ONLY_IN_CHECKOUT and not base.IN_CHECKOUT:
            continue
        reader, level = _READERS.get(extra, (extra, "ok"))
        yield _check_list(reader, level, requirements)


def _check_list(reader: str, level: str, requirements: list[str]) -> Finding:
    unmet = unmet_requirements(requirements)
    if unmet:
        return Finding(level, f"for {reader}: {', '.join(unmet)}", base.INSTALL)
    return Finding("ok", f"for {reader}: all {len(requirements)}")


def unmet_requirements(requirements: Iterable[str]) -> list[str]:
    """Return the requirements that are not met, and what is installed instead."""
    from packaging.requirements import Requirement

    unmet = []
    for text in requirements:
        requirement = Requirement(text)
        version = _installed_version(requirement.name)
        if not requirement.specifier.contains(version or "0", prereleases=True):
            instead = f"here: {version}" if version else "missing"
            unmet.append(f"{requirement.name}{requirement.specifier} ({instead})")
    return unmet


def _installed_version(name: str) -> str | None:
    for distribution in metadata.distributions(name=name):
        return distribution.version
    return None
