"""Beyond the paper: one setting of DLP against all five attacks, and without one."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from torch import nn

from ...evaluation import evaluate
from ..scenario import Scenario
from .compare import defence_result
from .facts import e1_facts, filter_facts
from .limits import LABEL_AWARE
from .settings import GAMMA, NONE_AND_ATTACKS

SHARE = 0.5  # of the images that get the suspects' trigger; found on seeds 0 to 2, see docs/LOG.md
# By the names of the rows: the order of the stages, further settings of DLP, and of FixMatch
VARIANTS = {
    "DLP": ({}, {}),
    "DLP, immunised": ({}, {"immunise": SHARE}),
    "DLP, immunised, no ascent": ({"order": ("SL", "ASSFT")}, {"immunise": SHARE}),
    "DLP, label-aware quota": (LABEL_AWARE, {}),
}
OTHERS = ("ABL",)  # of the recipe's defences


def measure_beyond(base: Scenario) -> Iterator[dict]:
    """Every method against every attack, with one setting for all and E1 as a defender chooses it.

    CA, ASR, RA, the recall of every class, and image passes with gradient. The undefended model has
    all its epochs and those of the lower learning rate.
    """
    for name in NONE_AND_ATTACKS:
        for row in _rows(base.attacked_by(name)):
            yield {"attack": name, **row}


def _rows(scene: Scenario) -> Iterator[dict]:
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
    for method in OTHERS:
        if method in scene.recipe.defences:
            result = defence_result(scene, scene.recipe.defences[method])
            yield {"method": method, **_measured(result.model, scene), **result.costs()}


def _measured(model: nn.Module, scene: Scenario) -> dict:
    """Return the fields of Metrics, and two recalls by name.

    They are that of the class that the attacker wants, and that of the class recognised worst.
    """
    metrics = evaluate(model, scene.test, scene.attack)
    target = None
    if scene.attack is not None:
        target = metrics.recalls[scene.attack.target]
    recalls = {"target_recall": target, "least_recall": metrics.least_recall}
    return {**asdict(metrics), **recalls}
