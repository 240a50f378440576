"""What every defence says of itself, and what it comes to."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor, nn

from ..context import Context
from ..data.split import Split
from ..training.stage import Stage
from .selection import Selection


@dataclass(frozen=True)
class DefenceResult:
    """What every defence comes to: a model, and the stages that led to it."""

    model: nn.Module
    stages: dict[str, Stage]

    def total(self, column: str) -> float:
        """Return the sum of a History column over the stages, "images" or "seconds" for example."""
        return sum(stage.total(column) for stage in self.stages.values())

    def costs(self) -> dict[str, float]:
        """Return images with gradient, and the seconds of the steps when they were computed."""
        return {"images": self.total("images"), "seconds": self.total("seconds")}


@dataclass(frozen=True)
class Result(DefenceResult):
    """What a defence comes to that selects samples, and what a defender saw on the way."""

    logits: Tensor  # (n, classes) of every tampered sample, when the samples were selected
    suspicion: Tensor  # (n,) the score by which they were: the higher, the more suspicious
    selection: Selection
    bearers: Tensor | None = (
        None  # indices (k,) of the samples that bear a trigger; None: not sought
    )


class Defence(Protocol):
    """A defence states its threat model: what data it needs, and what model."""

    # "tampered": the training set as it is; "clean": some held-out images that are known as clean
    sees: ClassVar[str]
    # "untrained": a fresh model; "trained": a model that was trained on the tampered set
    starts: ClassVar[str]

    def run(self, model: nn.Module, data: Split, context: Context | None = None) -> DefenceResult:
        """Defend a copy of the model, on the data that the defence sees.

        Raises:
            ValueError: before any work, for what cannot work.
        """


def defend(
    method: Defence,
    untrained: nn.Module,
    trained: nn.Module,
    tampered: Split,
    clean: Split,
    context: Context,
) -> DefenceResult:
    """Give a method what its threat model allows, and nothing else.

    Args:
        method: the defence.
        untrained: a fresh model.
        trained: the same, trained on the tampered set.
        tampered: the training set.
        clean: some images that are known as clean.
        context: device, random streams, store and progress.
    """
    model = trained if method.starts == "trained" else untrained
    data = tampered if method.sees == "tampered" else clean
    return method.run(model, data, context)
