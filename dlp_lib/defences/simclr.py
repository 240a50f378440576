"""SimCLR (Chen et al. 2020, arXiv:2002.05709): features without labels, DBD's first stage."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_field, check_int, check_number
from ..context import Context
from ..data.operations import warp
from ..data.split import Split
from ..models.interface import to_float
from ..store import Record
from ..training.inference import logits_and_features
from ..training.optimiser import SGD
from ..training.stage import Stage, draw_epoch, run_task
from ..training.steps import Task

PROJECTION = "simclr_projection"  # what the model has for this stage
_PROJECTED = 128  # dimensions in which views are compared; SimCLR's


@dataclass(frozen=True, kw_only=True)
class SimCLR(SGD):
    """Settings of DBD's stage 1; its momentum of 0.9 is that of DBD's code, too."""

    lr: float = 0.4  # at the start; it falls to 0 on a cosine; that of DBD's code
    weight_decay: float = 1e-4  # that of DBD's code
    batch: int = 512  # images a step, each in two views; that of DBD's code
    # DBD's code goes on from epoch 100, of a cosine of 1,000 epochs
    epochs: int = 100
    temperature: float = 0.5  # of the similarities; that of DBD's code
    # The least share of the area that a view shows; that of DBD's code; SimCLR's is 0.08
    crop: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "epochs", check_int, 1)
        check_field(self, "temperature", check_number, above=0)
        check_field(self, "crop", check_number, above=0, most=1)


def simclr(model: nn.Module, tampered: Split, config: SimCLR, context: Context) -> Stage:
    """Teach ``model.features`` that two views show the same image.

    No label is read, and ``model.head`` stays as it is.

    Args:
        model: trained in place.
        tampered: the training set.
        config: learning rate, epochs and the like.
        context: device, random streams, store and progress.

    Raises:
        TypeError: for a model without ``features`` and ``head``.
        Diverged: where the loss or a weight did not stay finite.
    """
    features = logits_and_features(model, tampered.images[:2]).features
    width = features.shape[1]
    with context.runtime.global_stream("SimCLR", "projection"):
        hidden = nn.Linear(width, width)
        last = nn.Linear(width, _PROJECTED)
    projection = nn.Sequential(hidden, nn.ReLU(), last)
    # The optimiser takes the parameters of one module, so for this stage the model has a projection
    model.add_module(PROJECTION, projection.to(tampered.images.device))
    steps_per_epoch = math.ceil(len(tampered) / config.batch)
    steps = config.epochs * steps_per_epoch

    def batches(epoch: int) -> Iterator[Batch]:
        order = context.runtime.generator("SimCLR", "order", epoch)
        drawn = context.runtime.generator("SimCLR", "views", epoch)
        for rows, _ in draw_epoch(tampered, config.batch, order):
            first = draw_view(len(rows), config.crop, drawn)
            second = draw_view(len(rows), config.crop, drawn)
            yield Batch(rows, first, second)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        images = tampered.images[batch.rows]
        views = torch.cat([view(images, batch.first), view(images, batch.second)])
        z = model.simclr_projection(model.features(to_float(views)))
        return nt_xent(z, config.temperature)

    def measure(_: nn.Module, __: int) -> Record:
        return Record({}, {"images": 2 * len(tampered)})

    def learning_rate(step: int) -> float:
        angle = math.pi * step / steps
        return config.lr / 2 * (1 + math.cos(angle))

    task = Task("SimCLR", config, batches, loss, measure, learning_rate)
    stage = run_task(task, model, config.epochs, context, images=tampered.images)
    del model.simclr_projection
    return stage.expect_finite()


class ViewDraws(NamedTuple):
    """What decides a random view of each of n images."""

    matrices: Tensor  # (n, 2, 3), of operations.warp
    weights: Tensor  # (n, 3, 3) of the channels in each new channel
    shifts: Tensor  # (n, 3, 1, 1) of each new channel; 255 is white


class Batch(NamedTuple):
    """What decides a step: b images, in two views each."""

    rows: Tensor  # (b,) positions in the data
    first: ViewDraws
    second: ViewDraws


def draw_view(n: int, crop: float, generator: torch.Generator) -> ViewDraws:
    """Draw which part of each image a view shows, whether it is flipped, and its colours.

    Args:
        n: how many images.
        crop: the least share of the area that a part shows.
        generator: a CPU generator.
    """
    area, across, down, flip = torch.rand(4, n, generator=generator)
    side = (crop + (1 - crop) * area).sqrt()
    room = 1 - side
    matrices = torch.zeros(n, 2, 3)
    matrices[:, 0, 0] = side * torch.where(flip < 0.5, -1, 1)
    matrices[:, 0, 2] = room * (2 * across - 1)
    matrices[:, 1, 1] = side
    matrices[:, 1, 2] = room * (2 * down - 1)
    colours = torch.randn(n, 3, 4, generator=generator)
    weights = colours[:, :, :3] / math.sqrt(3)
    shifts = 30 * colours[:, :, 3:, None]
    return ViewDraws(matrices, weights, shifts)


def view(images: Tensor, draws: ViewDraws) -> Tensor:
    """Return parts of images, resized, flipped or not, and with other colours.

    Each new channel is a random mix of the three, shifted. This replaces SimCLR's jitter, grey and
    blur, and changes more: where colours last, they alone tell images apart. ``augment.strong``
    mostly leaves them, and may hide a small shape.

    Args:
        images: (n, 3, h, w) uint8.
        draws: of ``draw_view``, on the images' device.

    Returns:
        (n, 3, h, w) uint8.
    """
    centred = warp(images, draws.matrices) - 127.5
    recoloured = torch.einsum("nij,njhw->nihw", draws.weights, centred) + draws.shifts
    return (recoloured + 127.5).clamp_(0, 255).to(torch.uint8)


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Return SimCLR's loss (Eq. 1), the mean over all views.

    Args:
        z: (2n, d) projections; rows i and i + n are views of one image.
        temperature: of the similarities.
    """
    z = functional.normalize(z)
    is_itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similarity = z @ z.T / temperature  # (2n, 2n)
    to_others = similarity.masked_fill(is_itself, -math.inf)
    rows = torch.arange(len(z), device=z.device)
    partner = rows.roll(len(z) // 2)
    return functional.cross_entropy(to_others, partner)
