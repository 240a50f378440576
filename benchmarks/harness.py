"""What the scripts here share: two things measured in turn, and the table of what came out.

As soon as dlp_lib has computed something, glibc keeps freed memory in that process (``runtime.keep_freed_memory``).
What ours is compared with runs in the same process, and gains by that as well; memory.py says what it brings.
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
    """How many times as much the other takes as ours does: above 1, ours is the better."""

    what: str
    ours: float  # median over the rounds, in ``unit``
    other: float
    ratio: float  # median over the rounds of other / ours
    least: float
    most: float
    unit: str
    wanted: str

    def __str__(self) -> str:
        spread = f"{self.ratio:.3g} ({self.least:.3g} to {self.most:.3g})"
        return f"{self.what:<64} {self.ours:>8.4g} {self.other:>8.4g} {self.unit:<3}  {spread:<28} {self.wanted}".rstrip()


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


def options(description: str, rounds: int = 7) -> argparse.ArgumentParser:
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


def read(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line's options, and the head of the table."""
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: allowed are 1 and more")
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    print(
        f"{'ours: what it is compared with':<64} {'ours':>8} {'other':>8}      other / ours (spread)        wanted"
    )
    return arguments


def turns(
    ours: Callable[[], Any], other: Callable[[], Any], rounds: int, warm: bool = True
) -> list[tuple]:
    """What both return, round by round. They take turns, and which one begins does too.

    ``warm``: one more of each goes first and does not count, for imports, caches and workers that have to start.
    """
    if warm:
        ours(), other()
    pairs = []
    for turn in range(rounds):
        if turn % 2:
            first = ours()
            pairs.append((first, other()))
        else:
            first = other()
            pairs.append((ours(), first))
    return pairs


def compare(
    what: str, ours: Callable[[], float], other: Callable[[], float], rounds: int, wanted: str = ""
) -> Ratio:
    """Each returns the seconds of what counts."""
    return ratio(what, turns(ours, other, rounds), wanted)


def ratio(
    what: str, pairs: Sequence[tuple[float, float]], wanted: str = "", unit: str = "s"
) -> Ratio:
    ratios = [other / ours for ours, other in pairs]
    ours, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    row = Ratio(
        what, ours, other, statistics.median(ratios), min(ratios), max(ratios), unit, wanted
    )
    print(row, flush=True)
    return row


def figure(what: str, values: Sequence[float], unit: str, wanted: str = "") -> Figure:
    row = Figure(what, statistics.median(values), min(values), max(values), unit, wanted)
    print(row, flush=True)
    return row


def report(name: str, rows: Iterable[Ratio | Figure], arguments: argparse.Namespace) -> None:
    """Keep the rows, and where they were measured, as build/benchmarks/NAME.json (NAME-quick.json: worth nothing)."""
    content = {
        "environment": environment(Runtime()),
        "options": vars(arguments),
        "rows": [*map(asdict, rows)],
    }
    path = HOME / "build" / "benchmarks" / f"{name}{'-quick' if arguments.quick else ''}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    print(f"written: {path}")


def timed(function: Callable, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def each(count: float, function: Callable, *arguments) -> float:
    """Seconds for one of the ``count`` things that the function does."""
    return timed(function, *arguments) / count


def drawn(n: int, size: int) -> Split:
    """Random images, of ten classes in turn: times do not depend on what is to be seen."""
    images = torch.randint(
        256, (n, 3, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return Split.from_arrays(images, torch.arange(n) % 10)


def optimiser_of(model: nn.Module, config: SGD, fused: bool = False) -> torch.optim.SGD:
    settings = {
        name: getattr(config, name) for name in ("lr", "momentum", "weight_decay", "nesterov")
    }
    return torch.optim.SGD(model.parameters(), **settings, fused=fused)


def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def bare(
    model: nn.Module, config: SGD, loss: Callable[[nn.Module, Any], Tensor], batches: Sequence
) -> float:
    """The limit: seconds a step of nothing but forward, backward and update, on batches that are there as floats."""
    optimiser = optimiser_of(model, config, fused=True)
    began = time.perf_counter()
    for batch in batches:
        update(optimiser, loss(model, batch))
    return (time.perf_counter() - began) / len(batches)


def fresh(call: str, **variables: str) -> Any:
    """What a call such as "memory.idle()" of a script here comes to in a process of its own, with these variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))
    }
    code = f"import json, {call.split('.')[0]}; print(json.dumps({call}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=HERE,
        env=kept | variables,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def peak() -> float:
    """MiB that this process has held at most (Linux). What getrusage says begins with what its parent held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
