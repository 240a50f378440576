"""SimCLR (Chen et al. 2020, arXiv:2002.05709): features without labels, DBD's first stage."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import augment
from ..data import Split
from ..metrics import observe
from ..models import pixels
from ..runtime import whole
from ..stages import Stage, run_task, shuffled
from ..store import Record
from ..train import SGD, Context, Task

SOURCE = __loader__.get_source(__name__)


@dataclass(frozen=True, kw_only=True)
class SimCLR(SGD):
    """Stage 1 (Chen et al. 2020, arXiv:2002.05709), with DBD's values."""

    lr: float = 0.4  # at the start; it falls to 0 on a cosine
    weight_decay: float = 1e-4  # as coded
    batch: int = 512  # images a step, each in two views
    epochs: int = 100  # as coded, of a cosine of 1,000
    temperature: float = 0.5  # of the similarities
    crop: float = 0.2  # the least share of the area that a view shows, as coded; in SimCLR's paper 0.08

    def __post_init__(self):
        super().__post_init__()
        whole("epochs", self.epochs, 1)
        if not (self.temperature > 0 and 0 < self.crop <= 1):
            raise ValueError(f"{self}: allowed are temperature > 0, 0 < crop ≤ 1")


def simclr(model: nn.Module, tampered: Split, config: SimCLR, context: Context) -> Stage:
    """Teach ``model.features`` that two views show the same image: no labels, and ``model.head`` stays as it is."""
    width = observe(model, tampered.images[:2]).features.shape[1]
    with context.runtime.global_stream("SimCLR", "projection"):
        projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 128))
    model.add_module("projection", projection.to(tampered.images.device))  # for as long as it is needed
    steps = config.epochs * math.ceil(len(tampered) / config.batch)

    def batches(epoch: int) -> Iterator[Tensor]:
        order, drawn = (context.runtime.generator("SimCLR", purpose, epoch) for purpose in ("order", "views"))
        for images, _ in shuffled(tampered, config.batch, order):
            yield pixels(torch.cat([view(images, config.crop, drawn) for _ in range(2)]))

    def loss(model: nn.Module, views: Tensor) -> Tensor:
        return nt_xent(model.projection(model.features(views)), config.temperature)

    record = Record({}, {"images": 2 * len(tampered)})
    cosine = [config.lr / 2 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)]
    task = Task("SimCLR", config, batches, loss, lambda _: record, cosine.__getitem__)
    stage = run_task(task, model, config.epochs, context, SOURCE, tampered.images)
    del model.projection
    return stage


def view(images: Tensor, crop: float, generator: torch.Generator) -> Tensor:
    """Parts of images, at least ``crop`` of the area, resized, flipped or not, and recoloured; uint8 (n, 3, h, w)."""
    area, across, down, flip = augment.send(torch.rand(4, len(images), generator=generator), images)
    side = (crop + (1 - crop) * area).sqrt()
    x, y = ((1 - side) * (2 * shift - 1) for shift in (across, down))
    images = augment.warp(images, xx=side * torch.where(flip < 0.5, -1, 1), x1=x, yy=side, y1=y) - 127.5
    # In place of SimCLR's jitter, grey and blur, each channel is a random mix of the three, and shifted. That is more:
    # where colours last, they alone tell images apart. augment.strong mostly leaves them, and may hide a small shape.
    weights = augment.send(torch.randn(len(images), 3, 4, generator=generator), images)
    images = torch.einsum("nij,njhw->nihw", weights[:, :, :3] / math.sqrt(3), images) + 30 * weights[:, :, 3:, None]
    return (images + 127.5).clamp_(0, 255).to(torch.uint8)


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """SimCLR's loss (Eq. 1), the mean over all views; rows i and i + n of ``z`` (2n, d) are views of one image."""
    z = functional.normalize(z)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similarity = (z @ z.T / temperature).masked_fill(itself, -math.inf)  # (2n, 2n)
    return functional.cross_entropy(similarity, torch.arange(len(z), device=z.device).roll(len(z) // 2))
