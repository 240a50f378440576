"""All defences on the same data."""

from collections.abc import Iterator

from ...data import Split
from ...defences import Defence, DefenceResult, clean_part, defend
from ...evaluation import as_row, evaluate
from ..scenario import Scenario
from .settings import GAMMA, NONE_AND_ATTACKS


def measure_baselines(base: Scenario) -> Iterator[dict]:
    """Table 3: every defence against every attack, on the test set without the clean part.

    DLP's E1 is chosen as in Table 1. "target_recall" is that of the class that the attacker wants.
    "images" and "seconds" are the defence's own: one that starts from a trained model needs that
    model's besides.
    """
    for name in NONE_AND_ATTACKS:
        scene = base.attacked_by(name)
        _, test = clean_part(scene.clean, scene.test, scene.context)
        for kind, result in defence_results(scene):
            measured = _measured(result, test, scene)
            yield {"attack": name, "defence": kind, **measured}
        _, result = scene.defended(GAMMA)
        yield {"attack": name, "defence": "DLP", **_measured(result, test, scene)}


def _measured(result: DefenceResult, test: Split, scene: Scenario) -> dict:
    metrics = evaluate(result.model, test, scene.attack)
    return {**as_row(metrics, scene.attack), **result.costs()}


def defence_results(scene: Scenario) -> Iterator[tuple[str, DefenceResult]]:
    """Yield "none" with the undefended model, and every defence of the recipe with its result."""
    yield "none", defence_result(scene, None)
    for name, method in scene.recipe.defences.items():
        yield name, defence_result(scene, method)


def defence_result(scene: Scenario, method: Defence | None) -> DefenceResult:
    """Return what a defence comes to; None: the undefended model."""
    if method is None:
        undefended, stage = scene.undefended()
        return DefenceResult(undefended, {"SL": stage})
    clean, _ = clean_part(scene.clean, scene.test, scene.context)
    untrained = scene.untrained()
    trained = untrained
    if method.starts == "trained":
        trained, _ = scene.undefended()
    return defend(method, untrained, trained, scene.tampered, clean, scene.context)
