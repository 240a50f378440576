"""What poison does to a model that nobody defends, and what can be seen of it (notebooks 01 to 03)."""

from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import Tensor

from ..attacks import SHAPES10, BadNets, Setting
from ..data import Split
from ..filters import FILTERS, agreement, entropy, select
from ..metrics import accuracy, evaluate, observe, predict
from ..pipeline import agreed_e1
from .bench import ATTACKS, GAMMA, Bench, scores


def measure_attacks(bench: Bench) -> Iterator[dict]:
    """CA and ASR of every attack, undefended, and what a clean model makes of its trigger."""
    clean_model = bench.converged(bench.train)
    answers = predict(clean_model, bench.test.images)
    yield {"attack": "none", **asdict(evaluate(clean_model, bench.test))}
    for name, setting in ATTACKS.items():
        attack, tampered, truth = bench.poisoned(setting)
        model = bench.converged(tampered)
        goal = attack.goal(bench.test.labels, len(bench.test.classes))
        counts = {"poisoned": int(truth.poisoned.sum()), "of": len(bench.train), "candidates": truth.candidates}
        clean_asr = evaluate(clean_model, bench.test, attack).asr
        mistaken = accuracy(answers, goal, goal != bench.test.labels)
        yield {"attack": name, **asdict(evaluate(model, bench.test, attack)), **counts} | {
            "clean_model_triggered": clean_asr, "clean_model_untriggered": mistaken
        }  # fmt: skip


def measure_filters(bench: Bench) -> Iterator[dict]:
    """All four filters on the same data: the poisoned share of the suspects at several E1, and at the agreed one."""
    for name in SHAPES10:
        _, tampered, truth = bench.poisoned(ATTACKS[name])
        model, stage = bench.trained(tampered)
        agreed = agreed_e1(stage, tampered, GAMMA)
        for when, e1 in {"E1 = 4": 4, "E1 = 10": 10, "E1 = 20": 20, "agreed E1": agreed}.items():
            if e1 is None or e1 > bench.epochs:
                continue
            stage.trail.load(model, e1)
            seen = observe(model, tampered.images)
            for kind, score in FILTERS.items():
                suspected = select(score(seen, tampered.labels), tampered, GAMMA).suspected
                share = truth.poisoned[suspected].double().mean().item()
                yield {"attack": name, "filter": kind, "when": when, "e1": e1, "suspected": share}


def subsets(logits: Tensor, tampered: Split, poisoned: Tensor) -> dict:
    """Accuracy on the clean and the poisoned part, and the share of clean others that are taken for class 0."""
    target = torch.zeros_like(tampered.labels)
    found = {"clean": accuracy(logits, tampered.labels, ~poisoned)}
    if poisoned.any():
        found["poisoned"] = accuracy(logits, tampered.labels, poisoned)
    return found | {"mistaken": accuracy(logits, target, ~poisoned & (tampered.labels != 0))}


def measure_epochs(bench: Bench) -> Iterator[dict]:
    """Epoch by epoch: what a defender sees (agreement), and how pure the suspects are; also of the mean entropy."""
    for name in ["none", *SHAPES10]:
        tampered, poisoned = bench.train, torch.zeros(len(bench.train), dtype=torch.bool)
        if name != "none":
            _, tampered, truth = bench.poisoned(ATTACKS[name])
            poisoned = truth.poisoned
        _, stage = bench.trained(tampered)
        logits = scores(stage)
        entropies = torch.stack([entropy(z) for z in logits])
        lasting = agreement(list(-entropies), tampered, GAMMA)
        for epoch, last in enumerate(entropies, 1):
            row = {"attack": name, "epoch": epoch, "agreement": lasting[epoch - 1].item()}
            row |= subsets(logits[epoch - 1], tampered, poisoned)
            for kind, score in (("last", last), ("mean", entropies[:epoch].mean(0))):
                suspected = select(-score, tampered, GAMMA).suspected
                row[f"suspected_{kind}"] = poisoned[suspected].double().mean().item()
            yield row


def measure_speed(bench: Bench) -> Iterator[dict]:
    """Training accuracy of the clean and the poisoned subset per epoch, by default and with other settings."""
    variants = {"default": {}, "augmentation": {"augment": True}, "lr 0.003": {"lr": 0.003}, "lr 0.03": {"lr": 0.03}}
    for name in ("BadNets", "SIG"):
        _, tampered, truth = bench.poisoned(ATTACKS[name])
        for variant, settings in variants.items():
            _, stage = bench.trained(tampered, 10, **settings)
            for epoch, logits in enumerate(scores(stage), 1):
                yield {"attack": name, "variant": variant, "epoch": epoch, **subsets(logits, tampered, truth.poisoned)}


def measure_rates(bench: Bench) -> Iterator[dict]:
    """How few samples are enough: BadNets at lower and lower rates."""
    for rate in (0.1, 0.02, 0.01, 0.005, 0.002):
        attack, tampered, truth = bench.poisoned(Setting(BadNets(), rate))
        model = bench.converged(tampered)
        counts = {"poisoning_rate": rate, "poisoned": int(truth.poisoned.sum())}
        yield counts | asdict(evaluate(model, bench.test, attack))
