"""FixMatch: DLP's third stage, semi-supervised fine-tuning on the trusted samples."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_field, check_int, check_number
from ..context import Context
from ..data import augment
from ..data.split import Split
from ..models.interface import copied, to_float
from ..store import Record
from ..training.batchnorm import preserve_batchnorm
from ..training.loop import Task
from ..training.optimiser import SGD
from ..training.stage import Stage, cycle_indices, run_task

# Float images and labels of the labelled part; weak and strong views of unlabelled images.
Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class FixMatch(SGD):
    """Settings of stage 3 (Sohn et al. 2020, arXiv:2001.07685); the paper gives none of these."""

    lr: float = 0.03  # FixMatch's own
    nesterov: bool = True  # FixMatch's own
    batch: int = 64  # labelled images a step; FixMatch's own
    mu: int = 7  # unlabelled images for each labelled one; FixMatch's own
    tau: float = 0.95  # confidence from which a pseudo-label counts; FixMatch's own
    lambda_u: float = 1.0  # weight of the unlabelled loss: alpha of Eq. 7; FixMatch's own
    steps: int = 10_000  # FixMatch's paper takes 2**20

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "mu", check_int, 1)
        check_field(self, "tau", check_number, least=0, most=1)
        check_field(self, "lambda_u", check_number, least=0)
        check_field(self, "steps", check_int)


def fixmatch(
    model: nn.Module, tampered: Split, trusted: Tensor, config: FixMatch, context: Context
) -> Stage:
    """Fine-tune with FixMatch (Eq. 7): the trusted samples keep their labels, all others lose them.

    Args:
        model: trained in place; left with the average of its weights.
        tampered: the training set, on the context's device.
        trusted: indices (m,) of the trusted samples.
        config: learning rate, number of steps and the like.
        context: device, random streams, store and progress.

    Returns:
        The stage. A block is a fiftieth of the steps, at least 20; its History has the column
        "confident", the share of pseudo-labels that counted.
    """
    is_unlabelled = torch.ones(len(tampered), device=trusted.device).index_fill(0, trusted, 0)
    unlabelled = is_unlabelled.nonzero()[:, 0]
    block_steps = max(20, math.ceil(config.steps / 50))
    confident: list[Tensor] = []  # share of confident pseudo-labels, a step each of the block

    def batches(block: int) -> Iterator[Batch]:
        order = context.runtime.generator("ASSFT", "order", block)
        drawn = context.runtime.generator("ASSFT", "views", block)
        steps = min(block_steps, config.steps - (block - 1) * block_steps)
        labelled_rows = cycle_indices(len(trusted), steps * config.batch, order)
        labelled_rows = trusted[labelled_rows.to(trusted.device)]
        other_rows = cycle_indices(len(unlabelled), steps * config.batch * config.mu, order)
        other_rows = unlabelled[other_rows.to(trusted.device)]
        confident.clear()
        rows_of_steps = zip(labelled_rows.chunk(steps), other_rows.chunk(steps), strict=True)
        for rows, others in rows_of_steps:
            labelled = augment.weak(tampered.images[rows], drawn)
            images = tampered.images[others]
            weak = augment.weak(images, drawn)
            strong = augment.strong(images, drawn)
            yield to_float(labelled), tampered.labels[rows], to_float(weak), to_float(strong)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        labelled, labels, weak, strong = batch
        with preserve_batchnorm(model):
            confidence, pseudo_labels = model(weak).softmax(1).max(1)
        mask = confidence >= config.tau
        confident.append(mask.float().mean())
        logits = model(torch.cat([labelled, strong]))
        on_labelled, on_strong = logits.split([len(labelled), len(strong)])
        supervised = functional.cross_entropy(on_labelled, labels)
        losses = functional.cross_entropy(on_strong, pseudo_labels, reduction="none")
        unsupervised = (losses * mask).mean()
        return supervised + config.lambda_u * unsupervised

    def measure(_: nn.Module) -> Record:
        images = len(confident) * config.batch * (1 + config.mu)
        share = torch.stack(confident).mean().item()
        return Record({}, {"confident": share, "images": images})

    def learning_rate(step: int) -> float:
        return config.lr * math.cos(7 * math.pi / (16 * max(1, config.steps)) * step)

    average = copied(model).eval()
    task = Task("ASSFT", config, batches, loss, measure, learning_rate, average)
    blocks = math.ceil(config.steps / block_steps)
    return run_task(task, model, blocks, context, images=tampered.images)
