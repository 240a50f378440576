"""Measure the tables of three seeds that the notebooks show beside their own run's: about an hour on two cores.

python notebooks/record.py [attacks filters epochs speed rates]

Everything trained is kept in build/store, so that a run that was killed goes on where it was.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict

import torch
from torch import Tensor

import dlp_lib
from dlp_lib import (
    FILTERS,
    HOME,
    BadNets,
    Context,
    Runtime,
    Split,
    Store,
    Supervised,
    accuracy,
    attacks,
    entropy,
    evaluate,
    filters,
    plots,
    predict,
    record,
)  # fmt: skip
from dlp_lib.attacks import Setting

EPOCHS, SETTLE = 24, 4  # to convergence: a training accuracy of about 100 %, then some epochs at a tenth of the rate
ATTACKS = attacks.SHAPES10 | {"all-to-all": Setting(BadNets("all-to-all"), 0.1)}
ONE_TARGET = list(attacks.SHAPES10)
GAMMA, AGREED = 0.01, 0.98

train, test = dlp_lib.load("shapes10")


def poisoned_by(setting: Setting, context: Context):
    """The attack, the tampered set and the truth."""
    attack = dlp_lib.prepare(setting.attack, train, context)
    return attack, *dlp_lib.poison(train, attack, setting.poisoning_rate, context)


def trained(tampered: Split, context: Context, epochs: int = EPOCHS, **settings):
    """The undefended model, and its stage."""
    model = dlp_lib.wrn_16_1(len(train.classes), context.runtime)
    return model, dlp_lib.supervised(model, tampered, epochs, Supervised(**settings), context)


def converged(tampered: Split, context: Context):
    """The undefended model after a last few epochs at a lower learning rate, in which it settles."""
    model, _ = trained(tampered, context)
    dlp_lib.supervised(model, tampered, SETTLE, Supervised(lr=0.001), context)
    return model


def scores_by_epoch(stage) -> list[Tensor]:
    return [stage.trail.read(epoch).tensors["logits"] for epoch in range(1, len(stage.history) + 1)]


def measure_attacks(context: Context) -> Iterator[dict]:
    """CA and ASR of every attack, undefended, and what a clean model makes of its trigger."""
    clean_model = converged(train, context)
    answers = predict(clean_model, test.images)
    yield {"attack": "none", **asdict(evaluate(clean_model, test))}
    for name, setting in ATTACKS.items():
        attack, tampered, truth = poisoned_by(setting, context)
        model = converged(tampered, context)
        goal = attack.goal(test.labels, len(test.classes))
        counts = {"poisoned": int(truth.poisoned.sum()), "of": len(train), "candidates": truth.candidates}
        clean_asr = evaluate(clean_model, test, attack).asr
        mistaken = accuracy(answers, goal, goal != test.labels)
        yield {"attack": name, **asdict(evaluate(model, test, attack)), **counts} | {
            "clean_model_triggered": clean_asr, "clean_model_untriggered": mistaken
        }  # fmt: skip


def measure_filters(context: Context) -> Iterator[dict]:
    """All four filters on the same data: the poisoned share of the suspects at several E1, and at the agreed one."""
    for name in ONE_TARGET:
        _, tampered, truth = poisoned_by(ATTACKS[name], context)
        model, stage = trained(tampered, context)
        lasting = filters.agreement([-entropy(z) for z in scores_by_epoch(stage)], tampered, GAMMA)
        agreed = int((lasting >= AGREED).double().argmax()) + 1 if (lasting >= AGREED).any() else None
        for when, e1 in {"E1 = 4": 4, "E1 = 10": 10, "E1 = 20": 20, "agreed E1": agreed}.items():
            if e1 is None:
                continue
            stage.trail.load(model, e1)
            seen = dlp_lib.observe(model, tampered.images)
            for kind, score in FILTERS.items():
                suspected = dlp_lib.select(score(seen, tampered.labels), tampered, GAMMA).suspected
                share = truth.poisoned[suspected].double().mean().item()
                yield {"attack": name, "filter": kind, "when": when, "e1": e1, "suspected": share}


def subsets(logits: Tensor, tampered: Split, poisoned: Tensor) -> dict:
    """Accuracy on the clean and the poisoned part, and the share of clean others that are taken for class 0."""
    target = torch.zeros_like(tampered.labels)
    found = {"clean": accuracy(logits, tampered.labels, ~poisoned)}
    if poisoned.any():
        found["poisoned"] = accuracy(logits, tampered.labels, poisoned)
    return found | {"mistaken": accuracy(logits, target, ~poisoned & (tampered.labels != 0))}


def measure_epochs(context: Context) -> Iterator[dict]:
    """Epoch by epoch: what a defender sees (agreement), and how pure the suspects are; also of the mean entropy."""
    for name in ["none", *ONE_TARGET]:
        tampered, poisoned = train, torch.zeros(len(train), dtype=torch.bool)
        if name != "none":
            _, tampered, truth = poisoned_by(ATTACKS[name], context)
            poisoned = truth.poisoned
        _, stage = trained(tampered, context)
        logits = scores_by_epoch(stage)
        entropies = torch.stack([entropy(z) for z in logits])
        lasting = filters.agreement(list(-entropies), tampered, GAMMA)
        for epoch, last in enumerate(entropies, 1):
            row = {"attack": name, "epoch": epoch, "agreement": lasting[epoch - 1].item()}
            row |= subsets(logits[epoch - 1], tampered, poisoned)
            for kind, score in (("last", last), ("mean", entropies[:epoch].mean(0))):
                suspected = dlp_lib.select(-score, tampered, GAMMA).suspected
                row[f"suspected_{kind}"] = poisoned[suspected].double().mean().item()
            yield row


def measure_speed(context: Context) -> Iterator[dict]:
    """Training accuracy of the clean and the poisoned subset per epoch, by default and with other settings."""
    variants = {"default": {}, "augmentation": {"augment": True}, "lr 0.003": {"lr": 0.003}, "lr 0.03": {"lr": 0.03}}
    for name in ("BadNets", "SIG"):
        _, tampered, truth = poisoned_by(ATTACKS[name], context)
        for variant, settings in variants.items():
            _, stage = trained(tampered, context, 10, **settings)
            for epoch, logits in enumerate(scores_by_epoch(stage), 1):
                yield {"attack": name, "variant": variant, "epoch": epoch, **subsets(logits, tampered, truth.poisoned)}


def measure_rates(context: Context) -> Iterator[dict]:
    """How few samples are enough: BadNets at lower and lower rates."""
    for rate in (0.1, 0.02, 0.01, 0.005, 0.002):
        attack, tampered, truth = poisoned_by(Setting(BadNets(), rate), context)
        model = converged(tampered, context)
        counts = {"poisoning_rate": rate, "poisoned": int(truth.poisoned.sum())}
        yield counts | asdict(evaluate(model, test, attack))


TABLES = {name.removeprefix("measure_"): value for name, value in globals().items() if name.startswith("measure_")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help=f"some of {', '.join(TABLES)}; all by default")
    tables = parser.parse_args().tables or list(TABLES)
    if unknown := sorted(set(tables) - set(TABLES)):
        parser.error(f"there is no table {', '.join(unknown)}: allowed are {', '.join(TABLES)}")
    settings = {"epochs": EPOCHS, "settle": SETTLE, "gamma": GAMMA, "agreed": AGREED, "attacks": repr(ATTACKS)}
    for table in tables:
        rows = []
        for seed in (0, 1, 2):
            context = Context(Runtime(seed), Store(HOME / "build" / "store"), plots.progress)
            for row in TABLES[table](context):
                rows.append({"seed": seed, **row})
                print(rows[-1], flush=True)
        record.write(table, rows, {"what": TABLES[table].__doc__, **settings, **dlp_lib.environment(context.runtime)})


if __name__ == "__main__":
    main()
