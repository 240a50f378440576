"""Measure tables of three seeds: python -m dlp_lib.record NAME ... (all: about two hours on two cores).

Everything trained is kept in the store, so that a run that was killed goes on where it was.
The paper's own experiments: python -m dlp_lib.record cifar10 --help
"""

import argparse
import sys
from pathlib import Path

from .. import plots
from ..data import load
from ..runtime import HOME, Runtime, environment
from ..store import Store
from ..train import Context
from . import FOLDER, cifar10, compare, defended, limits, undefended, write
from .bench import ATTACKS, GAMMA, Bench

TABLES = {
    name.removeprefix("measure_"): function
    for part in (undefended, defended, compare, limits)
    for name, function in vars(part).items()
    if name.startswith("measure_")
}


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib.record", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="+", choices=[*TABLES, "all"], metavar="NAME", help=f"{', '.join(TABLES)}, or all"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--n-train", type=int, default=5000, help="training images of shapes10")
    parser.add_argument("--store", type=Path, default=HOME / "build" / "store")
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = sys.argv[1:] if given is None else given
    if given[:1] == ["cifar10"]:
        cifar10.main(given[1:])
        return
    arguments = parser.parse_args(given)
    for name in TABLES if "all" in arguments.names else arguments.names:
        rows = []
        for seed in arguments.seeds:
            context = Context(Runtime(seed, arguments.device), Store(arguments.store), plots.progress)
            bench = Bench(*(part.to(context.runtime.device) for part in load("shapes10", arguments.n_train)), context)
            for row in TABLES[name](bench):
                rows.append({"seed": seed, **row})
                print(rows[-1], flush=True)
        made = {
            "what": TABLES[name].__doc__,
            "data": bench.train.digest,
            "epochs": bench.epochs,
            "settle": bench.settle,
        }
        made |= {"gamma": GAMMA, "attacks": repr(ATTACKS), "dlp": repr(bench.dlp), **environment(context.runtime)}
        write(name, rows, made, arguments.out)


if __name__ == "__main__":
    main()
