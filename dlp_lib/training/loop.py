"""The one training loop. A run is a row of blocks; every block is recorded, and a run resumes.

A block is an epoch, or a number of steps. The pieces are read from the top down: ``train`` reads
what is recorded and trains the rest, ``_train_blocks`` goes from block to block, ``_train_block``
makes the steps of one. What a single step does is in ``steps.py``.
"""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..context import Context
from ..runtime import environment, keep_freed_memory
from .batches import Stack, stacked
from .capture import Capture, prepare_optimiser, side_stream
from .checkpoints import Checkpoints, block_tensors, state_tensors
from .inference import keep_modes
from .recording import BlockRecord, Recorder
from .steps import Step, Task, floating_point, run_eagerly

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
# FixMatch adds, as whatever else its loss returns by name:
#   confident  share of the pseudo-labels that counted; the mean of the steps
History = list[dict]


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
    device = next(model.parameters()).device
    optimiser = task.config.optimiser(list(model.parameters()))
    last_block, number = checkpoints.resume(modules, optimiser, recorded=len(history))
    history = history[:last_block]  # blocks after the newest state are trained once more
    if context.runtime.captured:
        prepare_optimiser(optimiser, device)
    step = Step(modules, task, optimiser, context.runtime)
    run = Capture(step).run if context.runtime.captured else partial(run_eagerly, step)
    keep_freed_memory()
    with Recorder(checkpoints, in_background=device.type == "cuda") as recorder:
        for block in range(last_block + 1, blocks + 1):
            with side_stream(device):
                # Dropout, and whatever else draws from torch's global stream, is seeded block by
                # block. Other threads wait for that stream, so nothing is written meanwhile.
                with context.runtime.global_stream(task.name, "dropout", block):
                    row, number = _train_block(step, run, block, number)
                    learned = task.learned(model)
                    measured = task.measure(learned, block)
                row = {"block": block, **row, **measured.facts}
                tensors = block_tensors(learned) | measured.tensors
                state = state_tensors(modules, optimiser)
                facts = {"block": block, "step": number, **environment(context.runtime)}
                history.append(row)
                report = partial(context.progress, task.name, block, blocks, row)
                recorder.write(BlockRecord(block, tensors, row, state, facts), report)
            if row["diverged"]:
                break
    return history


def _train_block(
    step: Step, run: Callable[[Stack, int], None], block: int, number: int
) -> tuple[dict, int]:
    """Make the steps of one block; return its row, and how many steps were made so far."""
    task = step.task
    modules = step.modules
    device = next(modules.parameters()).device
    before = copy.deepcopy(modules.state_dict())
    began = time.perf_counter()
    first = number
    for total in step.sums.values():
        total.zero_()
    with _training_mode(modules["model"], task.frozen):
        for stack in stacked(task.batches(block), device):
            run(stack, number)
            number += stack.steps
    if number == first:
        raise ValueError(f"{task.name}: block {block} has no batches")
    means = _read_means(step, number - first)
    is_finite = math.isfinite(means["loss"]) and _is_finite(modules["model"])
    if not is_finite:
        modules.load_state_dict(before)  # not the optimiser: a run that diverged never goes on
        means["loss"] = None
    loss = means.pop("loss")
    seconds = time.perf_counter() - began
    return {"loss": loss, "diverged": not is_finite, "seconds": seconds, **means}, number


def _read_means(step: Step, steps: int) -> dict[str, float]:
    """Return the mean over the block's steps of everything that was summed: the one wait for it."""
    sums = torch.stack(list(step.sums.values()))
    return dict(zip(step.sums, (sums / steps).tolist(), strict=True))


def _is_finite(model: nn.Module) -> bool:
    """Return whether all weights and statistics are finite."""
    finite = [value.isfinite().all() for value in floating_point(model)]
    return bool(torch.stack(finite).all())


@contextlib.contextmanager
def _training_mode(model: nn.Module, frozen: bool) -> Iterator[None]:
    """Put a model into training mode, batch-norm excepted if ``frozen``, and back afterwards."""
    with keep_modes(model):
        model.train()
        for module in model.modules():
            if frozen and isinstance(module, _BatchNorm):
                module.eval()
        yield
