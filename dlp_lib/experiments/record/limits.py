"""Where DLP fails, and what might help."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

from ...attacks import AttackSetting, Blended, cover
from ...data.split import imbalanced
from ...evaluation import after_each, evaluate
from ...recipes import SHAPES10
from ..scenario import Scenario
from .facts import e1_facts, filter_facts
from .settings import ATTACKS, GAMMA


@dataclass(frozen=True)
class Case:
    """What is tampered with, and which settings of DLP meet it."""

    setting: AttackSetting
    changes: dict = field(default_factory=dict)  # of DLP's settings
    covered: float = 0.0  # share of the poisoned samples that have their true labels again
    factor: float = 1.0  # by how much the largest class outnumbers the target

    def scenario(self, base: Scenario) -> Scenario:
        """Return the case on the clean data of a scenario."""
        clean = imbalanced(base.clean, self.factor)
        scene = replace(base, clean=clean).attacked_by(self.setting)
        if not self.covered:
            return scene
        tampered, truth = cover(scene.tampered, scene.truth, self.covered, scene.context)
        return replace(scene, tampered=tampered, truth=truth)


def _at(name: str, poisoning_rate: float) -> AttackSetting:
    return SHAPES10.attacks[name]._replace(poisoning_rate=poisoning_rate)


_BADNETS = SHAPES10.attacks["BadNets"]
_LCA = SHAPES10.attacks["LCA"]
_SIG = SHAPES10.attacks["SIG"]
LABEL_AWARE = {"quota": "label_aware"}
REMEDY = {**LABEL_AWARE, "exclude_easiest": 0.2}
CASES = {
    "SIG, 3 %": Case(_at("SIG", 0.03)),
    "SIG, 5 %": Case(_at("SIG", 0.05)),
    "SIG, 5 %, remedy": Case(_at("SIG", 0.05), REMEDY),
    "SIG, 7 %": Case(_at("SIG", 0.07)),
    "SIG, 9 %, label-aware": Case(_SIG, LABEL_AWARE),
    "SIG, 9 %, remedy": Case(_SIG, REMEDY),
    "LCA, 9 %, label-aware": Case(_LCA, LABEL_AWARE),
    "LCA, 9 %, remedy": Case(_LCA, REMEDY),
    "BadNets, 10 %, remedy": Case(_BADNETS, REMEDY),
    "BadNets, 0.5 %": Case(_at("BadNets", 0.005)),
    "BadNets, 50 %": Case(_at("BadNets", 0.5)),
    "BadNets, 1 %, gamma 10 %": Case(_at("BadNets", 0.01), {"gamma": 0.1}),
    "BadNets, all-to-all": Case(ATTACKS["all-to-all"]),
    "BadNets, half covered": Case(_BADNETS, covered=0.5),
    "Blended, faint": Case(AttackSetting(Blended(alpha=0.1), 0.1)),
    "BadNets, rare target": Case(_BADNETS, factor=10.0),
}


def measure_limits(base: Scenario) -> Iterator[dict]:
    """Table 1's figures where DLP is at its limits, and with what might help; E1 as there."""
    for name, case in CASES.items():
        scene = case.scenario(base)
        agreed, result = scene.defended(GAMMA, **case.changes)
        facts = {"case": name, **e1_facts(agreed, result), **filter_facts(result, scene.truth)}
        measured = after_each(result, scene.test, scene.attack)
        undefended, _ = scene.undefended()
        measured["undefended"] = evaluate(undefended, scene.test, scene.attack)
        for stage, metrics in measured.items():
            yield {**facts, "stage": stage, **asdict(metrics)}
