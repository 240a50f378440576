"""What poison does to a model that nobody defends, and what can be seen of it."""

from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import Tensor, nn

from ...data import Split
from ...defences import PAPER_FILTERS, agreed_e1, agreement, entropy, select
from ...evaluation import evaluate
from ...recipes import PAPER_ATTACKS
from ...training import Stage, accuracy, logits_and_features, predict
from ..scenario import NO_ATTACK, Scenario
from .facts import subset_accuracies
from .settings import ATTACKS, GAMMA, NONE_AND_ATTACKS

FIXED_E1 = (4, 10, 20)
SPEED_EPOCHS = 10
SPEED_VARIANTS = {
    "default": {},
    "augmentation": {"augment": True},
    "lr 0.003": {"lr": 0.003},
    "lr 0.03": {"lr": 0.03},
}
ONE_OF_EACH_FAMILY = ("BadNets", "SIG")  # poison-label and clean-label
RATES = (0.1, 0.02, 0.01, 0.005, 0.002)


def measure_attacks(base: Scenario) -> Iterator[dict]:
    """CA and ASR of every attack, undefended, and what a clean model makes of its trigger."""
    clean_model = base.attacked_by(NO_ATTACK).converged()
    yield {"attack": NO_ATTACK, **asdict(evaluate(clean_model, base.test))}
    for name, setting in ATTACKS.items():
        scene = base.attacked_by(setting)
        metrics = evaluate(scene.converged(), scene.test, scene.attack)
        shares = _trigger_on_clean_model(clean_model, scene)
        yield {"attack": name, **asdict(metrics), **_counts(scene), **shares}


def _counts(scene: Scenario) -> dict[str, int]:
    """Return how many images are poisoned, of all, and out of how many candidates."""
    poisoned = int(scene.truth.poisoned.sum())
    candidates = scene.truth.candidates
    return {"poisoned": poisoned, "of": len(scene.clean), "candidates": candidates}


def _trigger_on_clean_model(clean_model: nn.Module, scene: Scenario) -> dict[str, float]:
    """Return how often a clean model says what the attack wants, with and without the trigger."""
    test = scene.test
    goal = scene.attack.goal(test.labels, len(test.classes))
    answers = predict(clean_model, test.images)
    return {
        "clean_model_triggered": evaluate(clean_model, test, scene.attack).asr,
        "clean_model_untriggered": accuracy(answers, goal, goal != test.labels),
    }


def measure_filters(base: Scenario) -> Iterator[dict]:
    """The poisoned share of every filter's suspects, at several E1 and at the agreed one."""
    for name in PAPER_ATTACKS:
        scene = base.attacked_by(name)
        model, stage = scene.undefended()
        for when, e1 in _epochs_to_filter_at(stage, scene.tampered).items():
            stage.load(model, e1)
            for kind, share in _suspected_shares(model, scene).items():
                yield {"attack": name, "filter": kind, "when": when, "e1": e1, "suspected": share}


def _epochs_to_filter_at(stage: Stage, tampered: Split) -> dict[str, int]:
    epochs = {f"E1 = {e1}": e1 for e1 in FIXED_E1 if e1 <= len(stage.history)}
    agreed = agreed_e1(stage, tampered, GAMMA)
    if agreed is not None:
        epochs["agreed E1"] = agreed
    return epochs


def _suspected_shares(model: nn.Module, scene: Scenario) -> dict[str, float]:
    tampered = scene.tampered
    outputs = logits_and_features(model, tampered.images)
    shares = {}
    for kind, score in PAPER_FILTERS.items():
        suspicion = score(outputs, tampered.labels)
        shares[kind] = _suspected_share(suspicion, tampered, scene.truth.poisoned)
    return shares


def _suspected_share(suspicion: Tensor, tampered: Split, poisoned: Tensor) -> float:
    """Return the poisoned share of the suspects that a score gives."""
    suspected = select(suspicion, tampered, GAMMA).suspected
    return poisoned[suspected].double().mean().item()


def measure_epochs(base: Scenario) -> Iterator[dict]:
    """By epoch: agreement, and the suspects' poisoned share by the epoch's and the mean entropy."""
    for name in NONE_AND_ATTACKS:
        scene = base.attacked_by(name)
        _, stage = scene.undefended()
        for row in _epoch_rows(stage, scene):
            yield {"attack": name, **row}


def _epoch_rows(stage: Stage, scene: Scenario) -> Iterator[dict]:
    tampered = scene.tampered.to("cpu")  # where recorded logits are
    poisoned = scene.truth.poisoned.cpu()
    logits = stage.logits_by_block()
    entropies = torch.stack([entropy(outputs) for outputs in logits])
    lasting = agreement(list(-entropies), tampered, GAMMA)
    for epoch in range(1, len(logits) + 1):
        last = entropies[epoch - 1]
        mean = entropies[:epoch].mean(0)
        row = {"epoch": epoch, "agreement": lasting[epoch - 1].item()}
        row |= subset_accuracies(logits[epoch - 1], tampered, poisoned)
        row["suspected_last"] = _suspected_share(-last, tampered, poisoned)
        row["suspected_mean"] = _suspected_share(-mean, tampered, poisoned)
        yield row


def measure_speed(base: Scenario) -> Iterator[dict]:
    """Training accuracy of the clean and the poisoned subset by epoch, with several settings."""
    for name in ONE_OF_EACH_FAMILY:
        scene = base.attacked_by(name)
        tampered = scene.tampered.to("cpu")
        poisoned = scene.truth.poisoned.cpu()
        for variant, changes in SPEED_VARIANTS.items():
            _, stage = scene.undefended(SPEED_EPOCHS, **changes)
            for epoch, logits in enumerate(stage.logits_by_block(), 1):
                shares = subset_accuracies(logits, tampered, poisoned)
                yield {"attack": name, "variant": variant, "epoch": epoch, **shares}


def measure_rates(base: Scenario) -> Iterator[dict]:
    """How few samples are enough: BadNets at lower and lower rates."""
    for rate in RATES:
        scene = base.attacked_by("BadNets", rate)
        metrics = evaluate(scene.converged(), scene.test, scene.attack)
        poisoned = int(scene.truth.poisoned.sum())
        yield {"poisoning_rate": rate, "poisoned": poisoned, **asdict(metrics)}
