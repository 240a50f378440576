"""Check the project's folder: git, the disk, data sets and recorded tables."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from . import base
from .base import Finding

WRITE = "import sys, tempfile; tempfile.TemporaryFile(dir=sys.argv[1]).close()"
CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"  # as in data/cifar10.py, and so is this:
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_SHAPES10_SHA256 = "2d2f20b41ffc50f7"  # how that of the first 100 images begins
_MUCH_DISK = 3e9  # bytes
_LEAST_DISK = 0.5e9
_RECORDED_TABLE = re.compile(r'record\.read\(\\"([\w/]+)\\"')  # in the JSON of a notebook


def folder() -> Iterator[Finding]:
    """Check git, whether the project's folders can be written, and the disk."""
    yield _check_git()
    for path in (base.HOME / "build", base.HOME / "data"):
        yield _check_writable(path)
    yield _check_disk()


def _check_git() -> Finding:
    if not base.IN_CHECKOUT:
        found = f"dlp_lib is installed in {base.PACKAGE}, data and results go into {base.HOME}"
        return Finding("ok", f"{found}; results will name no commit")
    git = base.run("git", "-C", str(base.HOME), "rev-parse", "--short", "HEAD")
    if git.works:
        return Finding("ok", f"{base.HOME}, commit {git.text}")
    if not (base.HOME / ".git").exists():
        return Finding("ok", f"{base.HOME}, not a git checkout: results will name no commit")
    return Finding(
        "warning",
        f"results will name no commit: {git.text}",
        f'If this is about ownership: git config --global --add safe.directory "{base.HOME}"',
    )


def _check_writable(path: Path) -> Finding:
    """Check a folder; if it is not made yet, the one in which it will be."""
    existing = path if path.is_dir() else base.HOME
    attempt = base.run(sys.executable, "-c", WRITE, str(existing))
    if attempt.works:
        return Finding("ok", f"can write {path}")
    remedy = "Work in a copy that you own."
    return Finding("problem", f"cannot write {path}: {attempt.text}", remedy)


def _check_disk() -> Finding:
    free = shutil.disk_usage(base.HOME).free
    found = f"{free / 1e9:.1f} GB of disk are free"
    if free > _MUCH_DISK:
        return Finding("ok", found)
    level = "warning" if free > _LEAST_DISK else "problem"
    store = base.HOME / "build" / "store"
    return Finding(level, found, f"Make room; {store} can be computed again.")


def data() -> Iterator[Finding]:
    """Check data sets and recorded tables."""
    yield _check_cifar10()
    yield _check_tables()
    yield _check_shapes10()


def _check_cifar10() -> Finding:
    archive = base.HOME / "data" / CIFAR10_ARCHIVE
    if not archive.is_file():
        found = f"CIFAR-10 will be downloaded, when used (170 MB), to {archive}"
        return Finding("ok", f"{found}; docs/data.md says how to put it there by hand")
    if hashlib.md5(archive.read_bytes()).hexdigest() == CIFAR10_MD5:
        return Finding("ok", f"CIFAR-10 is {archive}")
    remedy = "Delete it; it is downloaded again when used."
    return Finding("warning", f"{archive} is damaged", remedy)


def _check_tables() -> Finding:
    """Check the tables that notebooks read."""
    folder = base.PROJECT / "data"
    names = {"paper"}
    for notebook in (base.PROJECT / "notebooks").glob("*.ipynb"):
        text = notebook.read_text(encoding="utf-8")
        names.update(f"recorded/{name}" for name in _RECORDED_TABLE.findall(text))
    unreadable = []
    for name in sorted(names):
        try:
            json.loads((folder / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            unreadable.append(f"{name}.json")
    if unreadable:
        found = f"damaged or missing: {', '.join(unreadable)}"
        return Finding("problem", found, base.how_to_restore("data"))
    return Finding("ok", f"all {len(names)} tables")


def _check_shapes10() -> Finding:
    """Draw some images, without an import of dlp_lib, which needs torch."""
    draw = runpy.run_path(str(base.PACKAGE / "data" / "shapes10.py"))["draw"]
    images = draw(100)[0]
    if hashlib.sha256(images.tobytes()).hexdigest().startswith(_SHAPES10_SHA256):
        return Finding("ok", "shapes10 is as everywhere")
    remedy = "Restore data/shapes10.py or numpy."
    return Finding("problem", "shapes10 differs: so will results", remedy)
