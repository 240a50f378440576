"""Whose code a module is: a release of Python or of a package, or one's own."""

import functools
import importlib.metadata
import importlib.util
import os.path
import sys
import sysconfig
from pathlib import Path

_ALWAYS_OWN = (__name__.partition(".")[0], "__main__", "__mp_main__")
_PYTHON = f"python {sys.version_info.major}.{sys.version_info.minor}"


def release_of(name: str | None) -> str | None:
    """The release that a module belongs to, such as ``"torch==2.11.0"``.

    Args:
        name: The module's full name. It need not be imported.

    Returns:
        None for one's own code: scripts, notebooks, editable installs, this package, and whatever
        has no version.
    """
    if not isinstance(name, str):
        return None
    top = name.partition(".")[0]
    if top in _ALWAYS_OWN:
        return None
    module = sys.modules.get(name) or sys.modules.get(top)
    spec = getattr(module, "__spec__", None) or _find(top)
    file = getattr(module, "__file__", None) or _file(spec)
    return _release(top, file)


def is_genuine(value) -> bool:
    """Whether the module of a release has this very thing, such as a class, under its name."""
    home = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(name, str) or release_of(home) is None:
        return False
    found = sys.modules.get(home)
    for step in name.split("."):
        found = getattr(found, "__dict__", {}).get(step)
    return getattr(found, "__func__", found) is value


def _find(top: str):
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):  # it is half imported, or its name is none
        return None


def _file(spec) -> str | None:
    """Where a module without ``__file__`` is: "built-in", "frozen", a folder, or nowhere."""
    if spec is None:
        return None
    if spec.origin is not None:
        return spec.origin
    folders = list(spec.submodule_search_locations or ())
    return folders[0] if folders else None


@functools.cache
def _release(top: str, file: str | None) -> str | None:
    if file is None:
        return None
    if file in ("built-in", "frozen"):
        return _PYTHON
    if {"site-packages", "dist-packages"} & set(Path(file).parts):
        return _version(top)
    if any(_lies_in(file, folder) for folder in _python_folders()):
        return _PYTHON
    return None


@functools.cache
def _python_folders() -> list[str]:
    folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    return [os.path.realpath(folder) for folder in folders]


def _lies_in(file: str, folder: str) -> bool:
    return os.path.realpath(file).startswith(folder + os.sep)


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


@functools.cache
def _version(top: str) -> str | None:
    """Name and version of what was installed; builds of one version, such as "+cpu", are alike."""
    names = sorted(set(_distributions().get(top, ())))
    versions = [importlib.metadata.version(name).partition("+")[0] for name in names]
    pairs = [f"{name}=={version}" for name, version in zip(names, versions, strict=True)]
    return " ".join(pairs) or None
