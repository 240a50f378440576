"""The most memory that training holds, and what keeping freed memory costs and brings.

Every measurement is a process of its own. "Ours" keeps freed memory (runtime.keep_freed_memory). In
the other an environment variable of glibc's prevents that; it says no more than its default.

python benchmarks/memory.py [--rounds N] [--quick]
"""

import os
from collections.abc import Iterator

import torch
from harness import (
    Figure,
    Ratio,
    build_parser,
    figure,
    parse_arguments,
    peak_memory,
    random_split,
    ratio,
    report,
    run_in_new_process,
    take_turns,
)

from dlp_lib import Context, FixMatch, Runtime, Supervised, fixmatch, supervised, wrn_16_1

WITHOUT = {"MALLOC_ARENA_MAX": str(8 * (os.cpu_count() or 1))}
SIZES = (16, 32)


def idle() -> float:
    """Return what imports alone hold, in MiB."""
    return peak_memory()


def supervised_epoch(size: int, steps: int) -> dict[str, float]:
    config = Supervised()
    model = wrn_16_1(10, Runtime())
    split = random_split(steps * config.batch, size)
    stage = supervised(model, split, 1, config, Context())
    return {"seconds": stage.total("seconds") / steps, "peak": peak_memory()}


def fixmatch_steps(size: int, steps: int) -> dict[str, float]:
    config = FixMatch(steps=steps)
    model = wrn_16_1(10, Runtime())
    split = random_split(config.batch * (1 + config.mu), size)
    stage = fixmatch(model, split, torch.arange(config.batch), config, Context())
    return {"seconds": stage.total("seconds") / steps, "peak": peak_memory()}


def compare_call(call: str, what: str, rounds: int) -> Iterator[Ratio]:
    """Compare a call with the same call in a process that gives freed memory back."""

    def ours() -> dict[str, float]:
        return run_in_new_process(call)

    def other() -> dict[str, float]:
        return run_in_new_process(call, **WITHOUT)

    pairs = take_turns(ours, other, rounds, warm=False)
    seconds = [(kept["seconds"], returned["seconds"]) for kept, returned in pairs]
    peaks = [(kept["peak"], returned["peak"]) for kept, returned in pairs]
    yield ratio(f"{what}, a step: freed memory given back", seconds, unit="s")
    yield ratio(f"{what}, peak: freed memory given back", peaks, unit="MiB")


def main() -> None:
    arguments = parse_arguments(build_parser(__doc__, 5))
    idle_peak = run_in_new_process("memory.idle()")
    rows: list[Ratio | Figure] = [figure("imports alone, peak", [idle_peak], "MiB")]
    steps = {"supervised_epoch": 40, "fixmatch_steps": 20}
    sizes = SIZES
    if arguments.quick:
        steps = {"supervised_epoch": 2, "fixmatch_steps": 1}
        sizes = SIZES[:1]
    for size in sizes:
        for name, count in steps.items():
            what = f"{name.replace('_', ' ')}, {size} pixels"
            rows += compare_call(f"memory.{name}({size}, {count})", what, arguments.rounds)
    report("memory", rows, arguments)


if __name__ == "__main__":
    main()
