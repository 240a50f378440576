"""Run a grid of trials, or what is missing of it, and print its table."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor
from pathlib import Path

from tqdm import tqdm

from ...console import AGAIN, sentence_of
from ...files import explain_errors, write_atomically
from .. import options as read
from .execute import OnProgress, sweep
from .job import Outdated
from .plan import ALLOW_CODE, check_plan
from .security import check_credentials, read_credentials, scheduler_address


def main(arguments: list[str] | None = None, prog: str = "python -m dlp_lib sweep") -> None:
    """Run the command line.

    Args:
        arguments: the words after the program's name; None: those of this process.
        prog: the program's name in messages.

    Raises:
        SystemExit: with status 2 and a sentence for what cannot work, before any trial; with status
            1 where a trial has failed, and where something stopped the sweep.
    """
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    _check_dask(parser, options)
    try:
        plan = check_plan(options.file, options.allow_code)
    except ValueError as error:
        parser.error(f"file: {error}")
    try:
        table = _sweep(plan, options)
    except ValueError as error:
        parser.error(str(error))
    except (KeyboardInterrupt, OSError) as stop:
        sys.exit(f"\n{prog}: {sentence_of(stop)}")
    except (BrokenExecutor, Outdated) as stop:
        sys.exit(f"\n{prog}: stopped: {stop}. {AGAIN}")
    _print_table(table, options.out)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument(
        "file",
        type=read.yaml_file,
        help="YAML: trial (run_dlp or run_defence) or notebook (a name or a path), grid, seeds "
        "(default: 0), store (default: build/store)",
    )
    parser.add_argument(
        "--workers",
        type=read.whole_number(1),
        help="processes on this machine; default: one a GPU, else one a core",
    )
    parser.add_argument(
        "--dask",
        type=scheduler_address,
        metavar="ADDRESS",
        help="run on the workers of this Dask scheduler instead",
    )
    parser.add_argument(
        "--tls",
        type=read.existing_folder,
        metavar="FOLDER",
        help="for --dask tls://…: folder with ca.pem, cert.pem and key.pem",
    )
    parser.add_argument(
        ALLOW_CODE,
        action="store_true",
        help="take a trial from any module (module:function), or a notebook from any folder: "
        "both run as you",
    )
    parser.add_argument("--retry", action="store_true", help="do failed trials again")
    parser.add_argument(
        "--out", type=read.new_file, metavar="CSV", help="write the table there as well"
    )
    return parser


def _check_dask(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Check that an address with TLS has credentials, and credentials such an address."""
    has_tls = options.dask is not None and options.dask.startswith("tls://")
    if has_tls and options.tls is None:
        parser.error(f"--dask {options.dask}: this needs --tls FOLDER as well")
    if options.tls is not None and not has_tls:
        parser.error(f"--tls {options.tls}: this needs --dask tls://HOST:PORT as well")
    if options.tls is not None:
        try:
            check_credentials(options.tls)
        except ValueError as error:
            parser.error(f"--tls {error}")


def _sweep(plan: dict, options: argparse.Namespace):
    """Return the table of a plan."""
    if options.out:
        with explain_errors(options.out.parent), options.out.open("a"):
            pass  # hours before the table is written, it is known that it can be
    with _executor(options) as executor, tqdm(unit="trial") as bar:
        progress = _show_on(bar)
        return sweep(**plan, executor=executor, on_progress=progress, retry=options.retry)


@contextlib.contextmanager
def _executor(options: argparse.Namespace) -> Iterator[Executor | int | None]:
    if not options.dask:
        yield options.workers
        return
    from distributed import Client

    security = read_credentials(options.tls) if options.tls else None
    try:
        client = Client(options.dask, security=security)
    except OSError as error:
        raise OSError(
            f"--dask {options.dask}: {error}. Is the scheduler started there, with these "
            "credentials or without any?"
        ) from error
    with client:
        yield client.get_executor(pure=False)


def _show_on(bar: tqdm) -> OnProgress:
    def progress(done: int, total: int, row: dict) -> None:
        bar.n = done
        bar.total = total
        bar.refresh()

    return progress


def _print_table(table, out: Path | None) -> None:
    if out:
        write_atomically(out, table.to_csv(index=False).encode(errors="backslashreplace"))
    print(table.to_string(index=False))
    failed = int(table["error"].notna().sum())
    if failed:
        sys.exit(
            f"{failed} of {len(table)} trials have failed: see the column error; "
            "--retry does them again"
        )
