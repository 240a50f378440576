"""What DLP makes of it, stage by stage and in other orders (notebook 06)."""

import math
from collections.abc import Iterator
from dataclasses import asdict, replace

from ..attacks import SHAPES10
from ..metrics import evaluate, filter_precision
from ..pipeline import ORDERS, after_each, agreed_e1
from ..stages import supervised
from .bench import ATTACKS, GAMMA, Bench


def measure_stages(bench: Bench) -> Iterator[dict]:
    """Table 1: CA, ASR and RA after every stage, E1 chosen by agreement (4 where it never lasts), and undefended."""
    for name in ("none", *SHAPES10):
        attack, tampered, truth = (None, bench.train, None) if name == "none" else bench.poisoned(ATTACKS[name])
        agreed = agreed_e1(bench.trained(tampered)[1], tampered, GAMMA)
        dlp = replace(bench.dlp, e1=agreed or bench.dlp.e1)
        result = dlp.run(bench.untrained(), tampered, bench.context)
        said = {"attack": name, "e1": dlp.e1, "agreed": agreed is not None, "au_stop": result.stages["AU"].chosen}
        if truth:
            said |= filter_precision(result.selection.suspected, result.selection.trusted, truth)
        measured, stages = after_each(result, bench.test, attack), dict(result.stages)
        model, passes = bench.untrained(), sum(stage.total("images") for stage in stages.values())
        epochs = math.ceil(passes / len(tampered))
        stages["undefended"] = supervised(model, tampered, epochs, dlp.supervised, bench.context)
        measured["undefended"] = evaluate(model, bench.test, attack)
        for when, stage in stages.items():
            costs = {"images": stage.total("images"), "seconds": stage.total("seconds")}
            yield said | {"stage": when, **asdict(measured[when]), **costs}


def measure_orders(bench: Bench) -> Iterator[dict]:
    """Fig. 4: the stages in four orders, after each of them, for one attack of each family; E1 as in Table 1."""
    for name in ("BadNets", "SIG"):
        attack, tampered, _ = bench.poisoned(ATTACKS[name])
        e1 = agreed_e1(bench.trained(tampered)[1], tampered, GAMMA) or bench.dlp.e1
        for order in ORDERS[1:]:
            result = replace(bench.dlp, e1=e1, order=order).run(bench.untrained(), tampered, bench.context)
            for stage, metrics in after_each(result, bench.test, attack).items():
                yield {"attack": name, "order": "-".join(order), "stage": stage, "e1": e1, **asdict(metrics)}
