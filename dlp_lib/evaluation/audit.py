"""What recorded weights are worth: measured on test data, for tables and figures only."""

import itertools
from collections.abc import Iterable
from dataclasses import asdict

from torch import nn

from ..attacks.base import Attack, apply_trigger
from ..data.split import Split
from ..defences.base import DefenceResult
from ..fingerprint import fingerprint
from ..models.interface import copied, device_of
from ..training.checkpoints import Checkpoints
from ..training.stage import Stage
from .metrics import Metrics, evaluate


def measure_checkpoint(
    checkpoints: Checkpoints,
    block: int,
    model: nn.Module,
    test: Split,
    attack: Attack | None = None,
    reestimated: bool = False,
) -> Metrics:
    """Measure recorded weights as ``evaluate`` does, and record what comes out.

    Args:
        checkpoints: of a training run.
        block: 1 is the first.
        model: any of the same architecture and size; left as it is.
        test: a clean test set.
        attack: None: only CA is measured.
        reestimated: take the batch-norm statistics that unlearning estimated anew.
    """
    test = test.to(device_of(model, test.images))
    triggered = None
    if attack is not None:
        goal = attack.goal(test.labels, len(test.classes))
        triggered = (apply_trigger(attack, test.images), goal)
    key = fingerprint(evaluate, block, reestimated, test, triggered)
    name = f"{checkpoints.name}/measured-{key}"
    record = checkpoints.store.read(name)
    if record is None:
        model = copied(model)
        checkpoints.load(model, block, reestimated)
        metrics = evaluate(model, test, attack)
        record = checkpoints.store.write(name, {}, asdict(metrics))
    return Metrics(**record.facts)


def after_each(
    result: DefenceResult, test: Split, attack: Attack | None = None
) -> dict[str, Metrics]:
    """Measure the weights that each stage left, and after the last one the model that came out.

    Where a stage did nothing, its weights are those of the stage before it. A first stage that did
    nothing is left out, as the result does not hold the weights before it.
    """
    *earlier, last = result.stages
    measured: dict[str, Metrics] = {}
    previous = None
    for name in earlier:
        stage = result.stages[name]
        if stage.selected_block:
            previous = measure_checkpoint(
                stage.checkpoints,
                stage.selected_block,
                result.model,
                test,
                attack,
                stage.reestimated,
            )
        if previous is not None:
            measured[name] = previous
    measured[last] = evaluate(result.model, test, attack)
    return measured


def audit(
    stage: Stage,
    model: nn.Module,
    test: Split,
    attack: Attack | None,
    blocks: Iterable[int],
    batchnorm: Iterable[bool] = (False, True),
) -> list[dict]:
    """Measure recorded blocks of a stage.

    Args:
        stage: of DLP.
        model: any of the same architecture and size; left as it is.
        test: a clean test set.
        attack: None: only CA is measured.
        blocks: 1 is the first.
        batchnorm: of unlearning, whether its statistics are re-estimated (True), or as the ascent
            left them (False), or both.

    Returns:
        A row for each: "block", "reestimated", and the fields of Metrics.
    """
    kinds = batchnorm if stage.name == "AU" else (False,)
    rows = []
    for block, reestimated in itertools.product(blocks, kinds):
        metrics = measure_checkpoint(stage.checkpoints, block, model, test, attack, reestimated)
        rows.append({"block": block, "reestimated": reestimated, **asdict(metrics)})
    return rows
