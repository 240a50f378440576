"""Run a grid of trials, or what is missing of it, and print its table."""

import argparse
import contextlib
import importlib
import re
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from pathlib import Path

import yaml
from tqdm import tqdm

from ...runtime import HOME
from ..trials import Notebook
from .execute import OnProgress, sweep
from .job import Outdated

KEYS = ("trial", "notebook", "grid", "seeds", "store")  # of a plan
DEFAULT_SEEDS = [0]
DEFAULT_STORE = HOME / "build" / "store"
# Such as 5e-4: YAML takes it for text, as it has no point.
WITHOUT_POINT = re.compile(r"[-+]?\d+[eE][-+]?\d+")


def main(arguments: list[str] | None = None, prog: str = "python -m dlp_lib sweep") -> None:
    """Run the command line.

    Args:
        arguments: the words after the program's name; None: those of this process.
        prog: the program's name in messages.
    """
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    bar = tqdm(unit="trial")
    try:
        plan = read_plan(options.file)
        if options.out:
            options.out.touch()
        with _executor(options) as executor:
            progress = _show_on(bar)
            table = sweep(**plan, executor=executor, on_progress=progress, retry=options.retry)
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        parser.error(str(error))
    except (KeyboardInterrupt, BrokenExecutor, Outdated) as stop:
        sys.exit(
            f"\nstopped: {stop or 'Ctrl-C'}\n"
            "Finished trials are kept, and the same command does the rest."
        )
    finally:
        bar.close()
    _print_table(table, options.out)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument(
        "file",
        type=Path,
        help="YAML: trial (module:function) or notebook (a path), grid, seeds (default: 0), "
        "store (default: build/store)",
    )
    parser.add_argument(
        "--workers", type=int, help="processes on this machine; default: one a GPU, else one a core"
    )
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="run on the workers of this Dask scheduler instead"
    )
    parser.add_argument("--retry", action="store_true", help="do failed trials again")
    parser.add_argument("--out", type=Path, metavar="CSV", help="write the table there as well")
    return parser


@contextlib.contextmanager
def _executor(options: argparse.Namespace) -> Iterator[Executor | int | None]:
    if not options.dask:
        yield options.workers
        return
    from distributed import Client

    with Client(options.dask) as client:
        yield client.get_executor(pure=False)


def _show_on(bar: tqdm) -> OnProgress:
    def progress(done: int, total: int, row: dict) -> None:
        bar.n = done
        bar.total = total
        bar.refresh()

    return progress


def _print_table(table, out: Path | None) -> None:
    print(table.to_string(index=False))
    if out:
        table.to_csv(out, index=False)
    failed = int(table["error"].notna().sum())
    if failed:
        sys.exit(
            f"{failed} of {len(table)} trials have failed: see the column error; "
            "--retry does them again"
        )


def read_plan(path: Path) -> dict:
    """Return the arguments of ``sweep`` that a YAML file gives.

    Raises:
        ValueError: for what is no plan.
    """
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(plan, dict) or "grid" not in plan:
        raise ValueError("the plan needs a grid, and either a trial or a notebook")
    if ("trial" in plan) == ("notebook" in plan):
        raise ValueError("the plan needs either a trial or a notebook")
    unknown = sorted(set(plan) - set(KEYS))
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)}: allowed are trial, notebook, grid, seeds and store"
        )
    trial = Notebook(plan["notebook"]) if "notebook" in plan else _import_trial(plan["trial"])
    return {
        "trial": trial,
        "grid": to_numbers(plan["grid"]),
        "seeds": plan.get("seeds", DEFAULT_SEEDS),
        "store": plan.get("store", DEFAULT_STORE),
    }


def _import_trial(trial: str):
    module, _, name = str(trial).partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"trial={trial!r}: allowed is module:function ({error})") from None


def to_numbers(value):
    """Return nested dicts and lists with 5e-4 and the like as numbers."""
    if isinstance(value, dict):
        return {name: to_numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [to_numbers(part) for part in value]
    if isinstance(value, str) and WITHOUT_POINT.fullmatch(value):
        return float(value)
    return value
