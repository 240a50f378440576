"""Plans: files that say what to sweep."""

import importlib
from pathlib import Path

from ...places import PROJECT
from ..options import STORE
from ..trials import TRIALS, Notebook
from ..values import to_numbers
from .job import Trial

KEYS = ("trial", "notebook", "grid", "seeds", "store")
DEFAULT_SEEDS = [0]
# Those of this project, and not those of whatever folder the command was started from
NOTEBOOKS = PROJECT / "notebooks"
ALLOW_CODE = "--allow-code"  # the option that lets a plan run other code than this library's


def check_plan(plan: object, allow_code: bool = False) -> dict:
    """Return the arguments of ``sweep`` that a plan gives.

    A trial is a function, and a notebook is a program: whoever writes a plan could run anything by
    it. So a plan names the trials and notebooks of this project, and others where that is allowed.

    Args:
        plan: what a YAML file holds.
        allow_code: whether the trial may come from any module, and a notebook from any folder.

    Raises:
        ValueError: for what is no plan, and for code that is not allowed.
    """
    if not isinstance(plan, dict) or "grid" not in plan:
        raise ValueError("the plan needs a grid, and either a trial or a notebook")
    if ("trial" in plan) == ("notebook" in plan):
        raise ValueError("the plan needs either a trial or a notebook")
    unknown = [str(key) for key in plan if key not in KEYS]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: allowed are {', '.join(KEYS)}")
    if "notebook" in plan:
        trial = _notebook(plan["notebook"], allow_code)
    else:
        trial = _trial(plan["trial"], allow_code)
    return {
        "trial": trial,
        "grid": to_numbers(plan["grid"]),
        "seeds": plan.get("seeds", DEFAULT_SEEDS),
        "store": _store(plan.get("store", STORE)),
    }


def _trial(trial: object, allow_code: bool) -> Trial:
    name = str(trial).removeprefix("dlp_lib.experiments.trials:")
    if name in TRIALS:
        return TRIALS[name]
    if not allow_code:
        raise ValueError(
            f"trial={trial!r}: allowed are {', '.join(TRIALS)}; "
            f"module:function runs code of yours, and needs {ALLOW_CODE}"
        )
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever the module does when it is imported
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"trial={trial!r}: allowed is module:function ({reason})") from None


def _notebook(path: object, allow_code: bool) -> Notebook:
    if isinstance(path, str):
        path = _own_notebooks().get(path, path)
    notebook = Notebook(path)
    if not allow_code and not Path(notebook.path).is_relative_to(NOTEBOOKS):
        raise ValueError(
            f"notebook={path!r}: allowed are those in {NOTEBOOKS}; "
            f"another one runs code of yours, and needs {ALLOW_CODE}"
        )
    return notebook


def _own_notebooks() -> dict[str, Path]:
    """Return the notebooks of this project, by name."""
    return {file.stem: file for file in NOTEBOOKS.glob("*.ipynb")}


def _store(store: object) -> Path:
    if not isinstance(store, (str, Path)):
        raise ValueError(f"store={store!r}: allowed are folders")
    folder = Path(store).expanduser()
    for part in (folder, *folder.parents):
        if part.is_file():
            raise ValueError(f"store={str(store)!r}: {part} is a file; allowed are folders")
    return folder
