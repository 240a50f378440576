"""How far FixMatch comes at the paper's scale: CA and ASR at every tenth of as many steps as fit.

Stages 1 and 2 of the paper's settings on BadNets, and then stage 3 for the given time. The speed
of a step is measured first, and decides how many steps there are.

python benchmarks/paper_scale.py [--dataset NAME] [--seconds S] [--captured] [--precision P]
"""

import argparse
import copy
import json
import math
from dataclasses import replace

from harness import HOME
from torch import Tensor

from dlp_lib import (
    DLP,
    Context,
    Runtime,
    Split,
    Stage,
    evaluate,
    load,
    poison,
    print_progress,
    wrn_16_1,
)
from dlp_lib.attacks import limit_to_class
from dlp_lib.recipes import CIFAR10
from dlp_lib.runtime import environment

TRIAL_STEPS = 60  # of FixMatch, in three blocks; the last one is timed


def seconds_per_step(dlp: DLP, tampered: Split, runtime: Runtime) -> float:
    """Return the seconds of a step of stage 3, after one epoch of stage 1."""
    short = replace(
        dlp, e1=1, order=("SL", "ASSFT"), fixmatch=replace(dlp.fixmatch, steps=TRIAL_STEPS)
    )
    stage = short.run(wrn_16_1(10, runtime), tampered, Context(runtime)).stages["ASSFT"]
    blocks = len(stage.history)
    return stage.history[-1]["seconds"] / (TRIAL_STEPS / blocks)


def share(poisoned: Tensor, rows: Tensor) -> float:
    return poisoned[rows].double().mean().item()


def blocks_to_measure(name: str, stage: Stage) -> list[int]:
    """Return every tenth of stage 3, and of other stages the block that they were left at."""
    if name != "ASSFT":
        return [stage.selected_block]
    blocks = len(stage.history)
    return sorted({math.ceil(blocks * tenth / 10) for tenth in range(1, 11)})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="cifar10", help="or a folder of images")
    parser.add_argument("--n-train", type=int)
    parser.add_argument("--n-test", type=int)
    parser.add_argument("--seconds", type=float, default=450)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--captured", action="store_true")
    options = parser.parse_args()
    runtime = Runtime(device=options.device, precision=options.precision, captured=options.captured)
    clean, test = load(options.dataset, options.n_train, options.n_test)
    clean = clean.to(runtime.device)
    test = test.to(runtime.device)
    setting = limit_to_class(CIFAR10.attacks["BadNets"], clean)
    context = Context(runtime, progress=print_progress)
    tampered, truth = poison(clean, *setting, context)
    dlp = CIFAR10.dlp
    seconds = seconds_per_step(dlp, tampered, runtime)
    steps = max(20, math.floor(options.seconds / seconds))
    print(f"{1000 * seconds:.2f} ms a step: {steps:,} steps")
    dlp = replace(dlp, fixmatch=replace(dlp.fixmatch, steps=steps))
    untrained = wrn_16_1(len(clean.classes), runtime)
    result = dlp.run(untrained, tampered, context)
    poisoned = truth.poisoned.to(result.selection.trusted.device)
    rows = []
    model = copy.deepcopy(result.model)
    for name, stage in result.stages.items():
        for block in blocks_to_measure(name, stage):
            stage.load(model, block)
            metrics = evaluate(model, test, setting.attack)
            row = {"stage": name, "ca": metrics.ca, "asr": metrics.asr}
            rows.append(row | stage.history[block - 1])
            print(f"{name} {block}: CA {metrics.ca:.4f}, ASR {metrics.asr:.4f}")
    content = {
        "environment": environment(runtime),
        "options": vars(options),
        "steps": steps,
        "milliseconds a step": 1000 * seconds,
        "poisoned share of the suspects": share(poisoned, result.selection.suspected),
        "poisoned share of the trusted": share(poisoned, result.selection.trusted),
        "rows": rows,
    }
    path = HOME / "build" / "benchmarks" / "paper_scale.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
