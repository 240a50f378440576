"""Decoupling-based backdoor defence, DBD (Huang et al. 2022, arXiv:2202.03423)."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .. import augment
from ..data import Split
from ..metrics import observe
from ..models import pixels
from ..pipeline import Defended
from ..runtime import fraction, whole
from ..stages import Stage, endless, run_task, statistics_kept
from ..store import Record
from ..train import SGD, Context, Task
from .simclr import SimCLR, simclr

SOURCE = __loader__.get_source(__name__)


@dataclass(frozen=True, kw_only=True)
class SCE(SGD):
    """Stage 2, symmetric cross-entropy (Wang et al. 2019, arXiv:1908.06112), which forgives wrong labels."""

    lr: float = 0.5  # the authors take Adam at 0.002, here as in stage 3; the training loop has SGD alone
    weight_decay: float = 0.0
    epochs: int = 10
    alpha: float = 0.1  # weight of cross-entropy
    beta: float = 1.0  # weight of reverse cross-entropy

    def __post_init__(self):
        super().__post_init__()
        whole("epochs", self.epochs, 1)
        if min(self.alpha, self.beta) < 0:
            raise ValueError(f"{self}: allowed are alpha ≥ 0, beta ≥ 0")


@dataclass(frozen=True, kw_only=True)
class MixMatch(SGD):
    """Stage 3 (Berthelot et al. 2019, arXiv:1905.02249), with DBD's values."""

    lr: float = 0.02
    batch: int = 64  # labelled images a step, and as many without
    epochs: int = 500  # over the labelled images; about 190 rounds of 1,024 steps, as coded
    views: int = 2  # K: weak views of an unlabelled image, on which the guesses are averaged
    temperature: float = 0.5  # T, of sharpening; 1 changes nothing
    alpha: float = 0.75  # of MixUp's Beta(alpha, alpha)
    lambda_u: float = 15.0  # weight of the unlabelled loss at the end, to which it climbs in equal steps an epoch

    def __post_init__(self):
        super().__post_init__()
        whole("epochs", self.epochs, 1)
        whole("views", self.views, 1)
        if not (0 < self.temperature <= 1 and self.alpha > 0 and self.lambda_u >= 0):
            raise ValueError(f"{self}: allowed are 0 < temperature ≤ 1, alpha > 0, lambda_u ≥ 0")


@dataclass(frozen=True, kw_only=True)
class DBD:
    """Learn features without labels, a head on them with all labels, then everything with the credible labels alone.

    These are chosen once, as the paper says (as coded, anew in every round of MixMatch), from all classes together.
    Threat model: it sees the tampered training set alone.
    """

    sees: ClassVar[str] = "tampered"
    starts: ClassVar[str] = "untrained"

    trusted: float = 0.5  # share of the set that keeps its labels
    simclr: SimCLR = field(default_factory=SimCLR)
    sce: SCE = field(default_factory=SCE)
    mixmatch: MixMatch = field(default_factory=MixMatch)

    def __post_init__(self):
        fraction("trusted", self.trusted)

    def run(self, model: nn.Module, tampered: Split, context: Context | None = None) -> Defended:
        """Train a copy of the untrained model; TypeError where that offers no ``features`` and ``head``."""
        context, model = context or Context(), copy.deepcopy(model)
        outputs, count = observe(model, tampered.images[:2]).logits.shape[1], int(self.trusted * len(tampered))
        if outputs != len(tampered.classes) or not count:
            raise ValueError(f"model of {outputs} classes, {count} samples to trust: allowed are the set's, and one")
        stages = {"SimCLR": simclr(model, tampered, self.simclr, context)}
        stages["SCE"] = sce(model, tampered, self.sce, context)
        logits = observe(model, tampered.images).logits
        losses = symmetric_cross_entropy(logits, tampered.labels, self.sce.alpha, self.sce.beta)
        trusted = losses.argsort(stable=True)[:count]
        stages["MixMatch"] = mixmatch(model, tampered, trusted, self.mixmatch, context)
        return Defended(model.eval(), stages)


def sce(model: nn.Module, tampered: Split, config: SCE, context: Context) -> Stage:
    """Train ``model.head`` on features that are computed once; no gradient reaches the rest, which stays as it is."""
    features = observe(model, tampered.images).features  # of images as they are; coded with weak views

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(features), generator=context.runtime.generator("SCE", "order", epoch))
        for rows in order.to(features.device).split(config.batch):
            yield features[rows], tampered.labels[rows]

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return symmetric_cross_entropy(model.head(batch[0]), batch[1], config.alpha, config.beta).mean()

    task = Task("SCE", config, batches, loss, lambda _: Record({}, {"images": 0}))  # with gradient, that is
    return run_task(task, model, config.epochs, context, SOURCE, tampered.digest)


def mixmatch(model: nn.Module, tampered: Split, trusted: Tensor, config: MixMatch, context: Context) -> Stage:
    """MixMatch of the whole model: the trusted samples keep their labels, all others lose them; leaves the average."""
    device, runtime = trusted.device, context.runtime
    known = tampered.images[trusted]
    targets = functional.one_hot(tampered.labels[trusted], len(tampered.classes)).float()  # no other label is read
    others = tampered.images[torch.ones_like(tampered.labels).index_fill(0, trusted, 0).bool()]

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor, float]]:
        order, drawn = (runtime.generator("MixMatch", purpose, epoch) for purpose in ("order", "views"))
        pairs = torch.stack([endless(len(part), len(known), order) for part in (known, others)]).to(device)
        for rows, other in zip(*(part.split(config.batch) for part in pairs), strict=True):
            views = [augment.weak(images, drawn) for images in (known[rows], *[others[other]] * config.views)]
            yield pixels(views[0]), targets[rows], pixels(torch.cat(views[1:])), config.lambda_u * epoch / config.epochs

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor, float]) -> Tensor:
        labelled, labels, unlabelled, weight = batch
        with statistics_kept(model):
            guesses = model(unlabelled).softmax(1)
        guesses = sharpen(guesses.view(config.views, -1, guesses.shape[1]).mean(0), config.temperature)
        images, labels = torch.cat([labelled, unlabelled]), torch.cat([labels, guesses.repeat(config.views, 1)])
        share = torch.distributions.Beta(config.alpha, config.alpha).sample(labels.shape[:1])
        images, labels = mixup(
            images, labels, augment.send(torch.randperm(len(images)), images), augment.send(share, images)
        )
        outputs, n = model(images), len(labelled)
        supervised = functional.cross_entropy(outputs[:n], labels[:n])
        return supervised + weight * functional.mse_loss(outputs[n:].softmax(1), labels[n:])

    record, ema = Record({}, {"images": len(known) * (1 + config.views)}), copy.deepcopy(model).eval()
    task = Task("MixMatch", config, batches, loss, lambda _: record, ema=ema)
    return run_task(task, model, config.epochs, context, SOURCE, known, targets, others)


def symmetric_cross_entropy(logits: Tensor, labels: Tensor, alpha: float, beta: float) -> Tensor:
    """alpha·CE + beta·RCE (Wang et al. 2019, Eq. 7), in nats, of every sample (n,); logits (n, classes)."""
    log_p = logits.log_softmax(1).gather(1, labels[:, None])[:, 0]  # of the label
    return -alpha * log_p + beta * 4 * (1 - log_p.exp())  # RCE is -sum(p·log(one-hot)), with log 0 = -4


def sharpen(p: Tensor, temperature: float) -> Tensor:
    """Probabilities (n, classes) to the power 1/T, and normalised again (MixMatch, Eq. 7)."""
    return (p.log() / temperature).softmax(1)


def mixup(images: Tensor, labels: Tensor, order: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, 3, h, w) and labels (n, classes) mixed with those at ``order`` (n,); ``share`` (n,): Eq. 8 to 11."""
    own = torch.maximum(share, 1 - share)[:, None]  # the larger share is one's own
    images = torch.lerp(images[order], images, own[:, :, None, None])
    return images, torch.lerp(labels[order], labels, own)
