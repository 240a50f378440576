"""Fine-tuning, as the defences other than DLP share it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn

from ..checking import check_bool, check_field, check_int, check_sequence
from ..context import Context
from ..data import augment
from ..data.split import Split
from ..models.interface import to_float
from ..store import Record
from ..training.inference import accuracy, predict
from ..training.loop import Task
from ..training.optimiser import SGD
from ..training.stage import Stage, cross_entropy, run_task, shuffled

Batch = tuple[Tensor, Tensor]  # float images and their labels


@dataclass(frozen=True, kw_only=True)
class Training(SGD):
    """How long to train, and on which views."""

    epochs: int = 10
    augment: bool = True  # flip and crop, as clean images are few
    drops: tuple[int, ...] = ()  # epochs after which the learning rate is divided by ten

    def __post_init__(self):
        super().__post_init__()
        check_field(self, "epochs", check_int)
        check_field(self, "augment", check_bool)
        check_field(self, "drops", check_sequence, check_int, 1)


def epoch_batches(
    name: str, data: Split, config: Training, context: Context
) -> Callable[[int], Iterator[Batch]]:
    """Return a function of an epoch (1 is the first) that yields its batches, in random order."""

    def batches(epoch: int) -> Iterator[Batch]:
        order = context.runtime.generator(name, "order", epoch)
        drawn = context.runtime.generator(name, "augment", epoch)
        for images, labels in shuffled(data, config.batch, order):
            if config.augment:
                images = augment.weak(images, drawn)
            yield to_float(images), labels

    return batches


def finetune(
    name: str,
    model: nn.Module,
    data: Split,
    config: Training,
    context: Context,
    loss: Callable[[nn.Module, Batch], Tensor] = cross_entropy,
    passes: int = 1,
    takes_images: bool = True,
) -> Stage:
    """Minimise a loss of images and labels.

    Args:
        name: of the stage.
        model: trained in place.
        data: the images and labels.
        config: learning rate, epochs and the like.
        context: device, random streams, store and progress.
        loss: of the model and a batch. It may draw from torch's global stream, which the loop
            seeds for every epoch.
        passes: how often an image passes with gradient in a step; counted as the stage's images.
        takes_images: False where ``model`` itself is never called on images.

    Raises:
        Diverged: where the loss or a weight did not stay finite.
    """
    full_batches, rest = divmod(len(data), config.batch)
    steps = full_batches + (rest > 1)  # of an epoch, as ``shuffled`` makes them

    def learning_rate(step: int) -> float:
        drops = sum(step >= epoch * steps for epoch in config.drops)
        return config.lr / 10**drops

    def measure(_: nn.Module) -> Record:
        return Record({}, {"images": passes * len(data)})

    if loss is not cross_entropy:  # such a loss takes the model apart, which a compiled one forbids
        context = replace(context, runtime=replace(context.runtime, compiled=False))
    batches = epoch_batches(name, data, config, context)
    task = Task(name, config, batches, loss, measure, learning_rate)
    images = data.images if takes_images else None
    stage = run_task(task, model, config.epochs, context, images=images)
    return stage.expect_finite()


def clean_accuracy(model: nn.Module, split: Split) -> float:
    """Return the accuracy on clean images that a defender has; never on the test set."""
    return accuracy(predict(model, split.images), split.labels)
