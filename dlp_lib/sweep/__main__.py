"""Run a grid of trials, or what is missing of it, and print its table: python -m dlp_lib.sweep plan.yaml"""

import argparse
import contextlib
import importlib
import re
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

import yaml
from tqdm import tqdm

from ..runtime import HOME
from ..trials import Notebook
from . import Outdated, sweep


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m dlp_lib.sweep", description=__doc__)
    what = "YAML: trial (module:function) or notebook (a path), grid, seeds (default: 0), store (default: build/store)"
    parser.add_argument("file", type=Path, help=what)
    parser.add_argument("--workers", type=int, help="processes on this machine; default: one a GPU, else one a core")
    parser.add_argument("--dask", metavar="ADDRESS", help="run on the workers of this Dask scheduler instead")
    parser.add_argument("--retry", action="store_true", help="do failed trials again")
    parser.add_argument("--out", type=Path, metavar="CSV", help="write the table there as well")
    arguments = parser.parse_args(given)
    bar = tqdm(unit="trial")

    def progress(done: int, total: int, row: dict) -> None:
        bar.n, bar.total = done, total
        bar.refresh()

    try:
        plan = _plan(yaml.safe_load(arguments.file.read_text(encoding="utf-8")))
        if arguments.out:
            arguments.out.touch()
        with contextlib.ExitStack() as stack:
            executor = arguments.workers
            if arguments.dask:
                from distributed import Client

                executor = stack.enter_context(Client(arguments.dask)).get_executor(pure=False)
            table = sweep(**plan, executor=executor, on_progress=progress, retry=arguments.retry)
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        parser.error(str(error))
    except (KeyboardInterrupt, BrokenExecutor, Outdated) as stop:
        sys.exit(f"\nstopped: {stop or 'Ctrl-C'}\nFinished trials are kept, and the same command does the rest.")
    finally:
        bar.close()
    print(table.to_string(index=False))
    if arguments.out:
        table.to_csv(arguments.out, index=False)
    if failed := int(table["error"].notna().sum()):
        sys.exit(f"{failed} of {len(table)} trials have failed: see the column error; --retry does them again")


def _plan(plan: dict) -> dict:
    """The arguments of ``sweep`` that a file says; ValueError for what it cannot say."""
    if not isinstance(plan, dict) or "grid" not in plan or ("trial" in plan) == ("notebook" in plan):
        raise ValueError("the plan needs a grid, and either a trial or a notebook")
    if unknown := sorted(set(plan) - {"trial", "notebook", "grid", "seeds", "store"}):
        raise ValueError(f"{', '.join(unknown)}: allowed are trial, notebook, grid, seeds and store")
    trial = Notebook(plan["notebook"]) if "notebook" in plan else _imported(plan["trial"])
    seeds, store = plan.get("seeds", [0]), plan.get("store", HOME / "build" / "store")
    return {"trial": trial, "grid": _numbers(plan["grid"]), "seeds": seeds, "store": store}


def _imported(words: str):
    module, _, name = str(words).partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"trial={words!r}: allowed is module:function ({error})") from None


def _numbers(part):
    """5e-4 and the like as numbers, which YAML takes for text if they have no point."""
    if isinstance(part, dict):
        return {name: _numbers(value) for name, value in part.items()}
    if isinstance(part, list):
        return [_numbers(value) for value in part]
    return float(part) if isinstance(part, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", part) else part


if __name__ == "__main__":
    main()
