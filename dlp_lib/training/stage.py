"""A stage: one training run under the fingerprint of everything that decides what it comes to."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..context import Context
from ..data import augment
from ..data.split import Split
from ..models.interface import to_float
from .checkpoints import Checkpoints
from .identity import scratch_left_out
from .loop import History, train
from .steps import Task


class Diverged(ArithmeticError):
    """A loss or a weight was not finite: the settings do not work, often the learning rate."""


@dataclass(frozen=True)
class Stage:
    """What a stage did, block by block, and where the next one goes on."""

    name: str  # "SL", "AU" or "ASSFT"; or a name of another defence's
    checkpoints: Checkpoints  # its recorded blocks
    history: History
    selected_block: int  # the block whose weights the model was left with; 0: as it was before
    reestimated: bool = False  # whether it was left with re-estimated batch-norm statistics

    def total(self, column: str) -> float:
        """Return the sum of a History column, "images" or "seconds" for example."""
        return sum(row[column] for row in self.history)

    def costs(self) -> dict[str, float]:
        """Return images with gradient, and the seconds of the steps when they were computed."""
        return {"images": self.total("images"), "seconds": self.total("seconds")}

    def logits(self, block: int | None = None) -> Tensor:
        """Return recorded logits (n, classes) of all training samples after a block, on the CPU.

        Supervised learning records them.

        Args:
            block: 1 is the first; None: the selected one.

        Raises:
            LookupError: where they are not recorded.
        """
        block = self.selected_block if block is None else block
        record = self.checkpoints.read(block)
        if record is None or "logits" not in record.tensors:
            raise LookupError(f"{self.name}: logits of block {block} are not recorded")
        return record.tensors["logits"]

    def logits_by_block(self) -> list[Tensor]:
        """Return the recorded logits after every block, as ``logits`` does; block 1 comes first."""
        return [self.logits(row["block"]) for row in self.history]

    def load(self, model: nn.Module, block: int | None = None) -> None:
        """Load the weights of a block into the model, as the stage would leave them.

        Args:
            model: of the same architecture and size; changed in place.
            block: 1 is the first; None: the selected one. Block 0 changes nothing.

        Raises:
            LookupError: where the block is not recorded.
        """
        block = self.selected_block if block is None else block
        if block > 0:
            self.checkpoints.load(model, block, self.reestimated)

    def expect_finite(self) -> "Stage":
        """Return the stage.

        Raises:
            Diverged: where its loss or a weight was not finite.
        """
        if self.history and self.history[-1]["diverged"]:
            raise Diverged(
                f"{self.name} diverged in block {len(self.history)}: its loss or a weight is not "
                "finite. A lower learning rate may help"
            )
        return self


def run_task(
    task: Task,
    model: nn.Module,
    blocks: int,
    context: Context,
    *inputs: object,
    images: Tensor | None = None,
) -> Stage:
    """Train, or read, under the fingerprint of everything that decides the outcome.

    That is the model as it is handed in, the functions of the task and of the loop, and the
    inputs. The number of blocks is not part of it, so that a shorter run is a prefix. What has no
    fingerprint is trained without being stored, and a warning says so.

    Args:
        task: what to train.
        model: changed in place.
        blocks: how many blocks to train.
        context: device, random streams, store and progress.
        inputs: whatever else the task depends on, and its functions do not hold.
        images: some images (n, 3, h, w), uint8, that the model takes; None: it takes others.
    """
    functions = (train, task.batches, task.loss, task.measure, task.lr, task.watch)
    settings = (task.name, task.config, task.average is None, task.frozen, context.runtime)
    with scratch_left_out(model, images, context.runtime):
        parts = (model, functions, settings, inputs)
        store, name = context.store.address(task.name, *parts, stacklevel=3)
    checkpoints = Checkpoints(store, name)
    history = train(model, task, blocks, checkpoints, context)
    return Stage(task.name, checkpoints, history, len(history))


class Drawn(NamedTuple):
    """A batch: which samples, and their random views."""

    rows: Tensor  # (b,) positions in the data
    views: Tensor  # (b, 3), of augment.draw_weak; (b, 0) for images as they are


def draw_epoch(
    split: Split, batch: int, order: torch.Generator, views: torch.Generator | None = None
) -> Iterator[Drawn]:
    """Draw one epoch's batches, in random order.

    A last batch of one image is left out, as batch-norm cannot be trained on it. A set of one image
    gives it twice.

    Args:
        split: the data.
        batch: images a step.
        order: random stream of the order, on the CPU.
        views: random stream of weak views, on the CPU; None: images as they are.
    """
    height, width = split.images.shape[2:]
    rows_in_order = torch.randperm(len(split), generator=order)
    if len(split) == 1:
        rows_in_order = rows_in_order.repeat(2)
    for rows in rows_in_order.split(batch):
        if len(rows) == 1:
            continue
        draws = torch.empty(len(rows), 0)
        if views is not None:
            draws = augment.draw_weak(1, len(rows), (height, width), views)[0]
        yield Drawn(rows, draws)


def gather(split: Split, drawn: Drawn) -> tuple[Tensor, Tensor]:
    """Return the float images (b, 3, h, w) and the labels (b,) of a batch, on the data's device."""
    images = split.images[drawn.rows]
    if drawn.views.shape[1]:
        images = augment.apply_weak(images, drawn.views)
    return to_float(images), split.labels[drawn.rows]


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy, in nats, of a batch of float images and their labels."""
    images, labels = batch
    return functional.cross_entropy(model(images), labels)


def split_rows(rows: Tensor, batch: int) -> list[Tensor]:
    """Split rows into batches; a last one of a single row is joined to the batch before it.

    Batch-norm cannot be trained on one row.
    """
    batches = list(rows.split(batch))
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = torch.cat([batches[-1], last])
    return batches


def cycle_indices(n: int, count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` indices (count,) below n, from one random order after another."""
    orders = [torch.randperm(n, generator=generator) for _ in range(math.ceil(count / n))]
    return torch.cat(orders)[:count]
