"""Beyond the paper: one setting of DLP against all five attacks, and without one."""

from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from ...attacks import AttackSetting
from ...defences import DLP, agreed_e1, revealed_e1
from ...evaluation import as_row, evaluate
from ...recipes import SHAPES10
from ..scenario import NO_ATTACK, Scenario
from .compare import defence_result
from .evasions import RandomPhase, RandomPlace, TwoTriggers
from .facts import e1_facts, filter_facts
from .limits import LABEL_AWARE
from .settings import ATTACKS, GAMMA

SHARE = 0.5  # of the images that get the suspects' trigger; the prototype's, see docs/LOG.md
IMMUNISED = {"fixmatch.immunise": SHARE}
NO_ASCENT = {"order": ("SL", "ASSFT")}
OURS = "DLP, immunised, no bearers"
# By the names of the rows: changes of the recipe's DLP
METHODS = {
    "DLP": {},
    "DLP, immunised": {**IMMUNISED, **NO_ASCENT},
    OURS: {**IMMUNISED, **NO_ASCENT, "exclude_bearers": True},
}
MORE_METHODS = {"DLP, immunised, with ascent": IMMUNISED, "DLP, label-aware quota": LABEL_AWARE}
OTHERS = ("ABL",)  # of the recipe's defences
HARDEST_FIRST = ("LCA", "SIG", "Blended", NO_ATTACK, "BadNets", "TrojanNN")
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
    for name in HARDEST_FIRST:
        for row in _rows(base.attacked_by(name), METHODS):
            yield {"attack": name, **row}


def measure_beyond_others(base: Scenario) -> Iterator[dict]:
    """Further methods in the same form: what helped before, and ABL."""
    for name in HARDEST_FIRST:
        scene = base.attacked_by(name)
        for method, changes in MORE_METHODS.items():
            yield {"attack": name, **_row(scene, method, changes)}
        for method in OTHERS:
            if method in scene.recipe.defences:
                result = defence_result(scene, scene.recipe.defences[method])
                row = {**_measured(result.model, scene), **result.costs()}
                yield {"attack": name, "method": method, **row}


def measure_evasions(base: Scenario) -> Iterator[dict]:
    """The same against what immunisation cannot describe, and where E1's rule is wrong."""
    for name, setting in EVASIONS.items():
        for row in _rows(base.attacked_by(setting), METHODS):
            yield {"attack": name, **row}


def _rows(scene: Scenario, methods: dict[str, dict]) -> Iterator[dict]:
    """Yield the undefended model's row, and one for each method."""
    epochs = scene.recipe.epochs + scene.recipe.cooldown_epochs
    images = epochs * len(scene.tampered)
    yield {"method": "undefended", **_measured(scene.converged(), scene), "images": images}
    for method, changes in methods.items():
        yield _row(scene, method, changes)


def _row(scene: Scenario, method: str, changes: dict) -> dict:
    """Run DLP with some changes, and return its row.

    E1 is the first epoch of lasting agreement, or the recipe's. Where bearers are to be excluded,
    it is the first epoch from there on at which they are clear.
    """
    dlp = _changed(scene.recipe.dlp, changes)
    _, stage = scene.undefended()
    agreed = agreed_e1(stage, scene.tampered, GAMMA)
    e1 = dlp.e1 if agreed is None else int(agreed)
    if dlp.exclude_bearers:
        e1 = revealed_e1(stage, scene.tampered, dlp.gamma, e1) or e1
    result = replace(dlp, e1=e1).run(scene.untrained(), scene.tampered, scene.context)
    facts = {"method": method, **e1_facts(agreed, result)}
    if scene.attack is not None:
        facts |= filter_facts(result, scene.truth)
    if result.bearers is not None:
        facts["bearers"] = len(result.bearers)
    return {**facts, **_measured(result.model, scene), **result.costs()}


def _changed(dlp: DLP, changes: dict) -> DLP:
    """Return DLP with other settings; "fixmatch.mu" names one of stage 3."""
    of_dlp = {}
    of_fixmatch = {}
    for name, value in changes.items():
        stage, _, setting = name.rpartition(".")
        (of_fixmatch if stage else of_dlp)[setting] = value
    return replace(dlp, fixmatch=replace(dlp.fixmatch, **of_fixmatch), **of_dlp)


def _measured(model: nn.Module, scene: Scenario) -> dict:
    """Return the fields of Metrics, and two recalls by name.

    They are that of the class that the attacker wants, and that of the class recognised worst.
    """
    metrics = evaluate(model, scene.test, scene.attack)
    return {**as_row(metrics, scene.attack), "least_recall": metrics.least_recall}
