"""What the scripts here share: two things measured in turns, and the table of the results.

As soon as dlp_lib has computed something, glibc keeps freed memory in that process
(``runtime.keep_freed_memory``). What ours is compared with runs in the same process, and gains by
that as well. memory.py measures what it brings.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dlp_lib import HOME, SGD, Runtime, Split
from dlp_lib.runtime import environment

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Ratio:
    """How many times as much the other takes as ours does; above 1, ours is the better."""

    what: str
    ours: float  # median over the rounds, in ``unit``
    other: float
    ratio: float  # median over the rounds of other / ours
    least: float
    most: float
    unit: str
    wanted: str

    def __str__(self) -> str:
        medians = f"{self.ours:>8.4g} {self.other:>8.4g} {self.unit:<3}"
        spread = f"{self.ratio:.3g} ({self.least:.3g} to {self.most:.3g})"
        return f"{self.what:<64} {medians}  {spread:<28} {self.wanted}".rstrip()


@dataclass(frozen=True)
class Figure:
    """One quantity: its median over the rounds, and its spread."""

    what: str
    value: float
    least: float
    most: float
    unit: str
    wanted: str

    def __str__(self) -> str:
        spread = f"{self.value:.3g} ({self.least:.3g} to {self.most:.3g}) {self.unit}"
        return f"{self.what:<87} {spread:<28} {self.wanted}".rstrip()


def build_parser(description: str, rounds: int = 7) -> argparse.ArgumentParser:
    """Return a parser of the options that all scripts have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="how often each is measured (%(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, once: only to see that everything runs"
    )
    return parser


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the command line's options, and print the head of the table."""
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: allowed are 1 and more")
    if arguments.quick:
        arguments.rounds = 1
    title = "ours: what it is compared with"
    print(f"{title:<64} {'ours':>8} {'other':>8}      other / ours (spread)        wanted")
    return arguments


def take_turns(
    ours: Callable[[], Any], other: Callable[[], Any], rounds: int, warm: bool = True
) -> list[tuple]:
    """Return what both return, round by round. They take turns in who begins, too.

    Args:
        ours: the one.
        other: the other.
        rounds: how often each runs.
        warm: one more run of each goes first and does not count, for imports, caches and workers
            that have to start.
    """
    if warm:
        ours()
        other()
    pairs = []
    for round_ in range(rounds):
        if round_ % 2:
            first = ours()
            pairs.append((first, other()))
        else:
            first = other()
            pairs.append((ours(), first))
    return pairs


def compare(
    what: str, ours: Callable[[], float], other: Callable[[], float], rounds: int, wanted: str = ""
) -> Ratio:
    """Compare two functions, which return the seconds that count."""
    return ratio(what, take_turns(ours, other, rounds), wanted)


def ratio(
    what: str, pairs: Sequence[tuple[float, float]], wanted: str = "", unit: str = "s"
) -> Ratio:
    """Print and return the row of some pairs: ours, and the other."""
    ours, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = [of_other / of_ours for of_ours, of_other in pairs]
    median = statistics.median(ratios)
    row = Ratio(what, ours, other, median, min(ratios), max(ratios), unit, wanted)
    print(row, flush=True)
    return row


def figure(what: str, values: Sequence[float], unit: str, wanted: str = "") -> Figure:
    """Print and return the row of some values."""
    row = Figure(what, statistics.median(values), min(values), max(values), unit, wanted)
    print(row, flush=True)
    return row


def report(name: str, rows: Iterable[Ratio | Figure], arguments: argparse.Namespace) -> None:
    """Write the rows, and where they were measured, to build/benchmarks/NAME.json.

    With ``--quick`` the numbers are worth nothing, and the file is NAME-quick.json.
    """
    content = {
        "environment": environment(Runtime()),
        "options": vars(arguments),
        "rows": [asdict(row) for row in rows],
    }
    suffix = "-quick" if arguments.quick else ""
    path = HOME / "build" / "benchmarks" / f"{name}{suffix}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    print(f"written: {path}")


def seconds_of(function: Callable, *arguments) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def seconds_per(count: float, function: Callable, *arguments) -> float:
    """Return the seconds for one of the ``count`` things that a call does."""
    return seconds_of(function, *arguments) / count


def random_split(n: int, size: int) -> Split:
    """Return random images, of ten classes in turn: times do not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, 3, size, size), generator=generator, dtype=torch.uint8)
    return Split.from_arrays(images, torch.arange(n) % 10)


def make_optimiser(model: nn.Module, config: SGD, fused: bool = False) -> torch.optim.SGD:
    """Return PyTorch's own optimiser with a stage's settings."""
    return torch.optim.SGD(
        model.parameters(),
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.nesterov,
        fused=fused,
    )


def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Make one step of gradient descent."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def bare_step_seconds(
    model: nn.Module, config: SGD, loss: Callable[[nn.Module, Any], Tensor], batches: Sequence
) -> float:
    """Return the limit: the seconds of a step that is forward, backward and update, and no more.

    The batches are ready as floats.
    """
    optimiser = make_optimiser(model, config, fused=True)
    began = time.perf_counter()
    for batch in batches:
        update(optimiser, loss(model, batch))
    return (time.perf_counter() - began) / len(batches)


def run_in_new_process(call: str, **variables: str) -> Any:
    """Return the result of a call such as "memory.idle()" of a script here.

    Args:
        call: it returns plain JSON.
        variables: of the environment, beside the inherited ones. Those that control malloc are not
            inherited.
    """
    of_malloc = ("MALLOC_", "GLIBC_TUNABLES")
    names = [name for name in os.environ if not name.startswith(of_malloc)]
    inherited = {name: os.environ[name] for name in names}
    module = call.partition(".")[0]
    code = f"import json, {module}; print(json.dumps({call}))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HERE,
        env=inherited | variables,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(run.stdout)


def peak_memory() -> float:
    """Return the MiB that this process has held at most (Linux).

    getrusage would begin with what the parent held.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = re.search(r"VmHWM:\s+(\d+) kB", status)[1]
    return int(kilobytes) / 1024
