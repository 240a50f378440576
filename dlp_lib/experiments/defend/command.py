"""python -m dlp_lib defend: find suspects in a folder of images, and train a model without them.

It writes suspects.csv, model.safetensors and report.html. Whatever was stopped goes on from
where it was when the same command is given again. Settings that are not given are those of a
recipe for the number of images.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from ...checking import check_int
from ...context import Context
from ...data import Split
from ...data.folder import load_training
from ...defences import DLP, selection_sizes
from ...files import write_atomically
from ...models import ARCHITECTURES, build, expect_architecture, save_model
from ...recipes import recipe_for
from ...runtime import Runtime
from ...store import Store
from ...training import Diverged, predict
from .. import options as read
from ..values import split_assignment
from .estimate import estimate
from .progress import STAGES, Bars, duration
from .report import report
from .settings import (
    DLP_OPTIONS,
    Method,
    check_e1,
    expect_cleansing,
    method_of,
    with_assignments,
    with_options,
)
from .table import to_csv
from .work import Outcome, run, search_epochs

SMALLEST = 8  # pixels a side; larger for some architectures, which say so
LARGEST = 64  # pixels a side, where no --size is given
PROG = "python -m dlp_lib defend"


@dataclass(frozen=True)
class Job:
    """What is to be done, checked before any work."""

    folder: Path
    out: Path
    architecture: str
    tampered: Split
    method: Method
    choose_e1: bool
    context: Context

    def untrained(self) -> nn.Module:
        """Return a fresh model, the same at every call."""
        return build(self.architecture, len(self.tampered.classes), self.context.runtime)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: the words after the command's name; None: those of this process.

    Raises:
        SystemExit: for what is not allowed, and for a stage that diverged.
        KeyboardInterrupt: for Ctrl-C; the same command goes on from there.
        OSError: for a folder that cannot be written.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        job = _prepare(options)
    except (OSError, TypeError, ValueError) as error:
        parser.error(str(error))
    _announce(job)
    job.context.progress.start()
    try:
        outcome = run(job.untrained(), job.tampered, job.method, job.choose_e1, job.context)
        _write(job, outcome)
    except Diverged as error:
        sys.exit(f"\n{error}: -p supervised.lr=0.003, for example.")


def _prepare(options: argparse.Namespace) -> Job:
    """Check everything, and load the images.

    Raises:
        ValueError: for what is not allowed.
        OSError: for folders that are missing or cannot be read.
    """
    folder = options.folder.expanduser()
    out = options.out.expanduser()
    _expect_places(folder, out)
    architecture = expect_architecture(options.architecture)
    if options.size is not None:
        check_int("size", options.size, SMALLEST)
    e1 = check_e1(options.e1)
    runtime = Runtime(options.seed, options.device)
    for n_train in (0, sys.maxsize):  # whichever recipe it will be, before images are loaded
        _choose(options, n_train, e1)
    context = Context(runtime, Store(options.store), Bars())
    tampered = load_training(folder, options.size, LARGEST, context.store).to(runtime.device)
    method = _choose(options, len(tampered), e1)
    if isinstance(method, DLP):
        selection_sizes(tampered, method.gamma, method.quota)
    assigned = [split_assignment(assignment)[0] for assignment in options.p]
    choose_e1 = isinstance(method, DLP) and e1 is None and "e1" not in assigned
    job = Job(folder, out, architecture, tampered, method, choose_e1, context)
    predict(job.untrained(), tampered.images[:2])  # which refuses images that are too small
    return job


def _choose(options: argparse.Namespace, n_train: int, e1: int | None) -> Method:
    """Return the defence, with the recipe's settings for so many images, and the user's."""
    recipe = recipe_for(str(options.folder.resolve()), n_train)
    method = method_of(options.defence, recipe)
    values = {name: getattr(options, name) for name in DLP_OPTIONS} | {"e1": e1}
    method = with_options(method, values)
    method = with_assignments(method, options.p)
    expect_cleansing(method)
    return method


def _expect_places(folder: Path, out: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"folder={str(folder)!r}: there is no such folder")
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={str(out)!r}: it is a file; allowed are folders")
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"out={str(out)!r}: it lies in the folder of the images, where it would count as a "
            "class; allowed are folders elsewhere"
        )


def _announce(job: Job) -> None:
    """Say what will be done, and how long it takes here."""
    tampered = job.tampered
    height, width = tampered.images.shape[-2:]
    print(f"{len(tampered):,} images in {len(tampered.classes):,} classes, {height}×{width} pixels")
    epochs = 0
    if isinstance(job.method, DLP):
        epochs = search_epochs(job.method) if job.choose_e1 else job.method.e1
        how = f"chosen among {epochs} epochs" if job.choose_e1 else str(epochs)
        print(f"DLP: gamma {job.method.gamma}, E1 {how}, E2 at most {job.method.e2}")
    seconds = estimate(job.untrained(), tampered, job.method, epochs, job.context)
    parts = [f"{STAGES[stage]} {duration(value)}" for stage, value in seconds.items()]
    total = duration(sum(seconds.values()))
    print(f"about {total} on {job.context.runtime.device}: {', '.join(parts)}")
    print(f"(what is in the store already is not done again: {job.context.store.root})", flush=True)


def _write(job: Job, outcome: Outcome) -> None:
    """Write the three files, each of them atomically; the page comes last."""
    write_atomically(job.out / "suspects.csv", to_csv(outcome.rows()))
    save_model(
        outcome.result.model,
        job.out / "model.safetensors",
        job.architecture,
        job.tampered.classes,
        job.tampered.images.shape[-1],
    )
    further = {"architecture": job.architecture, "seed": job.context.runtime.seed}
    page = report(outcome, job.folder.resolve().name, further)
    write_atomically(job.out / "report.html", page.encode("utf-8", "backslashreplace"))
    selection = outcome.result.selection
    print(f"{len(selection.suspected):,} suspected, {len(selection.trusted):,} trusted")
    print(f"To read: {job.out / 'report.html'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", type=Path, help="images: train/CLASS/* or CLASS/*")
    add("--out", type=Path, required=True, metavar="DIR", help="where the three files go")
    add("--defence", default="DLP", help="DLP (default) or ABL")
    add("--gamma", type=float, help="share of the images to suspect")
    add("--e1", default="auto", help="epochs of stage 1; default: chosen by the suspects' labels")
    add("--e2", type=int, help="epochs of unlearning, at most")
    add("--steps", type=int, help="of fine-tuning")
    add("--batch", type=int, help="images a step of stage 1")
    add("--size", type=int, help=f"pixels a side; default: the images' own, up to {LARGEST}")
    add("--architecture", default="WRN-16-1", help=f"one of {', '.join(ARCHITECTURES)}")
    add("--seed", type=int, default=0, help="of all random streams; default: %(default)s")
    add("--device", default="auto", help="cpu, cuda or auto (default)")
    read.add_store(parser)
    add(
        "-p",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of the defence, such as fixmatch.mu=3",
    )
    return parser
