"""Mode connectivity repair (Zhao et al. 2020, arXiv:2005.00060)."""

import copy
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from ..data import Split
from ..models import pixels
from ..pipeline import Defended
from ..runtime import fraction
from ..train import Context
from .base import Training, clean_accuracy, finetune, held_out

SOURCE = __loader__.get_source(__name__)


@dataclass(frozen=True, kw_only=True)
class MCR:
    """Go from the given model to its fine-tuned copy on a curve of low loss, and stop where the backdoor is weakest.

    Which point that is a defender cannot see: of those whose validation CA is within ``allowed`` of the best, we take
    the one in the middle, farthest from both ends. Threat model: a trained model, and a few clean images.
    """

    sees: ClassVar[str] = "clean"
    starts: ClassVar[str] = "trained"

    allowed: float = 0.04  # by how much validation CA may be below the best on the curve
    points: int = 19  # of the curve that are tried, evenly spread, without its ends
    end: Training = field(default_factory=lambda: Training(epochs=20))
    curve: Training = field(default_factory=lambda: Training(epochs=100))

    def __post_init__(self):
        fraction("allowed", self.allowed)
        if self.points < 1:
            raise ValueError(f"points={self.points}: allowed are whole numbers ≥ 1")

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> Defended:
        """The repaired copy."""
        context = context or Context()
        training, validation = held_out(clean, context)
        start, end = copy.deepcopy(model), copy.deepcopy(model)
        tuned = finetune("MCR end", end, training, self.end, context)
        bend, ends = copy.deepcopy(end), (weights(start), weights(end))
        with torch.no_grad():
            for name, weight in bend.named_parameters():
                weight.copy_((ends[0][name] + ends[1][name]) / 2)

        def loss(bend: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            t = torch.rand((), device=batch[1].device)  # a point of the curve a step
            return functional.cross_entropy(functional_call(bend, bezier(*ends, bend, t), batch[:1]), batch[1])

        stage = finetune("MCR", bend, training, self.curve, context, loss, (SOURCE, start, end))

        def at(t: float) -> nn.Module:
            repaired = copy.deepcopy(bend)
            repaired.load_state_dict(bezier(*ends, bend, t), strict=False)
            update_bn((pixels(images) for images in training.images.split(self.curve.batch)), repaired)
            return repaired.eval()

        candidates = [(i + 1) / (self.points + 1) for i in range(self.points)]
        reached = {t: clean_accuracy(at(t), validation) for t in candidates}
        return Defended(at(middle(reached, self.allowed)), {"MCR end": tuned, "MCR": stage})


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters()}


def bezier(start: dict[str, Tensor], end: dict[str, Tensor], bend: nn.Module, t: Tensor | float) -> dict[str, Tensor]:
    """Weights at t in [0, 1] of the quadratic curve: (1-t)²·start + 2t(1-t)·bend + t²·end."""
    bent = bend.named_parameters()
    return {n: (1 - t) ** 2 * start[n] + 2 * t * (1 - t) * weight + t**2 * end[n] for n, weight in bent}


def middle(reached: dict[float, float], allowed: float) -> float:
    """The t nearest to ½ among those whose accuracy is within ``allowed`` of the best."""
    least = max(reached.values()) - allowed
    return min((t for t, value in reached.items() if value >= least), key=lambda t: abs(t - 0.5))
