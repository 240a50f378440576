"""The paper's experiments as a list of runs, in the order of their worth."""

import itertools
from dataclasses import dataclass, field, replace

from ....defences import DLP
from ....models import ARCHITECTURES
from ....recipes import CIFAR10, PAPER_ATTACKS
from ...scenario import NO_ATTACK

WRN = "WRN-16-1"
NO_DEFENCE = "none"
DEFENCES = (NO_DEFENCE, *CIFAR10.defences)  # of Table 3, DLP left out
SCHEDULES = ("paper", "shorter")


@dataclass(frozen=True)
class Part:
    """One run of DLP, and the tables that get rows of it."""

    name: str
    attack: str  # a name of the recipe's, or "none"
    tables: tuple[str, ...] = ("stages",)  # of tables.TABLES
    changes: dict = field(default_factory=dict)  # of DLP's settings
    poisoning_rate: float | None = None  # None: the recipe's
    stop: bool = True  # unlearning ends where the suspects are at chance; the paper has all of E2
    architecture: str = WRN
    defence: str | None = None  # of Table 3: a name of the recipe's, or "none"; None: DLP's tables
    shorter: bool = False  # the defence has the shorter schedule, not its paper's

    @property
    def scenario(self) -> tuple:
        """What parts have in common that share a trained stage 1."""
        return self.attack, self.poisoning_rate, self.architecture

    @property
    def schedule(self) -> str | None:
        """Which of SCHEDULES the part is of; None: it is of neither."""
        if self.defence in (None, NO_DEFENCE):
            return None
        return SCHEDULES[self.shorter]

    def dlp(self, default: DLP) -> DLP:
        """Return DLP with the settings of this part."""
        unlearn = replace(default.unlearn, stop=self.stop)
        return replace(default, unlearn=unlearn, **self.changes)


_SL_AU = {"order": ("SL", "AU")}
_SL = {"order": ("SL",)}
_SL_ASSFT_AU = {"order": ("SL", "ASSFT", "AU")}
_TOTAL = {"quota": "total"}
_LEARNED_TABLES = ("epochs", "filters", "unlearning", "stages")
_MAIN = ("BadNets", "Blended", "SIG", NO_ATTACK)
_NONE_AND_ATTACKS = (NO_ATTACK, *PAPER_ATTACKS)
_WITH_ALL_ARCHITECTURES = ("BadNets", "TrojanNN", "Blended", "SIG")
_OTHER_ARCHITECTURES = [name for name in ARCHITECTURES if name != WRN]

_LEARNED = [
    Part(f"{name}, learned and unlearned", name, _LEARNED_TABLES, _SL_AU) for name in PAPER_ATTACKS
]
_THREE_STAGES = [Part(name, name) for name in _MAIN]
_WITH_TOTAL_QUOTA = [Part(f"{name}, quota in total", name, changes=_TOTAL) for name in _MAIN]
_VARIED = [
    Part("BadNets, fine-tuned before unlearning", "BadNets", changes=_SL_ASSFT_AU),
    Part("BadNets, all of E2", "BadNets", stop=False),
    Part("BadNets, gamma 0.001", "BadNets", changes={"gamma": 0.001}),
    Part("BadNets, gamma 0.1", "BadNets", changes={"gamma": 0.1}),
    Part("BadNets, alpha 0.5", "BadNets", poisoning_rate=0.5),
    Part("BadNets, alpha 0.01", "BadNets", poisoning_rate=0.01),
    Part("BadNets, alpha 0.05", "BadNets", poisoning_rate=0.05),
    Part("BadNets, alpha 0.2", "BadNets", poisoning_rate=0.2),
    Part("TrojanNN", "TrojanNN"),
    Part("LCA", "LCA"),
]
_UNDEFENDED = [
    Part(f"{name}, undefended", name, ("undefended",), _SL) for name in _NONE_AND_ATTACKS
]
_OTHER_MODELS = [
    Part(f"{name}, {architecture}", name, architecture=architecture)
    for architecture, name in itertools.product(_OTHER_ARCHITECTURES, _WITH_ALL_ARCHITECTURES)
]
_BASELINES = [
    Part(f"{name}, defence {defence}", name, ("baselines",), _SL, defence=defence)
    for defence, name in itertools.product(DEFENCES, _NONE_AND_ATTACKS)
]
_SHORTER = [
    replace(part, name=f"{part.name}, shorter", shorter=True)
    for part in _BASELINES
    if part.defence != NO_DEFENCE
]

PARTS: tuple[Part, ...] = (
    *_LEARNED,
    *_THREE_STAGES,
    *_WITH_TOTAL_QUOTA,
    *_VARIED,
    *_UNDEFENDED,
    *_OTHER_MODELS,
    *_BASELINES,
    *_SHORTER,
)
