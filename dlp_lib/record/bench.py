"""What the tables are measured on, and the training that they share."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from .. import pipeline
from ..architectures import build
from ..attacks import SHAPES10, Attack, BadNets, Setting, Truth, poison, suited
from ..data import Split
from ..pipeline import DLP, Result, agreed_e1
from ..stages import Stage, Supervised, supervised
from ..surrogate import prepare
from ..train import Context

ATTACKS = SHAPES10 | {"all-to-all": Setting(BadNets("all-to-all"), 0.1)}
GAMMA = 0.01  # at which E1 is chosen, and filters are compared


@dataclass(frozen=True)
class Bench:
    """A clean data set, and a seed's context."""

    train: Split
    test: Split
    context: Context
    epochs: int = 24  # to convergence: a training accuracy of about 100 %, then
    settle: int = 4  # some epochs at a tenth of the learning rate
    dlp: DLP = pipeline.SHAPES10
    architecture: str = "WRN-16-1"

    def poisoned(self, setting: Setting) -> tuple[Attack, Split, Truth]:
        """The attack, the tampered set and the truth."""
        setting = suited(setting, self.train)
        attack = prepare(setting.attack, self.train, self.context)
        return attack, *poison(self.train, attack, setting.poisoning_rate, self.context)

    def untrained(self) -> nn.Module:
        return build(self.architecture, len(self.train.classes), self.context.runtime)

    def trained(self, tampered: Split, epochs: int | None = None, **settings) -> tuple[nn.Module, Stage]:
        """The undefended model, and its stage."""
        model = self.untrained()
        return model, supervised(
            model, tampered, epochs or self.epochs, replace(self.dlp.supervised, **settings), self.context
        )

    def defended(self, tampered: Split, **changes) -> tuple[int | None, Result]:
        """E1 as a defender agrees on it (None: on none), and what DLP, with changes, comes to there or at its own."""
        agreed = agreed_e1(self.trained(tampered)[1], tampered, GAMMA)
        dlp = replace(self.dlp, e1=agreed or self.dlp.e1, **changes)
        return agreed, dlp.run(self.untrained(), tampered, self.context)

    def converged(self, tampered: Split) -> nn.Module:
        """The undefended model after a last few epochs at a lower learning rate, in which it settles."""
        model, _ = self.trained(tampered)
        supervised(model, tampered, self.settle, Supervised(lr=0.001), self.context)
        return model


def scores(stage: Stage) -> list[Tensor]:
    """Every epoch's logits of a recorded stage 1."""
    return [stage.trail.read(epoch).tensors["logits"] for epoch in range(1, len(stage.history) + 1)]
