"""Fine-tuning, as the defences other than DLP share it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ..checking import check_bool, check_field, check_int, check_sequence
from ..context import Context
from ..data.split import Split
from ..store import Record
from ..training.inference import accuracy, predict
from ..training.optimiser import SGD
from ..training.stage import Drawn, Stage, cross_entropy, draw_epoch, gather, run_task
from ..training.steps import Task

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
    steps = full_batches + (rest > 1)  # of an epoch, as ``draw_epoch`` makes them

    def batches(epoch: int) -> Iterator[Drawn]:
        order = context.runtime.generator(name, "order", epoch)
        views = context.runtime.generator(name, "augment", epoch) if config.augment else None
        return draw_epoch(data, config.batch, order, views)

    def loss_of_drawn(model: nn.Module, drawn: Drawn) -> Tensor:
        return loss(model, gather(data, drawn))

    def learning_rate(step: int) -> float:
        drops = sum(step >= epoch * steps for epoch in config.drops)
        return config.lr / 10**drops

    def measure(_: nn.Module, __: int) -> Record:
        return Record({}, {"images": passes * len(data)})

    # A loss of its own takes the model apart, which a compiled one forbids
    compiles = loss is cross_entropy
    task = Task(name, config, batches, loss_of_drawn, measure, learning_rate, compiles=compiles)
    images = data.images if takes_images else None
    stage = run_task(task, model, config.epochs, context, images=images)
    return stage.expect_finite()


def clean_accuracy(model: nn.Module, split: Split) -> float:
    """Return the accuracy on clean images that a defender has; never on the test set."""
    return accuracy(predict(model, split.images), split.labels)
