"""The rows that a part gives each of its tables."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace

from ....attacks import limit_to_class
from ....defences import PAPER_FILTERS, Result, clean_part, select, selection_sizes
from ....evaluation import after_each, audit, evaluate, filter_precision
from ....training import logits_and_features
from ...scenario import Scenario
from ..compare import defence_result
from ..facts import filter_facts, subset_accuracies
from .parts import NO_DEFENCE, Part
from .schedules import describe, shorten

UNLEARNING_EPOCHS = (1, 2, 3, 5, 10, 20)  # that are measured, and the one where it stops
GAMMAS = (0.001, 0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Run:
    """What a part came to."""

    scene: Scenario
    part: Part
    result: Result


def epochs(run: Run) -> Iterator[dict]:
    """Fig. 1: training accuracy of the clean and the poisoned subset by epoch of stage 1."""
    tampered = run.scene.tampered.to("cpu")  # where recorded logits are
    poisoned = run.scene.truth.poisoned.cpu()
    for epoch, logits in enumerate(run.result.stages["SL"].logits_by_block(), 1):
        yield {"epoch": epoch, **subset_accuracies(logits, tampered, poisoned)}


def filters(run: Run) -> Iterator[dict]:
    """Fig. 5: the poisoned share of each filter's suspects, and the clean share of the trusted."""
    scene = run.scene
    model = scene.untrained()
    run.result.stages["SL"].load(model)
    outputs = logits_and_features(model, scene.tampered.images)
    for gamma in GAMMAS:
        for kind, score in PAPER_FILTERS.items():
            suspicion = score(outputs, scene.tampered.labels)
            selection = select(suspicion, scene.tampered, gamma, scene.recipe.dlp.quota)
            shares = filter_precision(selection.suspected, selection.trusted, scene.truth)
            yield {"filter": kind, "gamma": gamma, **shares}


def unlearning(run: Run) -> Iterator[dict]:
    """Table 1's AU by epoch: as the ascent leaves batch-norm, and re-estimated.

    "au_stop" is the epoch where unlearning would end.
    """
    stage = run.result.stages["AU"]
    recorded = range(1, len(stage.history) + 1)
    measured = {*UNLEARNING_EPOCHS, stage.selected_block}
    blocks = sorted(measured.intersection(recorded))
    scene = run.scene
    for row in audit(stage, run.result.model, scene.test, scene.attack, blocks):
        yield {**row, "au_stop": stage.selected_block}


def stages(run: Run) -> Iterator[dict]:
    """Tables 1, 5 and 6 and Fig. 4: CA, ASR and RA after every stage."""
    scene = run.scene
    facts = _dlp_facts(run)
    if scene.attack is not None:
        facts |= filter_facts(run.result, scene.truth)
    for name, metrics in after_each(run.result, scene.test, scene.attack).items():
        costs = run.result.stages[name].costs()
        yield {"stage": name, **asdict(metrics), **facts, **costs}


def _dlp_facts(run: Run) -> dict:
    """Return DLP's settings, and what a defender can see of its outcome."""
    dlp = run.part.dlp(run.scene.recipe.dlp)
    selection = run.result.selection
    unlearned = run.result.stages.get("AU")
    facts = {"gamma": dlp.gamma, "quota": dlp.quota, "order": "-".join(dlp.order)}
    facts["stop"] = dlp.unlearn.stop
    facts["trusted_images"] = len(selection.trusted)
    facts["shortfall"] = selection.shortfall
    facts["au_stop"] = unlearned.selected_block if unlearned else None
    return facts


def undefended(run: Run) -> Iterator[dict]:
    """Table 3's first row: plain training of the same length, E1 counted in."""
    scene = run.scene
    model, stage = scene.undefended()
    metrics = evaluate(model, scene.test, scene.attack)
    images = stage.total("images")
    yield {"epochs": scene.recipe.epochs, **asdict(metrics), "images": images}


def baselines(run: Run) -> Iterator[dict]:
    """Table 3: another defence, by its paper's schedule or a shorter one; without the clean part.

    "schedule" says which, and "epochs" how many of each stage that were.
    """
    scene = run.scene
    part = run.part
    method = None
    if part.defence != NO_DEFENCE:
        method = scene.recipe.defences[part.defence]
    if part.shorter:
        method = shorten(method)
    result = defence_result(scene, method)
    _, test = clean_part(scene.clean, scene.test, scene.context)
    metrics = evaluate(result.model, test, scene.attack)
    facts = {"defence": part.defence, "schedule": part.schedule, "epochs": describe(result)}
    yield {**facts, **asdict(metrics), "images": result.total("images")}


TABLES: dict[str, Callable[[Run], Iterator[dict]]] = {
    "epochs": epochs,
    "filters": filters,
    "unlearning": unlearning,
    "stages": stages,
    "undefended": undefended,
    "baselines": baselines,
}


SHARING = ("undefended", "baselines")  # they read what other parts read or train on, too
READING_BLOCKS = ("epochs", "unlearning")  # they read blocks that no stage was left with


def check(base: Scenario, part: Part) -> None:
    """Check, before any work, that there are enough images for a part.

    Raises:
        ValueError: naming gamma, or the share of the clean images.
    """
    dlp = part.dlp(base.recipe.dlp)
    gammas = GAMMAS if "filters" in part.tables else (dlp.gamma,)
    for gamma in gammas:
        selection_sizes(base.clean, gamma, dlp.quota)
    if part.defence is not None:
        clean_part(base.clean, base.test, base.context)


def measure(base: Scenario, part: Part) -> dict[str, list[dict]]:
    """Return a part's rows for each of its tables."""
    run = defend(attack(base, part), part)
    return {name: rows(run, name) for name in part.tables}


def attack(base: Scenario, part: Part) -> Scenario:
    """Return the part's scenario."""
    scene = replace(base, architecture=part.architecture)
    return scene.attacked_by(part.attack, part.poisoning_rate)


def defend(scene: Scenario, part: Part) -> Run:
    """Run DLP with the part's settings."""
    dlp = part.dlp(scene.recipe.dlp)
    return Run(scene, part, dlp.run(scene.untrained(), scene.tampered, scene.context))


def rows(run: Run, table: str) -> list[dict]:
    """Return a part's rows for one of its tables."""
    scene = run.scene
    part = run.part
    facts = {"part": part.name, "attack": part.attack}
    facts["alpha"] = _poisoning_rate(scene, part)
    facts["poisoned_images"] = int(scene.truth.poisoned.sum())
    facts["architecture"] = part.architecture
    return [{**facts, **row} for row in TABLES[table](run)]


def _poisoning_rate(scene: Scenario, part: Part) -> float | None:
    """Return the share of the set that is poisoned, as it was asked for; None without attack."""
    if scene.attack is None:
        return None
    if part.poisoning_rate is not None:
        return part.poisoning_rate
    return limit_to_class(scene.recipe.attacks[part.attack], scene.clean).poisoning_rate
