"""Beyond the paper: one setting of DLP against all five attacks, and without one."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from torch import nn

from ...attacks import AttackSetting
from ...evaluation import evaluate
from ...recipes import SHAPES10
from ..scenario import Scenario
from .compare import defence_result
from .evasions import RandomPhase, RandomPlace, TwoTriggers
from .facts import e1_facts, filter_facts
from .limits import LABEL_AWARE
from .settings import ATTACKS, GAMMA, NONE_AND_ATTACKS

SHARE = 0.5  # of the images that get the suspects' trigger; found on seeds 0 to 2, see docs/LOG.md
# By the names of the rows: the order of the stages, further settings of DLP, and of FixMatch
VARIANTS = {
    "DLP": ({}, {}),
    "DLP, immunised": ({}, {"immunise": SHARE}),
    "DLP, immunised, no ascent": ({"order": ("SL", "ASSFT")}, {"immunise": SHARE}),
    "DLP, label-aware quota": (LABEL_AWARE, {}),
}
OTHERS = ("ABL",)  # of the recipe's defences
# What the estimate of the trigger cannot describe, and where the suspects are clean
EVASIONS = {
    "WaNet": SHAPES10.attacks["WaNet"],
    "random place": AttackSetting(RandomPlace(), 0.1),
    "two triggers": AttackSetting(TwoTriggers(), 0.1),
    "all-to-all": ATTACKS["all-to-all"],
    "BadNets, 3 %": AttackSetting(SHAPES10.attacks["BadNets"].attack, 0.03),
    "random phase": AttackSetting(RandomPhase(delta=60), 0.09),
}


def measure_beyond(base: Scenario) -> Iterator[dict]:
    """Every method against every attack, with one setting for all and E1 as a defender chooses it.

    CA, ASR, RA, the recall of every class, and image passes with gradient. The undefended model has
    all its epochs and those of the lower learning rate.
    """
    for name in NONE_AND_ATTACKS:
        scene = base.attacked_by(name)
        for row in _rows(scene):
            yield {"attack": name, **row}
        for method in OTHERS:
            if method in scene.recipe.defences:
                result = defence_result(scene, scene.recipe.defences[method])
                row = {**_measured(result.model, scene), **result.costs()}
                yield {"attack": name, "method": method, **row}


def measure_evasions(base: Scenario) -> Iterator[dict]:
    """The same against what immunisation cannot describe, and where E1's rule is wrong."""
    for name, setting in EVASIONS.items():
        for row in _rows(base.attacked_by(setting)):
            yield {"attack": name, **row}


def _rows(scene: Scenario) -> Iterator[dict]:
    """Yield the undefended model's row, and one for each variant of DLP."""
    epochs = scene.recipe.epochs + scene.recipe.cooldown_epochs
    images = epochs * len(scene.tampered)
    yield {"method": "undefended", **_measured(scene.converged(), scene), "images": images}
    for method, (changes, of_fixmatch) in VARIANTS.items():
        fixmatch = replace(scene.recipe.dlp.fixmatch, **of_fixmatch)
        agreed, result = scene.defended(GAMMA, fixmatch=fixmatch, **changes)
        facts = e1_facts(agreed, result)
        if scene.attack is not None:
            facts |= filter_facts(result, scene.truth)
        yield {"method": method, **facts, **_measured(result.model, scene), **result.costs()}


def _measured(model: nn.Module, scene: Scenario) -> dict:
    """Return the fields of Metrics, and two recalls by name.

    They are that of the class that the attacker wants, and that of the class recognised worst.
    """
    metrics = evaluate(model, scene.test, scene.attack)
    target = None
    if scene.attack is not None and isinstance(scene.attack.target, int):
        target = metrics.recalls[scene.attack.target]
    recalls = {"target_recall": target, "least_recall": metrics.least_recall}
    return {**asdict(metrics), **recalls}
