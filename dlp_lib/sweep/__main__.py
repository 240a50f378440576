"""Run a grid of trials, or what is missing of it, and print its table: python -m dlp_lib.sweep plan.yaml"""

import argparse
import contextlib
import importlib
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

import yaml
from tqdm import tqdm

from ..runtime import HOME
from ..trials import Notebook
from . import Pool, sweep


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
        with contextlib.ExitStack() as stack:
            executor = None
            if arguments.dask:
                from distributed import Client

                executor = stack.enter_context(Client(arguments.dask)).get_executor(pure=False)
            elif arguments.workers:
                executor = stack.enter_context(Pool(arguments.workers))
            table = sweep(**plan, executor=executor, on_progress=progress, retry=arguments.retry)
    except ValueError as error:
        parser.error(str(error))
    except (KeyboardInterrupt, BrokenExecutor) as stop:
        sys.exit(f"\nstopped: {stop or 'Ctrl-C'}\nFinished trials are kept, and the same command does the rest.")
    finally:
        bar.close()
    print(table.to_string(index=False))
    if arguments.out:
        table.to_csv(arguments.out, index=False)


def _plan(plan: dict) -> dict:
    """The arguments of ``sweep`` that a file says; ValueError for what it cannot say."""
    if unknown := sorted(set(plan) - {"trial", "notebook", "grid", "seeds", "store"}):
        raise ValueError(f"{', '.join(unknown)}: allowed are trial, notebook, grid, seeds and store")
    if ("trial" in plan) == ("notebook" in plan) or "grid" not in plan:
        raise ValueError("needed are a grid, and either a trial or a notebook")
    if "notebook" in plan:
        trial = Notebook(str(Path(plan["notebook"]).resolve()))
    else:
        module, _, name = plan["trial"].partition(":")
        try:
            trial = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"trial={plan['trial']!r}: allowed is module:function ({error})") from None
    seeds, store = plan.get("seeds", [0]), plan.get("store", HOME / "build" / "store")
    return {"trial": trial, "grid": plan["grid"], "seeds": seeds, "store": store}


if __name__ == "__main__":
    main()
