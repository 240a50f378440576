"""MixMatch (Berthelot et al. 2019, arXiv:1905.02249): DBD's third stage."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_field, check_int, check_number
from ..context import Context
from ..data import augment
from ..data.split import Split
from ..models.interface import copied
from ..store import Record
from ..training.batchnorm import preserve_batchnorm
from ..training.optimiser import SGD
from ..training.stage import Drawn, Stage, cycle_indices, gather, run_task
from ..training.steps import Task


class Batch(NamedTuple):
    """What decides a step, of b labelled and b unlabelled images; n is (1 + views)·b."""

    labelled: Drawn
    unlabelled: Drawn  # (views·b,), view by view
    order: Tensor  # (n,) with which image each is mixed
    share: Tensor  # (n,) in [0, 1], of MixUp
    weight: Tensor  # () of the unlabelled loss


@dataclass(frozen=True, kw_only=True)
class MixMatch(SGD):
    """Settings of DBD's stage 3."""

    lr: float = 0.02  # ours: DBD's code takes Adam at 0.002, and the loop here has SGD alone
    batch: int = 64  # labelled images a step, and as many unlabelled; that of DBD's code
    # Over the labelled images; as many steps as the 190 rounds of 1,024 steps of DBD's code
    epochs: int = 500
    views: int = 2  # K: weak views of an unlabelled image whose guesses are averaged; MixMatch's
    temperature: float = 0.5  # T, of sharpening; 1 changes nothing; MixMatch's and DBD's
    alpha: float = 0.75  # of MixUp's Beta(alpha, alpha); MixMatch's and DBD's
    # Weight of the unlabelled loss at the end, to which it rises by equal amounts; DBD's
    lambda_u: float = 15.0

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "epochs", check_int, 1)
        check_field(self, "views", check_int, 1)
        check_field(self, "temperature", check_number, above=0, most=1)
        check_field(self, "alpha", check_number, above=0)
        check_field(self, "lambda_u", check_number, least=0)


def mixmatch(
    model: nn.Module, tampered: Split, trusted: Tensor, config: MixMatch, context: Context
) -> Stage:
    """Train the model with MixMatch: the trusted samples keep their labels, all others lose them.

    Args:
        model: trained in place; left with the average of its weights.
        tampered: the training set.
        trusted: indices (m,) of the trusted samples.
        config: learning rate, epochs and the like.
        context: device, random streams, store and progress.

    Raises:
        Diverged: where the loss or a weight did not stay finite.
    """
    if config.views == 1 and len(trusted) % config.batch == 1:
        trusted = trusted[:-1]  # batch-norm cannot guess on a last batch of one image
    trusted = trusted.cpu()  # rows are drawn there
    is_unlabelled = torch.ones(len(tampered)).index_fill(0, trusted, 0)
    unlabelled = is_unlabelled.nonzero()[:, 0]
    count = len(trusted)
    one_hot = functional.one_hot(tampered.labels, len(tampered.classes)).float()
    height, width = tampered.images.shape[2:]
    beta = torch.distributions.Beta(config.alpha, config.alpha)

    def batches(epoch: int) -> Iterator[Batch]:
        order = context.runtime.generator("MixMatch", "order", epoch)
        drawn = context.runtime.generator("MixMatch", "views", epoch)
        weight = torch.tensor(config.lambda_u * epoch / config.epochs)
        labelled_rows = trusted[cycle_indices(count, count, order)]
        other_rows = unlabelled[cycle_indices(len(unlabelled), count, order)]
        batches_of_others = other_rows.split(config.batch)
        for rows, others in zip(labelled_rows.split(config.batch), batches_of_others, strict=True):
            labelled_views = augment.draw_weak(1, len(rows), (height, width), drawn)[0]
            others = others.repeat(config.views)
            other_views = augment.draw_weak(1, len(others), (height, width), drawn)[0]
            n = len(rows) + len(others)
            share = beta.sample((n,))
            yield Batch(
                Drawn(rows, labelled_views),
                Drawn(others, other_views),
                torch.randperm(n),
                share,
                weight,
            )

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        labelled, _ = gather(tampered, batch.labelled)
        unlabelled, _ = gather(tampered, batch.unlabelled)
        guesses = guess(model, unlabelled, config)
        images = torch.cat([labelled, unlabelled])
        guesses_of_views = guesses.repeat(config.views, 1)
        soft_labels = torch.cat([one_hot[batch.labelled.rows], guesses_of_views])
        images, soft_labels = mixup(images, soft_labels, batch.order, batch.share)
        n = len(labelled)
        logits = model(images)
        supervised = functional.cross_entropy(logits[:n], soft_labels[:n])
        unsupervised = functional.mse_loss(logits[n:].softmax(1), soft_labels[n:])
        return supervised + batch.weight * unsupervised

    def measure(_: nn.Module, __: int) -> Record:
        return Record({}, {"images": count * (1 + config.views)})

    average = copied(model).eval()
    task = Task("MixMatch", config, batches, loss, measure, average=average)
    stage = run_task(task, model, config.epochs, context, images=tampered.images)
    return stage.expect_finite()


def guess(model: nn.Module, unlabelled: Tensor, config: MixMatch) -> Tensor:
    """Return sharpened labels (b, classes): the mean of the predictions on all views of an image.

    Args:
        model: its batch-norm statistics stay as they are.
        unlabelled: (views·b, 3, h, w) float, view by view.
        config: the number of views, and the temperature.
    """
    with preserve_batchnorm(model):
        predictions = model(unlabelled).softmax(1)
    classes = predictions.shape[1]
    mean = predictions.view(config.views, -1, classes).mean(0)
    return sharpen(mean, config.temperature)


def sharpen(p: Tensor, temperature: float) -> Tensor:
    """Return probabilities (n, classes) to the power 1/T, normalised again (Eq. 7)."""
    return (p.log() / temperature).softmax(1)


def mixup(images: Tensor, labels: Tensor, order: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return images and labels mixed with those at other positions (Eq. 8 to 11).

    Args:
        images: (n, 3, h, w) float.
        labels: (n, classes) float.
        order: (n,) with which sample each is mixed.
        share: (n,) in [0, 1]; a sample has the larger of share and 1 - share of itself.
    """
    own = torch.maximum(share, 1 - share)
    mixed_images = torch.lerp(images[order], images, own.view(-1, 1, 1, 1))
    mixed_labels = torch.lerp(labels[order], labels, own.view(-1, 1))
    return mixed_images, mixed_labels
