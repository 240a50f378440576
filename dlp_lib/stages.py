"""DLP's three stages. Each trains the given model in place, or reads what the same inputs came to before."""

import contextlib
import copy
import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from . import augment, metrics, models, runtime, train
from .data import Split
from .metrics import accuracy, collapsed, predict
from .models import pixels
from .runtime import whole
from .store import Record, digest
from .train import SGD, Context, History, Task, Trail

SOURCE = __loader__.get_source(__name__)


@dataclass(frozen=True)
class Stage:
    """What a stage did, block by block, and where the next one goes on."""

    name: str  # "SL", "AU" or "ASSFT"
    trail: Trail  # its recorded weights
    history: History
    chosen: int  # the block whose weights the model was left with

    def total(self, column: str) -> float:
        """Sum of a History column: "images" (passes with gradient) or "seconds" (when it was first computed)."""
        return sum(row[column] for row in self.history)


@dataclass(frozen=True, kw_only=True)
class Supervised(SGD):
    """Stage 1. Without augmentation the trigger stays in place; what that does to the gap is in docs/LOG.md."""

    augment: bool = False  # flip and crop; the paper does not say


@dataclass(frozen=True, kw_only=True)
class Unlearn(SGD):
    """Stage 2. The paper's lr of 0.01 destroys a small model within epochs; 0.001 to 0.005 is gentler."""

    weight_decay: float = 0.0  # Eq. 6 has none
    batchnorm: str = "train"  # "eval" keeps the statistics of stage 1, and diverges sooner
    reestimate: int = 4000  # tampered images on which batch-norm is re-estimated before judging an epoch
    stop: bool = True  # go on from the first epoch at which the suspects are seen at chance; else from E2

    def __post_init__(self):
        super().__post_init__()
        whole("reestimate", self.reestimate, 2)
        if self.batchnorm not in ("train", "eval"):
            raise ValueError(f"batchnorm={self.batchnorm!r}: allowed are 'train' and 'eval'")


@dataclass(frozen=True, kw_only=True)
class FixMatch(SGD):
    """Stage 3 (Sohn et al. 2020, arXiv:2001.07685); the paper gives none of these."""

    lr: float = 0.03
    nesterov: bool = True
    batch: int = 64  # labelled images a step
    mu: int = 7  # unlabelled images a labelled one
    tau: float = 0.95  # confidence from which a pseudo-label counts
    lambda_u: float = 1.0  # weight of the unlabelled loss: alpha of Eq. 7
    steps: int = 10_000  # FixMatch's own paper takes 2**20

    def __post_init__(self):
        super().__post_init__()
        whole("finetune_steps", self.steps)
        whole("mu", self.mu, 1)
        if not (0 <= self.tau <= 1 and self.lambda_u >= 0):
            raise ValueError(f"tau={self.tau}, lambda_u={self.lambda_u}: allowed are 0 ≤ tau ≤ 1, lambda_u ≥ 0")


def supervised(
    model: nn.Module, tampered: Split, epochs: int, config: Supervised, context: Context, probe: Tensor | None = None
) -> Stage:
    """Minimise cross-entropy on the whole tampered set (Eq. 3), recording every sample's logits per epoch.

    ``probe``: indices of samples to watch before each single step as well: "steps" (steps, len(probe), classes).
    """
    watched: list[Tensor] = []

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        views = context.runtime.generator("SL", "augment", epoch)
        for images, labels in shuffled(tampered, config.batch, context.runtime.generator("SL", "order", epoch)):
            if probe is not None:
                watched.append(predict(model, tampered.images[probe]))
            yield pixels(augment.weak(images, views) if config.augment else images), labels

    def record(model: nn.Module) -> Record:
        tensors = {"logits": predict(model, tampered.images)} | ({"steps": torch.stack(watched)} if watched else {})
        watched.clear()
        hits = accuracy(tensors["logits"], tampered.labels)
        return Record(tensors, {"accuracy": hits, "images": len(tampered)})

    task = Task("SL", config, batches, cross_entropy, record)
    return run_task(task, model, epochs, context, tampered.digest, probe)


def unlearn(
    model: nn.Module, tampered: Split, suspected: Tensor, epochs: int, config: Unlearn, context: Context
) -> Stage:
    """Maximise cross-entropy on the suspected samples (Eq. 6), recording the whole ascent.

    In training mode batch-norm hides what the ascent does: its running statistics are soon those of the suspects alone.
    So every epoch is judged, and the model left, with statistics re-estimated on tampered images: at the first epoch
    where the suspects' accuracy is then at chance, which a defender can see; else, or without ``stop``, at the last.
    A row also tells the accuracy on those tampered images, and whether the model has "collapsed" on them.
    """
    suspects = tampered.subset(suspected)
    rows = torch.randperm(len(tampered), generator=context.runtime.generator("AU", "reestimate"))[: config.reestimate]
    sample = tampered.subset(rows.to(tampered.images.device))

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in shuffled(suspects, config.batch, context.runtime.generator("AU", "order", epoch)):
            yield pixels(images), labels

    def record(model: nn.Module) -> Record:
        judged = copy.deepcopy(model)
        update_bn((pixels(part) for part in sample.images.chunk(math.ceil(len(sample) / 250))), judged)
        left, seen = (accuracy(predict(each, suspects.images), suspects.labels) for each in (model, judged))
        kept = predict(judged, sample.images)
        facts = {"accuracy": left, "accuracy_reestimated": seen, "accuracy_sample": accuracy(kept, sample.labels)}
        tensors = {f"reestimated.{name}": value for name, value in judged.named_buffers()}
        return Record(tensors, facts | {"collapsed": collapsed(kept, sample.labels), "images": len(suspects)})

    task = Task("AU", config, batches, lambda *step: -cross_entropy(*step), record, frozen=config.batchnorm == "eval")
    stage = run_task(task, model, epochs, context, tampered.digest, suspected)
    chance = 1 / len(tampered.classes)
    at_chance = [row["block"] for row in stage.history if config.stop and row["accuracy_reestimated"] <= chance]
    stage = replace(stage, chosen=min(at_chance, default=stage.chosen))
    if stage.chosen:
        stage.trail.load(model, stage.chosen, reestimated=True)
    return stage


def fixmatch(model: nn.Module, tampered: Split, trusted: Tensor, config: FixMatch, context: Context) -> Stage:
    """FixMatch (Eq. 7): the trusted samples keep their labels, all others lose them; leaves the averaged weights."""
    unlabelled = torch.ones(len(tampered), device=trusted.device).index_fill(0, trusted, 0).nonzero()[:, 0]
    size = max(20, math.ceil(config.steps / 50))  # steps in a block
    confident: list[Tensor] = []  # share of confident pseudo-labels in each step of the block

    def batches(block: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        order, views = (context.runtime.generator("ASSFT", purpose, block) for purpose in ("order", "views"))
        steps = min(size, config.steps - (block - 1) * size)
        labelled = trusted[endless(len(trusted), steps * config.batch, order).to(trusted.device)]
        others = unlabelled[endless(len(unlabelled), steps * config.batch * config.mu, order).to(trusted.device)]
        confident.clear()
        for rows, other in zip(labelled.chunk(steps), others.chunk(steps), strict=True):
            labelled_images, images = augment.weak(tampered.images[rows], views), tampered.images[other]
            weak, strong = augment.weak(images, views), augment.strong(images, views)
            yield pixels(labelled_images), tampered.labels[rows], pixels(weak), pixels(strong)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        labelled, labels, weak, strong = batch
        with statistics_kept(model):
            confidence, pseudo = model(weak).softmax(1).max(1)
        mask = confidence >= config.tau
        confident.append(mask.float().mean())
        on_labelled, on_strong = model(torch.cat([labelled, strong])).split([len(labelled), len(strong)])
        supervised = functional.cross_entropy(on_labelled, labels)
        unsupervised = (functional.cross_entropy(on_strong, pseudo, reduction="none") * mask).mean()
        return supervised + config.lambda_u * unsupervised

    def record(_: nn.Module) -> Record:
        images = len(confident) * config.batch * (1 + config.mu)
        return Record({}, {"confident": torch.stack(confident).mean().item(), "images": images})

    ema, rate = copy.deepcopy(model).eval(), 7 * math.pi / (16 * max(1, config.steps))
    task = Task("ASSFT", config, batches, loss, record, lambda step: config.lr * math.cos(rate * step), ema)
    return run_task(task, model, math.ceil(config.steps / size), context, tampered.digest, trusted)


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Of a batch of float images and their labels."""
    images, labels = batch
    return functional.cross_entropy(model(images), labels)


@contextlib.contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Passes without gradient, after which batch-norm's running statistics are as before: in place, as graphs want."""
    kept = [buffer.clone() for buffer in model.buffers()]
    with torch.no_grad():
        yield
        for buffer, value in zip(model.buffers(), kept, strict=True):
            buffer.copy_(value)


def shuffled(split: Split, batch: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch's batches, uint8; a last batch of one is left out, which batch-norm could not take."""
    for rows in torch.randperm(len(split), generator=generator).to(split.images.device).split(batch):
        if len(rows) > 1 or len(split) == 1:
            yield split.images[rows], split.labels[rows]


def endless(n: int, count: int, generator: torch.Generator) -> Tensor:
    """``count`` indices below n, from one random order after another."""
    return torch.cat([torch.randperm(n, generator=generator) for _ in range(math.ceil(count / n))])[:count]


def run_task(task: Task, model: nn.Module, blocks: int, context: Context, *inputs) -> Stage:
    """Train, recorded under the hash of all that decides the outcome but the length, which makes it a prefix.

    ``inputs``: whatever else the task was made of, among it its own source where that is not this file's.
    """
    code = [module.SOURCE for module in (augment, metrics, models, runtime, train)] + [SOURCE]
    kinds = {type(part) for part in model.modules() if not type(part).__module__.startswith("torch.")}
    with contextlib.suppress(OSError):  # what is typed into a plain interpreter has no source
        code += sorted(inspect.getsource(f) for kind in kinds for f in vars(kind).values() if inspect.isfunction(f))
    parts = (code, model, task.config, context.runtime.seed, context.runtime.precision, inputs)
    trail = Trail(context.store, f"{task.name}-{digest(parts)}")
    history = train.train(model, task, blocks, trail, context)
    return Stage(task.name, trail, history, len(history))
