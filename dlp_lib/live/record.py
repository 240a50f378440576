"""Measure what the lab page of the book shows: DLP's settings on a grid, under three attacks.

It takes about an hour on one core, and uses one. Everything trained is stored, so that a run
that was killed goes on where it was. A table an attack is written to data/recorded/lab: first
without fine-tuning, and again after each end that was fine-tuned.
"""

import argparse
import re
import time
from dataclasses import asdict, fields

import torch

from ..checking import match_name
from ..console import say
from ..context import Context
from ..experiments import options as read
from ..experiments.record import FOLDER, write
from ..recipes import SHAPES10
from ..runtime import Runtime, environment
from ..store import Store
from ..training import Diverged
from .answer import Answer
from .controller import Lab
from .grid import ATTACKS, SEED, Grid
from .rows import rows_of
from .sentence import AGREED, TEXTS
from .trainer import no_call

DATASET = "shapes10"


def main(arguments: list[str] | None = None, prog: str = "python -m dlp_lib record lab") -> None:
    """Run the command line.

    Args:
        arguments: the words after the program's name; None: those of this process.
        prog: the program's name in messages.
    """
    parser = _parser(prog)
    options = parser.parse_args(arguments)
    try:
        grid = Grid(**{field.name: getattr(options, field.name) for field in fields(Grid)})
    except ValueError as error:
        field = re.match(r"\w+", str(error))[0]
        parser.error(f"argument --{field.replace('_', '-')}: {error}")
    context = Context(Runtime(SEED, "cpu"), Store(options.store))
    lab = Lab(context, options.n_train, options.n_test, grid.epochs, options.steps)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the last digits depend on it
    try:
        began = time.monotonic()
        for attack in options.attacks:
            _record(lab, attack, grid, options, began)
    finally:
        torch.set_num_threads(threads)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Grid()
    lists = [
        ("--e1s", read.whole_number(1), "positions of E1"),
        ("--gammas", read.number, "positions of gamma"),
        ("--end-e1s", read.whole_number(1), "those of them from which fine-tuning goes on"),
        ("--end-gammas", read.number, "likewise"),
        ("--end-e2s", read.whole_number(0), "epochs of unlearning after which fine-tuning begins"),
    ]
    parser.add_argument("--attacks", nargs="+", type=_attack, default=ATTACKS)
    parser.add_argument("--epochs", type=read.whole_number(1), default=default.epochs)
    for name, kind, text in lists:
        values = getattr(default, name[2:].replace("-", "_"))
        parser.add_argument(name, nargs="+", type=kind, default=values, help=text)
    parser.add_argument("--n-train", type=read.whole_number(1), default=5000)
    parser.add_argument("--n-test", type=read.whole_number(1), default=300)
    parser.add_argument(
        "--steps", type=read.whole_number(1), help="of fine-tuning; by default the recipe's"
    )
    read.add_store(parser)
    parser.add_argument("--out", type=read.folder, default=FOLDER / "lab")
    return parser


def _attack(text: str) -> str:
    try:
        return match_name("attack", text, SHAPES10.attacks)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _record(lab: Lab, attack: str, grid: Grid, options: argparse.Namespace, began: float) -> None:
    """Measure one attack, and write it."""

    def done(text: str, number: int, count: int) -> None:
        minutes = (time.monotonic() - began) / 60
        say(f"{attack}: {text} {number} of {count} after {minutes:.1f} minutes")

    def save() -> None:
        rows = list(rows_of(lab, attack, grid))
        write(attack, rows, _made(lab, answer, grid, options.steps), options.out)

    starts = list(grid.starts(attack))
    for number, setting in enumerate(starts, 1):
        lab.work(setting, no_call, no_call)
        done("ascent", number, len(starts))
    answer = lab.look(starts[0])
    save()
    ends = list(grid.ends(attack))
    for number, setting in enumerate(ends, 1):
        try:
            lab.finetune(setting, no_call, no_call)
        except Diverged as error:
            say(f"{attack}: {error}")
        done("end", number, len(ends))
        save()


def _made(lab: Lab, answer: Answer, grid: Grid, steps: int | None) -> dict:
    """Return how a table was made, what its counts are of, and the texts of the sentence."""
    setting = answer.setting
    scenario = answer.scenario
    learned = answer.stages["SL"]
    recommended = asdict(lab.recommended(DATASET, SEED))
    return {
        "what": "Counts of the live lab, for the lab page of the book; see dlp_lib/live/rows.py.",
        "dataset": DATASET,
        "data": scenario.clean.digest,
        "attack": setting.attack,
        "poisoning_rate": setting.poisoning_rate,
        "seed": SEED,
        "classes": scenario.classes,
        "target": scenario.attack.target,
        "training_images": len(scenario.tampered),
        "poisoned_images": int(scenario.truth.poisoned.sum()),
        "test_images": learned["n_clean"],
        "triggered_images": learned["n_triggered"],
        "grid": asdict(grid),
        "recommended": {name: recommended[name] for name in ("e1", "gamma", "e2")},
        "lr": setting.lr,
        "steps": steps or setting.recipe.dlp.fixmatch.steps,
        "agreed": AGREED,
        "texts": TEXTS,
        **environment(lab.context.runtime),
    }
