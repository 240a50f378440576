"""Where DLP fails, and what might help (notebook 11)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

from ..attacks import SHAPES10, Attack, BadNets, Blended, Setting, Truth, cover
from ..data import Split, imbalanced
from ..metrics import evaluate, filter_precision
from ..pipeline import after_each
from .bench import Bench


@dataclass(frozen=True)
class Case:
    """What is tampered with, and how DLP is set against it."""

    setting: Setting
    changes: dict = field(default_factory=dict)  # of DLP's settings
    covered: float = 0.0  # share of the poisoned samples that keep their true labels
    factor: float = 1.0  # by how much the largest class outnumbers the target

    def poisoned(self, bench: Bench) -> tuple[Attack, Split, Truth]:
        """The attack, the tampered set and the truth."""
        attack, tampered, truth = replace(bench, train=imbalanced(bench.train, self.factor)).poisoned(self.setting)
        if self.covered:
            tampered, truth = cover(tampered, truth, self.covered, bench.context)
        return attack, tampered, truth


def _at(name: str, rate: float) -> Setting:
    return Setting(SHAPES10[name].attack, rate)


REMEDY = {"quota": "wary", "set_aside": 0.2}
CASES = {
    "SIG, 3 %": Case(_at("SIG", 0.03)),
    "SIG, 5 %": Case(_at("SIG", 0.05)),
    "SIG, 5 %, remedy": Case(_at("SIG", 0.05), REMEDY),
    "SIG, 7 %": Case(_at("SIG", 0.07)),
    "SIG, 9 %, wary": Case(SHAPES10["SIG"], {"quota": "wary"}),
    "SIG, 9 %, remedy": Case(SHAPES10["SIG"], REMEDY),
    "LCA, 9 %, wary": Case(SHAPES10["LCA"], {"quota": "wary"}),
    "LCA, 9 %, remedy": Case(SHAPES10["LCA"], REMEDY),
    "BadNets, 10 %, remedy": Case(SHAPES10["BadNets"], REMEDY),
    "BadNets, 0.5 %": Case(_at("BadNets", 0.005)),
    "BadNets, 50 %": Case(_at("BadNets", 0.5)),
    "BadNets, 1 %, gamma 10 %": Case(_at("BadNets", 0.01), {"gamma": 0.1}),
    "BadNets, all-to-all": Case(Setting(BadNets("all-to-all"), 0.1)),
    "BadNets, half covered": Case(SHAPES10["BadNets"], covered=0.5),
    "Blended, faint": Case(Setting(Blended(alpha=0.1), 0.1)),
    "BadNets, rare target": Case(SHAPES10["BadNets"], factor=10.0),
}


def measure_limits(bench: Bench) -> Iterator[dict]:
    """Table 1's figures where DLP is at its limits, and with what might help; E1 as there."""
    for name, case in CASES.items():
        attack, tampered, truth = case.poisoned(bench)
        agreed, result = bench.defended(tampered, **case.changes)
        said = {"case": name, "e1": result.stages["SL"].chosen, "agreed": agreed is not None}
        said |= filter_precision(result.selection.suspected, result.selection.trusted, truth)
        measured = after_each(result, bench.test, attack)
        measured["undefended"] = evaluate(bench.trained(tampered)[0], bench.test, attack)
        for stage, metrics in measured.items():
            yield said | {"stage": stage, **asdict(metrics)}
