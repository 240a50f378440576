"""SimCLR (Chen et al. 2020, arXiv:2002.05709): features without labels, DBD's first stage."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_field, check_int, check_number
from ..context import Context
from ..data import augment
from ..data.operations import warp
from ..data.split import Split
from ..models.interface import to_float
from ..store import Record
from ..training.inference import logits_and_features
from ..training.loop import Task
from ..training.optimiser import SGD
from ..training.stage import Stage, run_task, shuffled

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

    def batches(epoch: int) -> Iterator[Tensor]:
        order = context.runtime.generator("SimCLR", "order", epoch)
        drawn = context.runtime.generator("SimCLR", "views", epoch)
        for images, _ in shuffled(tampered, config.batch, order):
            first = view(images, config.crop, drawn)
            second = view(images, config.crop, drawn)
            yield to_float(torch.cat([first, second]))

    def loss(model: nn.Module, views: Tensor) -> Tensor:
        z = model.simclr_projection(model.features(views))
        return nt_xent(z, config.temperature)

    def record(_: nn.Module) -> Record:
        return Record({}, {"images": 2 * len(tampered)})

    def learning_rate(step: int) -> float:
        angle = math.pi * step / steps
        return config.lr / 2 * (1 + math.cos(angle))

    task = Task("SimCLR", config, batches, loss, record, learning_rate)
    stage = run_task(task, model, config.epochs, context, images=tampered.images)
    del model.simclr_projection
    return stage.expect_finite()


def view(images: Tensor, crop: float, generator: torch.Generator) -> Tensor:
    """Return parts of images, resized, flipped or not, and with other colours.

    Args:
        images: (n, 3, h, w) uint8.
        crop: the least share of the area that a part shows.
        generator: a CPU generator.

    Returns:
        (n, 3, h, w) uint8.
    """
    draws = torch.rand(4, len(images), generator=generator)
    area, across, down, flip = augment.move_like(draws, images)
    side = (crop + (1 - crop) * area).sqrt()
    room = 1 - side
    x = room * (2 * across - 1)
    y = room * (2 * down - 1)
    direction = torch.where(flip < 0.5, -1, 1)
    parts = warp(images, xx=side * direction, x1=x, yy=side, y1=y)
    return _recolour(parts, generator)


def _recolour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Make each channel a random mix of the three, and shift it.

    This replaces SimCLR's jitter, grey and blur, and changes more: where colours last, they alone
    tell images apart. ``augment.strong`` mostly leaves them, and may hide a small shape.
    """
    centred = images - 127.5
    draws = torch.randn(len(images), 3, 4, generator=generator)
    weights = augment.move_like(draws, images)
    mix = weights[:, :, :3] / math.sqrt(3)
    shift = 30 * weights[:, :, 3:, None]
    recoloured = torch.einsum("nij,njhw->nihw", mix, centred) + shift
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
