"""The paper's experiments with the paper's settings, run by run, in the order of their worth.

They take 50,000 images of CIFAR-10, and a GPU. What is recorded already is left out, and a stage
goes on where it was, so that --minutes divides the work into sittings. With --pack they may be on
different machines: the folder keeps the tables, and what the next sitting needs of the store, in
volumes of at most 15 MiB. With --dataset, --n-train, --steps and --mu it is a smaller experiment,
and its records say so.
"""

import argparse
import fnmatch
import itertools
import math
from dataclasses import replace
from pathlib import Path

from ....context import Context
from ....recipes import CIFAR10, PAPER_ATTACKS, Recipe
from ....runtime import Runtime
from ....store import Store
from ... import options as read
from ...scenario import NO_ATTACK, Scenario, scenario
from ..files import FOLDER
from ..packed_store import PackedStore
from .collect import expect_settings
from .pack import Pack
from .parts import DEFENCES, PARTS, SCHEDULES, Part
from .sitting import Sitting

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
    parts = _parts(options)
    if not parts:
        names = "; ".join(part.name for part in PARTS)
        parser.error(f"--parts {' '.join(options.parts)}: allowed are patterns of {names}")
    if options.pack and options.pack.exists() and not options.pack.is_dir():
        parser.error(f"--pack {options.pack}: allowed is a folder")
    store = PackedStore(options.store)
    pack = Pack(options.pack, store, options.out) if options.pack else None
    sitting = Sitting(options.minutes, store, options.out, pack)
    try:
        base = _scenario(options, store, sitting)
        settings = _settings(base, options)
        expect_settings(settings, options.out)
    except ValueError as error:
        parser.error(str(error))
    if pack:
        pack.unpack(settings)
    sitting.measure(base, itertools.product(options.seeds, parts), settings)


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
    parser.add_argument("--seeds", nargs="+", type=read.seed, default=[0])
    parser.add_argument(
        "--parts", nargs="+", default=["*"], metavar="PATTERN", help='such as "BadNets*"'
    )
    parser.add_argument(
        "--defences",
        nargs="+",
        choices=DEFENCES,
        metavar="NAME",
        help=f"only Table 3, and of it these defences: {', '.join(DEFENCES)}",
    )
    parser.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default=SCHEDULES[0],
        help="of the other defences: their papers' epochs, or a quarter of them",
    )
    parser.add_argument(
        "--minutes",
        type=read.number,
        default=math.inf,
        help="after which it ends, at a block's end",
    )
    parser.add_argument(
        "--pack", type=Path, metavar="FOLDER", help="keeps what the next sitting needs"
    )
    parser.add_argument("--device", type=read.device, default="auto")
    parser.add_argument("--precision", type=read.precision, default="float32")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--captured", action="store_true", help="steps as CUDA graphs")
    read.add_store(parser)
    parser.add_argument("--out", type=read.folder, default=FOLDER / "cifar10-full")
    return parser


def _parts(options: argparse.Namespace) -> list[Part]:
    """Return the parts that the options ask for."""
    parts = []
    for part in PARTS:
        if part.schedule not in (None, options.schedule):
            continue
        if options.defences and part.defence not in options.defences:
            continue
        if any(fnmatch.fnmatchcase(part.name, pattern) for pattern in options.parts):
            parts.append(part)
    return parts


def _scenario(options: argparse.Namespace, store: Store, sitting: Sitting) -> Scenario:
    """Return the clean data set, with a recipe of the size that the options ask for."""
    runtime = Runtime(
        device=options.device,
        precision=options.precision,
        compiled=options.compiled,
        captured=options.captured,
    )
    scene = scenario(
        options.dataset,
        NO_ATTACK,
        n_train=options.n_train,
        n_test=options.n_test,
        context=Context(runtime, store, sitting.progress),
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
