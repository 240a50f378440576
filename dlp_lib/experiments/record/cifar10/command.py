"""The paper's experiments with the paper's settings, run by run, in the order of their worth.

They take 50,000 images of CIFAR-10, and a GPU. What is recorded already is left out, so that
--minutes divides the work into sittings. With --dataset, --n-train, --steps and --mu it is a
smaller experiment, and its records say so.
"""

import argparse
import fnmatch
import itertools
import math
import time
from dataclasses import replace
from pathlib import Path

from ....console import say
from ....context import Context, print_progress
from ....recipes import CIFAR10, PAPER_ATTACKS, Recipe
from ....runtime import HOME, Runtime, environment
from ....store import Store, lock
from ... import options as read
from ...scenario import NO_ATTACK, Scenario, scenario
from ..files import FOLDER
from .collect import add, expect_settings, is_missing
from .parts import PARTS, Part
from .tables import TABLES, measure

STEPS = 10_000  # of FixMatch; the paper does not say


def main(arguments: list[str] | None, prog: str) -> None:
    """Run the command line.

    Args:
        arguments: the words after the program's name; None: those of this process.
        prog: the program's name in messages.

    Raises:
        SystemExit: with status 2, for what cannot work, before any training; also where the folder
            holds records that were made with other settings.
    """
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    parts = _parts(options.parts)
    if not parts:
        names = "; ".join(part.name for part in PARTS)
        parser.error(f"--parts {' '.join(options.parts)}: allowed are patterns of {names}")
    end = time.monotonic() + 60 * options.minutes
    try:
        base = _scenario(options)
        settings = _settings(base, options)
        expect_settings(settings, options.out)
    except ValueError as error:
        parser.error(str(error))
    for seed, part in itertools.product(options.seeds, parts):
        if is_missing(part, seed, options.out) and time.monotonic() <= end:
            runtime = replace(base.context.runtime, seed=seed)
            context = replace(base.context, runtime=runtime)
            _record(replace(base, context=context), part, settings, options.out)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset", type=read.dataset, default="cifar10", help="or a folder of images of 32×32"
    )
    parser.add_argument(
        "--n-train", type=read.whole_number(1), help="training images (default: all)"
    )
    parser.add_argument("--n-test", type=read.whole_number(1), help="test images (default: all)")
    parser.add_argument("--steps", type=read.whole_number(0), default=STEPS, help="of FixMatch")
    parser.add_argument(
        "--mu",
        type=read.whole_number(1),
        default=CIFAR10.dlp.fixmatch.mu,
        help="unlabelled images for each labelled one",
    )
    parser.add_argument("--seeds", nargs="+", type=read.whole_number(0), default=[0])
    parser.add_argument(
        "--parts", nargs="+", default=["*"], metavar="PATTERN", help='such as "BadNets*"'
    )
    parser.add_argument(
        "--minutes", type=read.number, default=math.inf, help="after which no part is begun"
    )
    parser.add_argument("--device", type=read.device, default="auto")
    parser.add_argument("--precision", type=read.precision, default="float32")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--store", type=read.folder, default=HOME / "build" / "store")
    parser.add_argument("--out", type=read.folder, default=FOLDER / "cifar10-full")
    return parser


def _parts(patterns: list[str]) -> list[Part]:
    """Return the parts that a pattern names."""
    return [
        part
        for part in PARTS
        if any(fnmatch.fnmatchcase(part.name, pattern) for pattern in patterns)
    ]


def _scenario(options: argparse.Namespace) -> Scenario:
    """Return the clean data set, with a recipe of the size that the options ask for."""
    device = options.device
    runtime = Runtime(device=device, precision=options.precision, compiled=options.compiled)
    store = Store(options.store)
    scene = scenario(
        options.dataset,
        NO_ATTACK,
        n_train=options.n_train,
        n_test=options.n_test,
        context=Context(runtime, store, print_progress),
        recipe=CIFAR10,
    )
    return replace(scene, recipe=_recipe(len(scene.clean), options.steps, options.mu))


def _recipe(n_train: int, steps: int, mu: int) -> Recipe:
    """Return CIFAR-10's recipe, with undefended models trained for as many images as DLP."""
    dlp = CIFAR10.dlp
    reestimate = min(dlp.unlearn.reestimate, n_train // 10)
    fixmatch = replace(dlp.fixmatch, steps=steps, mu=mu)
    unlearn = replace(dlp.unlearn, reestimate=reestimate)
    images = steps * fixmatch.batch * (1 + mu)
    epochs = dlp.e1 + math.ceil(images / n_train)
    return replace(CIFAR10, dlp=replace(dlp, unlearn=unlearn, fixmatch=fixmatch), epochs=epochs)


def _settings(scene: Scenario, options: argparse.Namespace) -> dict:
    """Return what all records of a folder must agree in."""
    recipe = scene.recipe
    attacks = {name: recipe.attacks[name] for name in PAPER_ATTACKS}
    settings = {"dataset": Path(options.dataset).name}
    settings["images"] = [len(scene.clean), len(scene.test)]
    settings["digest"] = scene.clean.digest
    settings["dlp"] = repr(recipe.dlp)
    settings["attacks"] = repr(attacks)
    settings["baselines"] = repr(recipe.defences)
    settings["precision"] = options.precision
    settings["epochs"] = recipe.epochs
    return settings


def _record(base: Scenario, part: Part, settings: dict, folder: Path) -> None:
    """Measure one part, and write its rows."""
    runtime = base.context.runtime
    tables = measure(base, part)
    with lock(folder.with_suffix(".lock")):  # other processes may record into the same folder
        for table, rows in tables.items():
            what = TABLES[table].__doc__
            made = {"what": what, "settings": settings, **environment(runtime)}
            rows = [{"seed": runtime.seed, **row} for row in rows]
            add(table, rows, made, folder)
    say(f"recorded: seed {runtime.seed}, {part.name}")
