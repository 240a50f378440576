"""What DLP makes of it, stage by stage and in other orders (notebook 06)."""

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, replace

from ..attacks import SHAPES10
from ..metrics import evaluate, filter_precision
from ..pipeline import ORDERS, agreed_e1
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
        model, passes = copy.deepcopy(result.model), 0
        for stage in result.stages.values():
            stage.trail.load(model, stage.chosen, reestimated=stage.name == "AU")
            passes += stage.total("images")
            costs = {"images": stage.total("images"), "seconds": stage.total("seconds")}
            yield said | {"stage": stage.name, **asdict(evaluate(model, bench.test, attack)), **costs}
        model, epochs = bench.untrained(), math.ceil(passes / len(tampered))
        stage = supervised(model, tampered, epochs, dlp.supervised, bench.context)
        costs = {"images": stage.total("images"), "seconds": stage.total("seconds")}
        yield said | {"stage": "undefended", **asdict(evaluate(model, bench.test, attack)), **costs}


def measure_orders(bench: Bench) -> Iterator[dict]:
    """Fig. 4: the stages in four orders, after each of them, for one attack of each family; E1 as in Table 1."""
    for name in ("BadNets", "SIG"):
        attack, tampered, _ = bench.poisoned(ATTACKS[name])
        e1 = agreed_e1(bench.trained(tampered)[1], tampered, GAMMA) or bench.dlp.e1
        for order in ORDERS[1:]:
            result = replace(bench.dlp, e1=e1, order=order).run(bench.untrained(), tampered, bench.context)
            model = copy.deepcopy(result.model)
            for stage in result.stages.values():
                stage.trail.load(model, stage.chosen, reestimated=stage.name == "AU")
                row = {"attack": name, "order": "-".join(order), "stage": stage.name, "e1": e1}
                yield row | asdict(evaluate(model, bench.test, attack))
