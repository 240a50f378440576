"""How long a fresh process takes to import the library, and to its first training step.

python benchmarks/startup.py [--rounds N] [--quick]
"""

import os
import subprocess
import sys
from functools import partial

from harness import (
    HERE,
    build_parser,
    figure,
    parse_arguments,
    ratio,
    report,
    seconds_of,
    take_turns,
)
from torch.optim.optimizer import register_optimizer_step_post_hook

import dlp_lib
from dlp_lib import BadNets, Context, Runtime, Supervised


def run_code(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=HERE, check=True)


def first_step(n: int | None) -> None:
    """Draw and poison the embedded set, and leave this process with the first step of stage 1."""
    register_optimizer_step_post_hook(lambda *_: os._exit(0))
    train, _ = dlp_lib.load("shapes10", n, n)
    tampered, _ = dlp_lib.poison(train, BadNets(), 0.1, Context())
    dlp_lib.supervised(dlp_lib.wrn_16_1(10, Runtime()), tampered, 1, Supervised(), Context())
    raise AssertionError("no step was taken")


def main() -> None:
    arguments = parse_arguments(build_parser(__doc__, 11))
    n = 200 if arguments.quick else None
    warm = not arguments.quick
    others = partial(seconds_of, run_code, "import torch, numpy")
    library = partial(seconds_of, run_code, "import torch, numpy, dlp_lib")
    step = partial(seconds_of, run_code, f"import startup; startup.first_step({n})")
    pairs = take_turns(library, others, arguments.rounds, warm)
    rows = [ratio("importing torch, numpy and dlp_lib: torch and numpy alone", pairs)]
    beyond = [ours - other for ours, other in pairs]
    rows.append(figure("importing dlp_lib, beyond torch and numpy", beyond, "s", "< 0.3 s"))
    pairs = take_turns(step, others, arguments.rounds, warm)
    rows.append(ratio("to the first step on the embedded set: importing torch and numpy", pairs))
    report("startup", rows, arguments)


if __name__ == "__main__":
    main()
