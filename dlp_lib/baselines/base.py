"""What the baselines share: the clean images that some are given, views of them, and fine-tuning."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .. import augment
from ..data import Split
from ..metrics import accuracy, predict
from ..models import pixels
from ..runtime import fraction, whole
from ..stages import Stage, cross_entropy, run_task, shuffled
from ..store import Record
from ..train import SGD, Context, Task

SOURCE = __loader__.get_source(__name__)  # part of every stored stage's key


@dataclass(frozen=True, kw_only=True)
class Training(SGD):
    """How long, and on which views; for clean images these are weak ones, as there are few of them."""

    epochs: int = 10
    augment: bool = True  # flip and crop
    drops: tuple[int, ...] = ()  # epochs after which the learning rate is divided by ten

    def __post_init__(self):
        super().__post_init__()
        whole("epochs", self.epochs)


def clean_part(train: Split, test: Split, context: Context, share: float = 0.05) -> tuple[Split, Split]:
    """Clean images for those who need some, and the test set without them, which is then everybody's.

    ``share``: of the training set's size, taken from the test set at random; ValueError if that is more than half.
    """
    count = round(fraction("share", share) * len(train))
    if not 0 < count <= len(test) // 2:
        raise ValueError(f"share={share}: {count} clean images, of a test set of {len(test)}; allowed is half of it")
    return _cut(test, count, context.runtime.generator("clean part"))


def held_out(clean: Split, context: Context) -> tuple[Split, Split]:
    """Four fifths to train on, and one to choose by: a method that was given clean images has no others."""
    if len(clean) < 5:
        raise ValueError(f"{len(clean)} clean images: at least 5 are needed")
    return _cut(clean, len(clean) * 4 // 5, context.runtime.generator("held out"))


def _cut(split: Split, count: int, generator: torch.Generator) -> tuple[Split, Split]:
    order = torch.randperm(len(split), generator=generator).to(split.images.device)
    return split.subset(order[:count]), split.subset(order[count:])


def views(name: str, data: Split, config: Training, context: Context) -> Callable[[int], Iterator]:
    """Batches of an epoch: float images and their labels, in the random order of that epoch."""

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order, drawn = (context.runtime.generator(name, purpose, epoch) for purpose in ("order", "augment"))
        for images, labels in shuffled(data, config.batch, order):
            yield pixels(augment.weak(images, drawn) if config.augment else images), labels

    return batches


def finetune(
    name: str,
    model: nn.Module,
    data: Split,
    config: Training,
    context: Context,
    loss: Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor] = cross_entropy,
    inputs: tuple = (),
    passes: int = 1,
) -> Stage:
    """Minimise a loss of (images, labels), in place, recorded under ``name``; ``inputs``: what else it is made of.

    ``passes``: with gradient, of every image in a step; they count as the stage's images.
    A loss may draw from torch's global stream, which ``train`` seeds for every epoch.
    """
    full, rest = divmod(len(data), config.batch)
    steps = full + (rest > 1)  # of an epoch, as ``shuffled`` makes them

    def lr(step: int) -> float:
        return config.lr / 10 ** sum(step >= epoch * steps for epoch in config.drops)

    if loss is not cross_entropy:  # such as take the model apart, which a compiled one does not allow
        context = replace(context, runtime=replace(context.runtime, compiled=False))
    record = Record({}, {"images": passes * len(data)})
    task = Task(name, config, views(name, data, config, context), loss, lambda _: record, lr)
    return run_task(task, model, config.epochs, context, SOURCE, data.digest, *inputs)


def clean_accuracy(model: nn.Module, split: Split) -> float:
    """On clean images that a defender has; of the test set, ``evaluate`` tells it."""
    return accuracy(predict(model, split.images), split.labels)
