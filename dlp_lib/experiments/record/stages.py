"""What DLP comes to, stage by stage, in other orders and with other architectures."""

import math
from collections.abc import Iterator
from dataclasses import asdict, replace

from ...defences.dlp import ORDERS
from ...evaluation import after_each, evaluate
from ...models import ARCHITECTURES
from ..scenario import Scenario
from .facts import e1_facts, filter_facts
from .settings import GAMMA, NONE_AND_ATTACKS
from .undefended import ONE_OF_EACH_FAMILY

# Of measure_architectures. Small batches give a small budget enough steps.
FEW_IMAGES = 2000
FEW_EPOCHS = 6
GAMMA_OF_FEW = 0.05
BATCH_OF_FEW = 32


def measure_stages(base: Scenario) -> Iterator[dict]:
    """Table 1: CA, ASR and RA after every stage, E1 chosen by agreement, and undefended.

    Where the suspects' agreement never lasts, E1 is the recipe's.
    """
    for name in NONE_AND_ATTACKS:
        for row in _stage_rows(base.attacked_by(name)):
            yield {"attack": name, **row}


def _stage_rows(scene: Scenario) -> Iterator[dict]:
    agreed, result = scene.defended(GAMMA)
    facts = e1_facts(agreed, result)
    facts["au_stop"] = result.stages["AU"].selected_block
    if scene.attack is not None:
        facts |= filter_facts(result, scene.truth)
    measured = after_each(result, scene.test, scene.attack)
    stages = dict(result.stages)
    as_many_images = math.ceil(result.total("images") / len(scene.tampered))  # in epochs
    model, stages["undefended"] = scene.undefended(as_many_images)
    measured["undefended"] = evaluate(model, scene.test, scene.attack)
    for name, stage in stages.items():
        yield {**facts, "stage": name, **asdict(measured[name]), **stage.costs()}


def measure_orders(base: Scenario) -> Iterator[dict]:
    """Fig. 4: the stages in four orders, after each of them; E1 as in Table 1."""
    for name in ONE_OF_EACH_FAMILY:
        scene = base.attacked_by(name)
        for order in ORDERS[1:]:
            _, result = scene.defended(GAMMA, order=order)
            e1 = result.stages["SL"].selected_block
            facts = {"attack": name, "order": "-".join(order), "e1": e1}
            for stage, metrics in after_each(result, scene.test, scene.attack).items():
                yield {**facts, "stage": stage, **asdict(metrics)}


def measure_architectures(base: Scenario) -> Iterator[dict]:
    """Table 6 on 2,000 images at most: each architecture after every stage, and undefended.

    The undefended model has six epochs, which are timed. Batches of stage 1 are of 32. FixMatch
    makes a third of the usual steps.
    """
    scene = _small_scenario(base, "BadNets")
    for name in ARCHITECTURES:
        for row in _architecture_rows(replace(scene, architecture=name)):
            yield {"architecture": name, **row}


def _small_scenario(base: Scenario, attack: str) -> Scenario:
    """Return few images, attacked anew, with a recipe of short runs."""
    dlp = base.recipe.dlp
    supervised = replace(dlp.supervised, batch=BATCH_OF_FEW)
    steps = dlp.fixmatch.steps // 3
    fixmatch = replace(dlp.fixmatch, batch=BATCH_OF_FEW, steps=steps)
    dlp = replace(dlp, gamma=GAMMA_OF_FEW, supervised=supervised, fixmatch=fixmatch)
    recipe = replace(base.recipe, dlp=dlp, epochs=FEW_EPOCHS)  # epochs of the undefended model
    few = base.clean.subset(slice(FEW_IMAGES))
    return replace(base, clean=few, recipe=recipe).attacked_by(attack)


def _architecture_rows(scene: Scenario) -> Iterator[dict]:
    agreed, result = scene.defended(GAMMA)
    model, stage = scene.undefended()
    size = sum(parameter.numel() for parameter in model.parameters())
    facts = {"parameters": size, **e1_facts(agreed, result), **stage.costs()}
    facts |= filter_facts(result, scene.truth)
    measured = after_each(result, scene.test, scene.attack)
    measured["undefended"] = evaluate(model, scene.test, scene.attack)
    for name, metrics in measured.items():
        yield {**facts, "stage": name, **asdict(metrics)}
