"""The most memory that training holds, and what keeping freed memory costs and brings (runtime.keep_freed_memory).

Every measurement is a process of its own. "Ours" keeps freed memory; in the other an environment variable of glibc's,
which says no more than its default, stands in the way of that.

python benchmarks/memory.py [--rounds N] [--quick]
"""

import os
from collections.abc import Iterator

import torch
from against import Figure, Ratio, drawn, figure, fresh, options, peak, ratio, read, report, turns

from dlp_lib import Context, FixMatch, Runtime, Supervised, fixmatch, supervised, wrn_16_1

WITHOUT = {"MALLOC_ARENA_MAX": str(8 * (os.cpu_count() or 1))}
SIZES = (16, 32)


def idle() -> float:
    """What imports alone hold, in MiB."""
    return peak()


def supervised_epoch(size: int, steps: int) -> dict[str, float]:
    config = Supervised()
    stage = supervised(
        wrn_16_1(10, Runtime()), drawn(steps * config.batch, size), 1, config, Context()
    )
    return {"seconds": stage.total("seconds") / steps, "peak": peak()}


def fixmatch_steps(size: int, steps: int) -> dict[str, float]:
    config = FixMatch(steps=steps)
    split = drawn(config.batch * (1 + config.mu), size)
    stage = fixmatch(wrn_16_1(10, Runtime()), split, torch.arange(config.batch), config, Context())
    return {"seconds": stage.total("seconds") / steps, "peak": peak()}


def of_keeping(call: str, what: str, rounds: int) -> Iterator[Ratio]:
    pairs = turns(lambda: fresh(call), lambda: fresh(call, **WITHOUT), rounds, warm=False)
    for quantity, unit in (("seconds", "s"), ("peak", "MiB")):
        values = [(ours[quantity], other[quantity]) for ours, other in pairs]
        yield ratio(
            f"{what}, {'a step' if unit == 's' else 'peak'}: freed memory given back",
            values,
            unit=unit,
        )


def main() -> None:
    arguments = read(options(__doc__, 5))
    rows: list[Ratio | Figure] = [figure("imports alone, peak", [fresh("memory.idle()")], "MiB")]
    steps = {
        "supervised_epoch": 2 if arguments.quick else 40,
        "fixmatch_steps": 1 if arguments.quick else 20,
    }
    for size in SIZES[:1] if arguments.quick else SIZES:
        for name, count in steps.items():
            what = f"{name.replace('_', ' ')}, {size} pixels"
            rows += of_keeping(f"memory.{name}({size}, {count})", what, arguments.rounds)
    report("memory", rows, arguments)


if __name__ == "__main__":
    main()
