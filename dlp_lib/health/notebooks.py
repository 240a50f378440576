"""Check what notebooks need: sliders, JupyterLab, and the Python that they run in."""

from __future__ import annotations

import json
import shutil
import site
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from . import base
from .base import Finding, Outcome
from .interpreter import unmet_requirements

KERNEL = """import importlib.util, sys
package = importlib.util.find_spec("dlp_lib")
print(sys.prefix, getattr(package, "origin", ""), sep="|")"""
_SLIDERS = Path("@jupyter-widgets", "jupyterlab-manager")
_NOWHERE = Path("/nowhere")
_KERNEL = "python3"


def widgets() -> Iterator[Finding]:
    """Check both parts of what draws sliders: one is Python, the other JavaScript."""
    reinstall = (
        f"{base.PIP} --force-reinstall ipywidgets jupyterlab_widgets widgetsnbextension; "
        "then reload the page"
    )
    requirements = [line for line in metadata.requires("ipywidgets") if "widgets" in line]
    unmet = unmet_requirements(requirements)
    if unmet:
        yield Finding("problem", f"sliders stay blank without {', '.join(unmet)}", reinstall)
    else:
        yield Finding("ok", "ipywidgets has what it needs")
    folder = _folder_of_sliders()
    found = f"JupyterLab has sliders from {folder}"
    if _belongs_to_this_python(folder):
        yield Finding("ok", found)
    else:
        yield Finding("problem", found, f"Remove that folder, if any; {reinstall}")


def _folder_of_sliders() -> Path:
    """Return the folder that JupyterLab takes: the first that there is."""
    from jupyter_core.paths import jupyter_path

    for extensions in jupyter_path("labextensions"):
        folder = Path(extensions) / _SLIDERS
        if folder.is_dir():
            return folder
    return _NOWHERE


def jupyter() -> Iterator[Finding]:
    """Check which JupyterLab is started, and what its notebooks run in."""
    from jupyter_client.kernelspec import find_kernel_specs, get_kernel_spec

    command = shutil.which("jupyter")
    if command and not _belongs_to_this_python(Path(command)):
        yield Finding(
            "warning",
            f"`jupyter lab` is another environment's, {command}",
            f"{'make lab, or ' if base.IN_CHECKOUT else ''}{base.PYTHON} -m jupyterlab",
        )
    installed = sorted(find_kernel_specs())
    yield from _check_kernel_names(installed)
    if _KERNEL not in installed:
        yield Finding(
            "problem",
            f"Jupyter has no kernel {_KERNEL}, but {', '.join(installed) or 'none'}",
            f"{base.PYTHON} -m ipykernel install --sys-prefix",
        )
        return
    spec = get_kernel_spec(_KERNEL)
    kernel = spec.argv[0]
    if not Path(kernel).is_absolute():
        kernel = sys.executable  # Jupyter, too, takes a plain "python" for its own
    answer = base.run(kernel, "-c", KERNEL)
    yield _check_kernel(kernel, answer, spec.resource_dir)
    yield _check_origin(answer)


def _check_kernel_names(installed: list[str]) -> Iterator[Finding]:
    """Check the kernels that notebooks ask for: each has the name that its last machine gave it."""
    strangers = []
    damaged = []
    for notebook in sorted((base.PROJECT / "notebooks").glob("*.ipynb")):
        try:
            name = _kernel_name(notebook)
        except (AttributeError, KeyError, OSError, TypeError, ValueError):
            damaged.append(notebook.name)
            continue
        if name not in installed:
            strangers.append(f"{notebook.name} ({name})")
    if strangers:
        yield Finding(
            "warning",
            f"this machine lacks the kernels of {', '.join(strangers)}",
            "In JupyterLab: Kernel, Change Kernel, Python 3, and save. `python -m dlp_lib run` "
            "takes Python 3 by itself.",
        )
    if damaged:
        found = f"damaged: {', '.join(damaged)}"
        yield Finding("problem", found, base.how_to_restore("notebooks"))
    if not strangers and not damaged:
        yield Finding("ok", "every notebook asks for a kernel that is installed")


def _kernel_name(notebook: Path) -> str:
    """Return the name of the kernel that a notebook asks for."""
    content = json.loads(notebook.read_bytes())
    return content["metadata"].get("kernelspec", {}).get("name", _KERNEL)


def _check_kernel(kernel: str, answer: Outcome, folder: str) -> Finding:
    prefix = answer.text.partition("|")[0]
    if answer.works and Path(prefix).resolve() == Path(sys.prefix).resolve():
        return Finding("ok", f"notebooks run in {prefix}")
    return Finding(
        "problem",
        f"notebooks start another Python, {kernel}: {answer.text}",
        f"Remove {folder}, then: {base.PYTHON} -m ipykernel install --sys-prefix",
    )


def _check_origin(answer: Outcome) -> Finding:
    origin = answer.text.partition("|")[2]
    found = f"notebooks take dlp_lib from {origin or 'nowhere'}"
    if Path(origin).resolve().parent == base.PACKAGE:
        return Finding("ok", found)
    remedy = f'{base.PIP} --no-deps -e "{base.HOME}"' if base.IN_CHECKOUT else base.REINSTALL
    return Finding("problem", f"{found}, not from {base.PACKAGE}", remedy)


def _belongs_to_this_python(path: Path) -> bool:
    """Return whether a file lies in this environment, or among the user's own packages."""
    roots = [sys.prefix]
    if site.ENABLE_USER_SITE:
        roots.append(site.getuserbase())
    folders = path.parent.resolve().parents
    return any(Path(root).resolve() in folders for root in roots)
