"""What DLP makes of it, stage by stage and in other orders (notebook 06)."""

import math
from collections.abc import Iterator
from dataclasses import asdict, replace

from ..architectures import ARCHITECTURES
from ..attacks import SHAPES10
from ..metrics import evaluate, filter_precision
from ..pipeline import ORDERS, after_each
from ..stages import Supervised, supervised
from .bench import ATTACKS, Bench


def measure_stages(bench: Bench) -> Iterator[dict]:
    """Table 1: CA, ASR and RA after every stage, E1 chosen by agreement (4 where it never lasts), and undefended."""
    for name in ("none", *SHAPES10):
        attack, tampered, truth = (None, bench.train, None) if name == "none" else bench.poisoned(ATTACKS[name])
        agreed, result = bench.defended(tampered)
        said = {"attack": name, "e1": result.stages["SL"].chosen, "agreed": agreed is not None}
        said["au_stop"] = result.stages["AU"].chosen
        if truth:
            said |= filter_precision(result.selection.suspected, result.selection.trusted, truth)
        measured, stages = after_each(result, bench.test, attack), dict(result.stages)
        model, epochs = bench.untrained(), math.ceil(result.total("images") / len(tampered))
        stages["undefended"] = supervised(model, tampered, epochs, bench.dlp.supervised, bench.context)
        measured["undefended"] = evaluate(model, bench.test, attack)
        for when, stage in stages.items():
            costs = {"images": stage.total("images"), "seconds": stage.total("seconds")}
            yield said | {"stage": when, **asdict(measured[when]), **costs}


def measure_orders(bench: Bench) -> Iterator[dict]:
    """Fig. 4: the stages in four orders, after each of them, for one attack of each family; E1 as in Table 1."""
    for name in ("BadNets", "SIG"):
        attack, tampered, _ = bench.poisoned(ATTACKS[name])
        for order in ORDERS[1:]:
            _, result = bench.defended(tampered, order=order)
            said = {"attack": name, "order": "-".join(order), "e1": result.stages["SL"].chosen}
            for stage, metrics in after_each(result, bench.test, attack).items():
                yield said | {"stage": stage, **asdict(metrics)}


def measure_architectures(bench: Bench) -> Iterator[dict]:
    """Table 6 on 2,000 images at most: each architecture after every stage, and undefended after six (timed) epochs.

    So that a small budget makes enough steps, batches of stage 1 are of 32; FixMatch makes a third of the usual steps.
    """
    stages = {"supervised": Supervised(batch=32)}
    stages["fixmatch"] = replace(bench.dlp.fixmatch, batch=32, steps=bench.dlp.fixmatch.steps // 3)
    bench = replace(bench, train=bench.train.subset(slice(2000)), epochs=6)
    bench = replace(bench, dlp=replace(bench.dlp, gamma=0.05, **stages))
    attack, tampered, truth = bench.poisoned(ATTACKS["BadNets"])
    for name in ARCHITECTURES:
        its = replace(bench, architecture=name)
        agreed, result = its.defended(tampered)
        model, stage = its.trained(tampered)
        size = sum(parameter.numel() for parameter in model.parameters())
        said = {
            "architecture": name,
            "parameters": size,
            "e1": result.stages["SL"].chosen,
            "agreed": agreed is not None,
        }
        said |= {column: stage.total(column) for column in ("images", "seconds")}
        said |= filter_precision(result.selection.suspected, result.selection.trusted, truth)
        measured = after_each(result, bench.test, attack) | {"undefended": evaluate(model, bench.test, attack)}
        for when, metrics in measured.items():
            yield said | {"stage": when, **asdict(metrics)}
