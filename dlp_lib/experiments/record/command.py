"""Measure tables of three seeds; all of them take about ten hours, an estimate for one thread.

Everything trained is stored, so that a run that was killed goes on where it was.
The paper's own experiments: the name cifar10, with --help for its options. What the book's lab
page shows: the name lab, likewise.
"""

import argparse
import sys

from ...console import say
from ...context import Context, print_progress
from ...runtime import Runtime, environment
from ...store import Store
from .. import options as read
from ..scenario import NO_ATTACK, Scenario, scenario
from .cifar10 import command as cifar10
from .files import FOLDER, read_made, write
from .files import read as read_rows
from .settings import ATTACKS, GAMMA
from .tables import TABLES

ALL = "all"


def main(arguments: list[str] | None = None, prog: str = "python -m dlp_lib record") -> None:
    """Run the command line.

    Args:
        arguments: the words after the program's name; None: those of this process.
        prog: the program's name in messages.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["cifar10"]:
        cifar10.main(arguments[1:], f"{prog} cifar10")
        return
    options = _parser(prog).parse_args(arguments)
    names = list(TABLES) if ALL in options.names else options.names
    for name in names:
        _record(name, options)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names",
        nargs="+",
        choices=[*TABLES, ALL],
        metavar="NAME",
        help=f"{', '.join(TABLES)}, or {ALL}",
    )
    parser.add_argument("--seeds", nargs="+", type=read.seed, default=[0, 1, 2])
    parser.add_argument(
        "--data-seed",
        type=read.whole_number(0),
        default=0,
        help="another one draws other images; rows then have the column data_seed",
    )
    parser.add_argument(
        "--add", action="store_true", help="keep the rows that the table has of other seeds"
    )
    parser.add_argument("--device", type=read.device, default="auto")
    parser.add_argument(
        "--n-train", type=read.whole_number(1), default=5000, help="training images of shapes10"
    )
    read.add_store(parser)
    parser.add_argument("--out", type=read.folder, default=FOLDER)
    return parser


def _record(name: str, options: argparse.Namespace) -> None:
    """Measure one table with every seed, and write it."""
    rows = []
    data = {}
    if options.add:
        rows, data = _rows_of_other_seeds(name, options)
    drawn = {"data_seed": options.data_seed} if options.data_seed else {}
    for seed in options.seeds:
        context = Context(Runtime(seed, options.device), Store(options.store), print_progress)
        base = scenario(
            "shapes10",
            NO_ATTACK,
            n_train=options.n_train,
            context=context,
            data_seed=options.data_seed,
        )
        for row in TABLES[name](base):
            row = {"seed": seed, **drawn, **row}
            rows.append(row)
            say(row)
    rows.sort(key=lambda row: row["seed"])
    data[str(options.data_seed)] = base.clean.digest
    write(name, rows, _made(name, base, data), options.out)


def _rows_of_other_seeds(name: str, options: argparse.Namespace) -> tuple[list[dict], dict]:
    """Return the rows that a table has of seeds that are not measured now, and their data.

    The data are digests by data seed, as text; None where the table does not tell.
    """
    try:
        rows = read_rows(name, options.out)
        data = read_made(name, options.out)["data"]
    except FileNotFoundError:
        return [], {}
    if isinstance(data, str):  # in older tables: that of the last run
        seeds = _data_seeds(rows)
        data = {seeds[0]: data} if len(seeds) == 1 else {}
    others = [row for row in rows if row["seed"] not in options.seeds]
    return others, {seed: data.get(seed) for seed in _data_seeds(others)}


def _data_seeds(rows: list[dict]) -> list[str]:
    """Return the data seeds of rows, each once, as JSON has them for names."""
    return sorted({str(row.get("data_seed", 0)) for row in rows})


def _made(name: str, base: Scenario, data: dict[str, str | None]) -> dict:
    """Return how a table was made, with the digests of its data sets by data seed."""
    recipe = base.recipe
    made = {"what": TABLES[name].__doc__, "data": data}
    made["epochs"] = recipe.epochs
    made["cooldown_epochs"] = recipe.cooldown_epochs
    made["gamma"] = GAMMA
    made["attacks"] = repr(ATTACKS)
    made["dlp"] = repr(recipe.dlp)
    return made | environment(base.context.runtime)
