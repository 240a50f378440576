"""Training steps on a GPU: eager, captured, and against the limit; then whether they agree.

The limit is a captured step on views that are ready as floats: forward, backward, update. Each
stage is the real one; its second block counts, after warm-up and capture. In under three minutes.

python benchmarks/gpu.py [--images N] [--device NAME] [--quick]

With --quick on the CPU it shows that everything runs; no capture is tried there.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from harness import HOME, make_optimiser, random_split, update
from steps import limit_loss
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from dlp_lib import Context, FixMatch, Runtime, Split, Supervised, fixmatch, supervised, wrn_16_1
from dlp_lib.context import Progress, no_progress
from dlp_lib.models import to_float
from dlp_lib.runtime import PRECISIONS, environment
from dlp_lib.training.capture import record_cuda_graph, side_stream
from dlp_lib.training.stage import cross_entropy

EPOCHS = 10  # E1, the paper's
WANTED = {"supervised": 1.1, "FixMatch": 1.3}  # times the limit, at most
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cudaGraphLaunch")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


class Enough(Exception):
    """Enough blocks were measured."""


@dataclass(frozen=True)
class Setting:
    """What is measured, and on what."""

    split: Split  # on the device
    steps: int  # of a block; 20 or more, as FixMatch's blocks are not shorter
    supervised: Supervised
    fixmatch: FixMatch

    def train(self, name: str, runtime: Runtime, blocks: int, progress: Progress) -> nn.Module:
        """Train blocks of a stage from the seed's weights; return the model."""
        model = wrn_16_1(10, runtime).to(runtime.device)
        context = Context(runtime, progress=progress)
        if name == "supervised":
            part = self.split.subset(slice(self.steps * self.supervised.batch))
            supervised(model, part, blocks, self.supervised, context)
        else:
            trusted = torch.arange(len(self.split) // 10, device=self.split.images.device)
            config = replace(self.fixmatch, steps=blocks * self.steps)
            fixmatch(model, self.split, trusted, config, context)
        return model

    def train_three_blocks(self, name: str, runtime: Runtime, progress: Progress) -> None:
        """Train a stage of fifty blocks, which is what FixMatch has, and stop after the third."""

        def until_third(stage: str, block: int, blocks: int, row: dict) -> None:
            progress(stage, block, blocks, row)
            if block == 3:
                raise Enough

        with contextlib.suppress(Enough):
            self.train(name, runtime, 50, until_third)


@dataclass(frozen=True)
class Row:
    """One way of making a step."""

    stage: str
    way: str
    milliseconds: float  # a step
    recording: float | None = None  # share of a block's time that no step takes
    launches: float | None = None  # a step: kernels and graphs
    waits: float | None = None  # a step: what the host waits for
    device_milliseconds: float | None = None  # a step: sum over the kernels
    peak_mebibytes: float | None = None

    def __str__(self) -> str:
        cells = [f"{self.stage:<11}", f"{self.way:<30}", f"{self.milliseconds:>8.3f}"]
        for value, form in (
            (self.recording, "{:>9.1%}"),
            (self.launches, "{:>9.1f}"),
            (self.waits, "{:>9.2f}"),
            (self.device_milliseconds, "{:>9.3f}"),
            (self.peak_mebibytes, "{:>9.0f}"),
        ):
            cells.append("        –" if value is None else form.format(value))
        return " ".join(cells)


HEAD = (
    f"{'stage':<11} {'way':<30} {'ms/step':>8} {'recording':>9} {'launches':>9} {'waits':>9} "
    f"{'device ms':>9} {'peak MiB':>9}"
)


def ways(device: str, precisions: Sequence[str]) -> Iterator[tuple[str, Runtime]]:
    """Yield the ways of making a step, with their names."""
    for precision in precisions:
        yield f"eager, {precision}", Runtime(device=device, precision=precision)
        if device != "cpu":
            yield (
                f"captured, {precision}",
                Runtime(device=device, precision=precision, captured=True),
            )
    if device != "cpu":
        yield "compiled, float32", Runtime(device=device, compiled=True)


def measure(name: str, way: str, setting: Setting, runtime: Runtime) -> Row:
    """Time the second and third block of a stage."""
    on_gpu = runtime.device != "cpu"
    ends: list[float] = []
    seconds: list[float] = []
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()

    def progress(stage: str, block: int, blocks: int, row: dict) -> None:
        ends.append(time.perf_counter())
        seconds.append(row["seconds"])

    setting.train_three_blocks(name, runtime, progress)
    whole_block = (ends[2] - ends[0]) / 2
    in_steps = (seconds[1] + seconds[2]) / 2
    launches, waits, on_device = profiled(name, setting, runtime) if on_gpu else (None,) * 3
    return Row(
        name,
        way,
        1000 * in_steps / setting.steps,
        max(0.0, 1 - in_steps / whole_block),
        launches,
        waits,
        on_device,
        torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
    )


def profiled(name: str, setting: Setting, runtime: Runtime) -> tuple[float, float, float]:
    """Return launches, waits and the device's milliseconds of a step, over a whole block."""
    profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])

    def progress(stage: str, block: int, blocks: int, row: dict) -> None:
        if block == 1:
            profiler.start()
        if block == 2:
            torch.cuda.synchronize()
            profiler.stop()

    setting.train_three_blocks(name, runtime, progress)
    launches = 0
    waits = 0
    microseconds = 0.0
    for event in profiler.events():
        launches += event.name in LAUNCHES
        waits += event.name in WAITS
        if event.device_type.name == "CUDA":
            microseconds += event.device_time
    steps = setting.steps
    return launches / steps, waits / steps, microseconds / 1000 / steps


def limit(name: str, setting: Setting, runtime: Runtime) -> Row:
    """Time a step on views that are ready, captured where there is a GPU."""
    device = torch.device(runtime.device)
    model = wrn_16_1(10, runtime).to(device).train()
    images = to_float(setting.split.images[: 8 * setting.fixmatch.batch])
    labels = setting.split.labels
    if name == "supervised":
        config = setting.supervised
        batch = (images[: config.batch], labels[: config.batch])

        def loss() -> Tensor:
            return cross_entropy(model, batch)
    else:
        config = setting.fixmatch
        unlabelled = config.batch * config.mu
        joined = images[: config.batch + unlabelled]
        views = (images[:unlabelled], joined, labels[: config.batch])

        def loss() -> Tensor:
            return limit_loss(model, views, config)

    optimiser = make_optimiser(model, config, fused=True)

    def step() -> None:
        with runtime.autocast():
            value = loss()
        update(optimiser, value)

    with side_stream(device):
        for _ in range(3):
            step()
        launch = step
        if device.type == "cuda":
            optimiser.zero_grad()
            launch = record_cuda_graph(step)
            torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(setting.steps):
            launch()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    return Row(name, f"limit, {runtime.precision}", 1000 * seconds / setting.steps)


def largest_difference(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max((a.double() - b.double()).abs().max().item() for a, b in pairs)


def compare_with_eager(setting: Setting, device: str) -> dict[str, float]:
    """Return the largest difference of a weight after two blocks, captured and eager.

    Algorithms are deterministic. The optimiser of eager steps is not fused, so that rounding
    differs; "eager twice" says what two equal runs differ by.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    eager = Runtime(device=device)
    captured = replace(eager, captured=device != "cpu")
    few = replace(setting, steps=20)
    found = {}
    for name in WANTED:
        first = few.train(name, eager, 2, no_progress)
        again = few.train(name, eager, 2, no_progress)
        replayed = few.train(name, captured, 2, no_progress)
        found[f"{name}, eager twice"] = largest_difference(first, again)
        found[f"{name}, captured"] = largest_difference(first, replayed)
    torch.use_deterministic_algorithms(False)
    return found


def summarise(rows: list[Row], images: int) -> list[str]:
    """Return sentences: times the limit, and what a whole DLP would take."""
    by_name = {(row.stage, row.way): row for row in rows}
    sentences = []
    for (stage, way), row in by_name.items():
        kind, _, precision = way.partition(", ")
        if kind in ("eager", "captured"):
            times = row.milliseconds / by_name[stage, f"limit, {precision}"].milliseconds
            wanted = f" (wanted: ≤ {WANTED[stage]})" if kind == "captured" else ""
            sentences.append(f"{stage}, {way}: {times:.2f} times the limit{wanted}")
    for way in [way for stage, way in by_name if stage == "FixMatch" and "limit" not in way]:
        first = by_name["supervised", way]
        third = by_name["FixMatch", way]
        steps = EPOCHS * images / Supervised().batch
        seconds = steps * first.milliseconds / (1 - first.recording) / 1000
        seconds += FixMatch().steps * third.milliseconds / (1 - third.recording) / 1000
        sentences.append(
            f"stages 1 and 3 of {images:,} images, {FixMatch().steps:,} steps, {way}: "
            f"{seconds:.0f} s, extrapolated"
        )
    return sentences


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    options = parser.parse_args()
    runtime = Runtime(device=options.device)
    if options.quick:
        split = random_split(400, 8).to(runtime.device)
        setting = Setting(split, 20, Supervised(batch=16), FixMatch(batch=4, mu=2))
    else:
        split = random_split(options.images, 32).to(runtime.device)
        setting = Setting(split, 200, Supervised(), FixMatch())
    precisions = PRECISIONS[:1] if options.quick else PRECISIONS
    rows = []
    print(HEAD, flush=True)
    for name in WANTED:
        for precision in precisions:
            rows.append(limit(name, setting, replace(runtime, precision=precision)))
            print(rows[-1], flush=True)
        for way, runtime_of_way in ways(runtime.device, precisions):
            rows.append(measure(name, way, setting, runtime_of_way))
            print(rows[-1], flush=True)
    sentences = summarise(rows, options.images)
    differences = compare_with_eager(setting, runtime.device)
    sentences += [f"{name}: {value:.3g}" for name, value in differences.items()]
    print(*sentences, sep="\n")
    content = {
        "environment": environment(runtime),
        "options": vars(options),
        "rows": [asdict(row) for row in rows],
        "largest difference of a weight": differences,
    }
    path = HOME / "build" / "benchmarks" / ("gpu-quick.json" if options.quick else "gpu.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
