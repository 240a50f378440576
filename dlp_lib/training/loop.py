"""The one training loop. A run is a row of blocks; every block is recorded, and a run resumes.

A block is an epoch, or a number of steps. The pieces are read from the top down: ``train`` reads
what is recorded and trains the rest, ``_train_blocks`` goes from block to block, ``_train_block``
makes the steps of one.
"""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..context import Context
from ..runtime import Runtime, environment, keep_freed_memory
from ..store import Record
from .checkpoints import Checkpoints
from .inference import keep_modes
from .optimiser import SGD

# A row of plain values for every block. Every stage has these columns:
#   block     its number; 1 is the first
#   loss      mean of the steps' losses, as minimised; None where the block diverged
#   diverged  whether the loss or a weight was not finite
#   seconds   how long the steps took, when they were computed
#   images    how many images passed with gradient
# Supervised learning adds:
#   accuracy  of all training samples, after the epoch
# Unlearning adds:
#   accuracy              of the suspects, with batch-norm as the ascent left it
#   accuracy_reestimated  of the suspects, with re-estimated batch-norm
#   accuracy_sample       of a sample of the tampered set, with re-estimated batch-norm
#   collapsed             whether the model has collapsed on that sample
# FixMatch adds:
#   confident  share of the pseudo-labels that counted
History = list[dict]


@dataclass(frozen=True)
class Task:
    """What the loop must know of a stage."""

    name: str
    config: SGD
    batches: Callable[[int], Iterable[Any]]  # the batches of a block; 1 is the first block
    loss: Callable[[nn.Module, Any], Tensor]  # of the model and a batch; to be minimised
    measure: Callable[[nn.Module], Record]  # at a block's end: further tensors and columns
    lr: Callable[[int], float] | None = None  # of the step, 0 is the first; None: the config's lr
    average: nn.Module | None = None  # a copy of the model that follows the average of its weights
    frozen: bool = False  # batch-norm trains in evaluation mode: its statistics stay

    def learned(self, model: nn.Module) -> nn.Module:
        """Return the module whose weights count: the average where there is one."""
        return model if self.average is None else self.average


def train(
    model: nn.Module, task: Task, blocks: int, checkpoints: Checkpoints, context: Context
) -> History:
    """Train a model in place, or read what of that is recorded already.

    If another process trains the same task, this one waits, and then reads its records.
    A block after which the loss or a weight is not finite is taken back. Its row says "diverged",
    and the run ends there, with the weights of the block before.

    Args:
        model: left with the weights of the last block; with their average, where there is one.
        task: what to do in a step.
        blocks: how many blocks to train; fewer than before reads the first ones.
        checkpoints: where blocks are recorded.
        context: device, random streams and progress.

    Returns:
        A row for every block.
    """
    history = checkpoints.history(blocks)
    if not _is_complete(history, blocks):
        with checkpoints.lock():
            history = checkpoints.history(blocks)  # another process may have written more
            if not _is_complete(history, blocks):
                history = _train_blocks(model, task, blocks, checkpoints, context, history)
    if history:
        checkpoints.load(model, len(history))  # computed or read, the model is left the same
    return history


def _is_complete(history: History, blocks: int) -> bool:
    has_diverged = bool(history) and history[-1]["diverged"]
    return len(history) >= blocks or has_diverged


def _train_blocks(
    model: nn.Module,
    task: Task,
    blocks: int,
    checkpoints: Checkpoints,
    context: Context,
    history: History,
) -> History:
    """Train the blocks that ``history`` lacks, from the newest state, and record each."""
    modules = nn.ModuleDict({"model": model})
    if task.average is not None:
        modules["ema"] = task.average
    optimiser = task.config.optimiser(list(model.parameters()))
    last_block, step = checkpoints.resume(modules, optimiser, recorded=len(history))
    history = history[:last_block]  # blocks after the newest state are trained once more
    batch_loss = _loss_of_batch(context.runtime, model, task.loss)
    keep_freed_memory()
    for block in range(last_block + 1, blocks + 1):
        # Dropout, and whatever else draws from torch's global stream, is seeded block by block.
        with context.runtime.global_stream(task.name, "dropout", block):
            row, step = _train_block(modules, task, batch_loss, block, step, optimiser)
            measured = task.measure(task.learned(model))
        row = {"block": block, **row, **measured.facts}
        history.append(row)
        # The record comes before the state: killed in between, the block is trained once more.
        checkpoints.write(block, task.learned(model), measured.tensors, row)
        progress_so_far = {"block": block, "step": step, **environment(context.runtime)}
        checkpoints.write_state(modules, optimiser, progress_so_far)
        context.progress(task.name, block, blocks, row)
        if row["diverged"]:
            break
    return history


def _loss_of_batch(
    runtime: Runtime, model: nn.Module, loss: Callable[[nn.Module, Any], Tensor]
) -> Callable[[Any], Tensor]:
    """Return the loss as a function of a batch, in the runtime's precision."""
    forward = model
    if runtime.compiled:
        torch.compiler.reset()  # models compiled before count against a limit
        forward = torch.compile(model, mode="reduce-overhead", dynamic=False)

    def batch_loss(batch: Any) -> Tensor:
        with runtime.autocast():
            return loss(forward, batch)

    return batch_loss


def _train_block(
    modules: nn.ModuleDict,
    task: Task,
    batch_loss: Callable[[Any], Tensor],
    block: int,
    step: int,
    optimiser: torch.optim.Optimizer,
) -> tuple[dict, int]:
    """Make the steps of one block; return its row, and how many steps were made so far."""
    model = modules["model"]
    before = copy.deepcopy(modules.state_dict())
    began = time.perf_counter()
    first_step = step
    weights = _floating_point(model)
    averages = [] if task.average is None else _floating_point(task.average)
    # The losses are summed on the device and read once, so that a GPU need not wait in a step.
    total = next(model.parameters()).new_zeros(())
    with _training_mode(model, task.frozen):
        for batch in task.batches(block):
            _set_learning_rate(optimiser, task, step)
            optimiser.zero_grad()
            loss = batch_loss(batch)
            loss.backward()
            optimiser.step()
            if averages:
                decay = min(0.999, (1 + step) / (10 + step))  # it warms up
                torch._foreach_lerp_(averages, weights, 1 - decay)  # one launch on a GPU
            total += loss.detach()
            step += 1
    if step == first_step:
        raise ValueError(f"{task.name}: block {block} has no batches")
    mean = (total / (step - first_step)).item()
    finite = math.isfinite(mean)
    finite = finite and all(value.isfinite().all() for value in model.state_dict().values())
    if not finite:
        modules.load_state_dict(before)  # not the optimiser: a run that diverged never goes on
    row = {
        "loss": mean if finite else None,
        "diverged": not finite,
        "seconds": time.perf_counter() - began,
    }
    return row, step


def _floating_point(module: nn.Module) -> list[Tensor]:
    """Return weights and batch-norm statistics as views, in which later steps show."""
    return [value for value in module.state_dict().values() if value.is_floating_point()]


def _set_learning_rate(optimiser: torch.optim.Optimizer, task: Task, step: int) -> None:
    """Set the step's learning rate in every parameter group.

    A group whose learning rate was twice the config's at the start has twice the step's.
    """
    rate = task.config.lr if task.lr is None else task.lr(step)
    for group in optimiser.param_groups:
        initial = group.setdefault("initial_lr", group["lr"])  # as the config made it
        group["lr"] = initial / task.config.lr * rate


@contextlib.contextmanager
def _training_mode(model: nn.Module, frozen: bool) -> Iterator[None]:
    """Put a model into training mode, batch-norm excepted if ``frozen``, and back afterwards."""
    with keep_modes(model):
        model.train()
        for module in model.modules():
            if frozen and isinstance(module, _BatchNorm):
                module.eval()
        yield
