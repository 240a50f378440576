"""A training step: forward, backward, update, and the average of the weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..runtime import Runtime
from ..store import Record
from .batches import Batch, Stack
from .optimiser import SGD

Losses = dict[str, Tensor]  # "loss", which is minimised, and further scalars to be recorded


@dataclass(frozen=True)
class Task:
    """What the loop must know of a stage."""

    name: str
    config: SGD
    # The batches of a block, 1 is the first: tuples of tensors (see training.batches), such as
    # positions in the data and random draws. All that changes from step to step is among them
    batches: Callable[[int], Any]
    # Of the model and a batch on its device: the scalar to be minimised, or Losses. It reads
    # nothing from the device, and its Python numbers are the same in every step
    loss: Callable[[nn.Module, Any], Tensor | Losses]
    # Of the model after a block, and the block's number: further tensors, and columns of History
    measure: Callable[[nn.Module, int], Record]
    lr: Callable[[int], float] | None = None  # of the step, 0 is the first; None: the config's lr
    average: nn.Module | None = None  # a copy of the model that follows the average of its weights
    frozen: bool = False  # batch-norm trains in evaluation mode: its statistics stay
    watch: Callable[[nn.Module], None] | None = None  # called before every step
    compiles: bool = True  # whether the loss takes a model that was compiled

    def learned(self, model: nn.Module) -> nn.Module:
        """Return the module whose weights count: the average where there is one."""
        return model if self.average is None else self.average


class Step:
    """Makes single steps. A step reads nothing from the device.

    So on a GPU a step can be captured, and replayed with other batches.
    """

    def __init__(
        self, modules: nn.ModuleDict, task: Task, optimiser: torch.optim.Optimizer, runtime: Runtime
    ):
        self.modules = modules  # the model, and its average as "ema"
        self.task = task
        self.optimiser = optimiser
        # Summed on the device and read once a block, so that a GPU need not wait in a step
        self.sums: Losses = {}
        self._losses = _losses_of_batch(runtime, modules["model"], task)
        self._weights = floating_point(modules["model"])
        self._averages = [] if task.average is None else floating_point(task.average)

    def __call__(self, batch: Batch, share: Tensor | float) -> None:
        """Make a step.

        Args:
            batch: tensors on the model's device.
            share: how much the average takes of the new weights.
        """
        self.optimiser.zero_grad()
        losses = self._losses(batch)
        losses["loss"].backward()
        self.optimiser.step()
        if self._averages:
            change = torch._foreach_sub(self._weights, self._averages)
            torch._foreach_mul_(change, share)
            torch._foreach_add_(self._averages, change)
        for name, value in losses.items():
            value = value.detach()
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value)
            self.sums[name] += value

    def learning_rates(self, number: int) -> list[float]:
        """Return the learning rate of every parameter group in a step; 0 is the first.

        A group whose learning rate was twice the config's at the start stays at twice the step's.
        """
        task = self.task
        rate = task.config.lr if task.lr is None else task.lr(number)
        rates = []
        for group in self.optimiser.param_groups:
            initial = group.setdefault("initial_lr", float(group["lr"]))
            rates.append(initial / task.config.lr * rate)
        return rates

    def set_learning_rates(self, rates: Sequence[float | Tensor]) -> None:
        """Set the learning rate of every parameter group."""
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            if not isinstance(group["lr"], Tensor):
                group["lr"] = rate
            elif isinstance(rate, Tensor):  # in a captured step
                group["lr"].copy_(rate)
            else:
                group["lr"].fill_(rate)


def average_share(number: int) -> float:
    """Return how much the average takes of the new weights in a step; 0 is the first step.

    That is 1/1000 in the end. It begins with 9/10, so that the first weights are soon forgotten.
    """
    keeps = min(0.999, (1 + number) / (10 + number))
    return 1 - keeps


def run_eagerly(step: Step, stack: Stack, first: int) -> None:
    """Make one step for each batch of a stack.

    Args:
        step: makes them.
        stack: batches on the model's device.
        first: number of the first step, in the whole run; 0 is the first.
    """
    for number, batch in enumerate(stack.unstack(), first):
        if step.task.watch is not None:
            step.task.watch(step.modules["model"])
        step.set_learning_rates(step.learning_rates(number))
        step(batch, average_share(number))


def floating_point(module: nn.Module) -> list[Tensor]:
    """Return weights and batch-norm statistics as views, in which later steps show."""
    return [value for value in module.state_dict().values() if value.is_floating_point()]


def _losses_of_batch(runtime: Runtime, model: nn.Module, task: Task) -> Callable[[Batch], Losses]:
    """Return the losses as a function of a batch, in the runtime's precision."""
    forward = model
    if runtime.compiled and task.compiles:
        torch.compiler.reset()  # models compiled before count against a limit
        forward = torch.compile(model, mode="reduce-overhead", dynamic=False)

    def losses(batch: Batch) -> Losses:
        with runtime.autocast():
            found = task.loss(forward, batch)
        return found if isinstance(found, dict) else {"loss": found}

    return losses
