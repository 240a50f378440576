"""The one training loop: blocks of steps, each recorded, from any of which a killed run goes on."""

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .runtime import Runtime, environment, keep_freed_memory
from .store import Record, Store

SOURCE = __loader__.get_source(__name__)
History = list[dict]  # a row of plain numbers per block (an epoch, or a number of steps)


@dataclass(frozen=True)
class Context:
    """Where training runs, where it is recorded (by default in memory), and whom it tells."""

    runtime: Runtime = field(default_factory=Runtime)
    store: Store = field(default_factory=Store)
    progress: Callable[[str, int, int, dict], None] = lambda *_: None  # stage, block, blocks, row; of computed blocks


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent; what every stage's config begins with."""

    lr: float = 0.01  # the paper's
    momentum: float = 0.9  # the paper's
    weight_decay: float = 5e-4  # beta of Eq. 7; the paper does not say
    nesterov: bool = False
    batch: int = 128  # the paper's

    def __post_init__(self):
        allowed = self.lr > 0 and 0 <= self.momentum < 1 and self.weight_decay >= 0 and self.batch >= 2
        if not allowed or (self.nesterov and not self.momentum):
            raise ValueError(
                f"{self}: allowed are lr > 0, 0 ≤ momentum < 1 (nesterov > 0), weight_decay ≥ 0, batch ≥ 2"
            )


@dataclass(frozen=True)
class Task:
    """What ``train`` must know of a stage."""

    name: str
    config: SGD
    batches: Callable[[int], Iterable[Any]]  # of a block; 1 is the first
    loss: Callable[[nn.Module, Any], Tensor]  # of a batch, to be minimised
    record: Callable[[nn.Module], Record]  # what else to keep of a block's end: tensors, and entries of its row
    lr: Callable[[int], float] | None = None  # of the step; 0 is the first
    ema: nn.Module | None = None  # a copy of the model that follows its average, and is kept in its stead
    frozen: bool = False  # batch-norm in evaluation mode while training


class Trail:
    """The recorded blocks of one training run. One more, "state", is what a longer run goes on from."""

    def __init__(self, store: Store, name: str):
        self.store, self.name = store, name

    def read(self, block: int | str) -> Record | None:
        return self.store.read(f"{self.name}/{block}")

    def history(self, blocks: int) -> History:
        """The rows of the first blocks, as far as they are all recorded, or up to a divergence."""
        rows: History = []
        while len(rows) < blocks and not (rows and rows[-1]["diverged"]) and (record := self.read(len(rows) + 1)):
            rows.append(record.facts)
        return rows

    def load(self, model: nn.Module, block: int, reestimated: bool = False) -> None:
        """Put a block's weights into the model, of unlearning with re-estimated batch-norm if asked; or LookupError."""
        record = self.read(block)
        if record is None:
            raise LookupError(f"{self.name}: block {block} is not recorded")
        kept, first = record.tensors, "reestimated" if reestimated else "model"
        model.load_state_dict({n: kept.get(f"{first}.{n}", kept[f"model.{n}"]) for n in model.state_dict()})


def train(model: nn.Module, task: Task, blocks: int, trail: Trail, context: Context) -> History:
    """Train to ``blocks`` blocks, or read what of that is recorded; the model is left at the last one.

    A block that leaves the loss or a weight not finite is taken back, its row says "diverged", and the run ends there.
    Who trains the same on the same store at the same time waits, and reads.
    """
    history = trail.history(blocks)
    if _unfinished(history, blocks):
        with trail.store.lock(trail.name):
            history = _go_on(model, task, blocks, trail, context)
    if history:
        trail.load(model, len(history))
    return history


def _unfinished(history: History, blocks: int) -> bool:
    return len(history) < blocks and not (history and history[-1]["diverged"])


def _go_on(model: nn.Module, task: Task, blocks: int, trail: Trail, context: Context) -> History:
    history = trail.history(blocks)  # of which there may be more than before the lock
    if not _unfinished(history, blocks):
        return history
    modules = nn.ModuleDict({"model": model} | ({"ema": task.ema} if task.ema else {}))
    settings = {name: getattr(task.config, name) for name in ("lr", "momentum", "weight_decay", "nesterov")}
    optimiser = torch.optim.SGD(model.parameters(), **settings)
    start, step = _resume(modules, optimiser, trail, len(history))
    loss_of = _step_loss(context.runtime, model, task.loss)
    keep_freed_memory()
    history, origin = history[:start], environment(context.runtime)
    for block in range(start + 1, blocks + 1):
        with context.runtime.global_stream(task.name, "dropout", block):
            row, step = _block(modules, task, loss_of, block, step, optimiser)
            extra = task.record(task.ema or model)
        history.append({"block": block, **row, **extra.facts})
        kept = {f"model.{name}": value for name, value in (task.ema or model).state_dict().items()}
        trail.store.write(f"{trail.name}/{block}", kept | extra.tensors, history[-1])
        states = {name: optimiser.state.get(weight, {}) for name, weight in modules.named_parameters()}
        slots = {f"{slot}/{name}": value for name, state in states.items() for slot, value in state.items()}
        trail.store.write(f"{trail.name}/state", modules.state_dict() | slots, {"block": block, "step": step, **origin})
        context.progress(task.name, block, blocks, history[-1])
        if row["diverged"]:
            break
    return history


def _step_loss(runtime: Runtime, model: nn.Module, loss: Callable[[nn.Module, Any], Tensor]) -> Callable[[Any], Tensor]:
    """The loss of a batch, in the runtime's precision, of the model or of what compiles to the same."""
    forward = model
    if runtime.compiled:
        torch.compiler.reset()  # what earlier stages compiled counts against a limit, beyond which nothing is compiled
        forward = torch.compile(model, mode="reduce-overhead", dynamic=False)

    def of(batch: Any) -> Tensor:
        with runtime.autocast():
            return loss(forward, batch)

    return of


def _block(modules: nn.ModuleDict, task: Task, loss_of, block: int, step: int, optimiser) -> tuple[dict, int]:
    model, before = modules["model"].train(), copy.deepcopy(modules.state_dict())
    began, first = time.perf_counter(), step
    for layer in model.modules():
        if task.frozen and isinstance(layer, _BatchNorm):
            layer.eval()
    # The average is of weights and batch-norm statistics. state_dict() gives views: later steps show in them.
    followed = [value for value in model.state_dict().values() if value.is_floating_point()]
    averages = [value for value in task.ema.state_dict().values() if value.is_floating_point()] if task.ema else []
    total = next(model.parameters()).new_zeros(())  # summed on the device, read once
    for batch in task.batches(block):
        optimiser.param_groups[0]["lr"] = task.lr(step) if task.lr else task.config.lr
        loss = loss_of(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if averages:  # with a decay that warms up to 0.999, in one launch as torch's own averages
            torch._foreach_lerp_(averages, followed, 1 - min(0.999, (1 + step) / (10 + step)))
        total += loss.detach()
        step += 1
    mean = (total / (step - first)).item()
    finite = math.isfinite(mean) and all(value.isfinite().all() for value in model.state_dict().values())
    if not finite:
        modules.load_state_dict(before)
    return {"loss": mean if finite else None, "diverged": not finite, "seconds": time.perf_counter() - began}, step


def _resume(modules: nn.ModuleDict, optimiser, trail: Trail, recorded: int) -> tuple[int, int]:
    """Load the newest state; (0, 0) where there is none that the recorded blocks lead up to."""
    state = trail.read("state")
    if state is None or state.facts["block"] > recorded:
        return 0, 0
    modules.load_state_dict({name: state.tensors.pop(name) for name in modules.state_dict()})
    for name, value in state.tensors.items():
        slot, _, name = name.partition("/")
        weight = modules.get_parameter(name)
        optimiser.state[weight][slot] = torch.empty_like(weight).copy_(value)  # in the weight's memory format
    return state.facts["block"], state.facts["step"]
