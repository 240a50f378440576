"""The rows of the lab page's tables: answers of the live lab in, plain numbers out.

What is a share in an answer is a count in a row: counts are exact, and take less room.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor

from .answer import Answer
from .controller import Lab
from .grid import FILTER_GAMMAS, Grid
from .setting import LabSetting

BINS = 60  # of a histogram
DIGITS = 6  # of an entropy in bits


def rows_of(lab: Lab, attack: str, grid: Grid) -> Iterator[dict]:
    """Yield what a lab knows of an attack; "kind" says what a row tells.

    Args:
        lab: it has done the work for the settings of the grid.
        attack: a name.
        grid: the settings.
    """
    starts = list(grid.starts(attack))
    answers = {(setting.e1, setting.gamma): lab.look(setting) for setting in starts}
    yield _curves(answers[starts[0].e1, starts[0].gamma])
    for e1 in grid.e1s:
        answer = answers[e1, grid.gammas[0]]
        yield {"kind": "SL", "e1": e1, **_histogram(answer), **_metrics(answer.stages["SL"])}
        for gamma in sorted({*FILTER_GAMMAS, *grid.gammas}):
            setting = replace(answer.setting, gamma=gamma)
            row = _filtered(lab, setting)
            if row is not None:
                yield {"kind": "filter", "e1": e1, "gamma": gamma, **row}
    for (e1, gamma), answer in answers.items():
        yield {"kind": "AU", "e1": e1, "gamma": gamma, **_ascent(answer)}
    for setting in grid.ends(attack):
        tuned = lab.look(setting).stages.get("ASSFT")
        if tuned is not None:
            place = {"e1": setting.e1, "gamma": setting.gamma, "e2": setting.e2}
            yield {"kind": "ASSFT", **place, **_metrics(tuned)}


def _curves(answer: Answer) -> dict:
    """Return how many training samples are right after every epoch of stage 1."""
    poisoned = answer.scenario.truth.poisoned
    n = len(poisoned)
    n_poisoned = int(poisoned.sum())
    return {
        "kind": "curves",
        "all": [round(share * n) for share in answer.gap["all"]],
        "clean": [round(share * (n - n_poisoned)) for share in answer.gap["clean"]],
        "poisoned": [round(share * n_poisoned) for share in answer.gap["poisoned"]],
    }


def _histogram(answer: Answer) -> dict:
    """Return the histogram of ``plots.histogram``: its range in bits, and what is in each bin."""
    poisoned = answer.scenario.truth.poisoned.cpu()
    entropy = answer.entropy.cpu()
    edges = np.histogram_bin_edges(entropy.numpy(), BINS)
    return {
        "lowest": _bits(entropy.min()),
        "highest": _bits(entropy.max()),
        "clean": np.histogram(entropy[~poisoned].numpy(), edges)[0].tolist(),
        "poisoned": np.histogram(entropy[poisoned].numpy(), edges)[0].tolist(),
    }


def _bits(entropy: Tensor) -> float:
    return round(entropy.item(), DIGITS)


def _filtered(lab: Lab, setting: LabSetting) -> dict | None:
    """Return what the filter chooses; None where a gamma leaves none to trust of some class."""
    try:
        answer = lab.look(setting)
    except ValueError:
        return None
    suspected = answer.selection.suspected
    trusted = answer.selection.trusted
    tampered = answer.scenario.tampered
    return {
        "suspected": len(suspected),
        "suspected_poisoned": round(answer.precision["suspected"] * len(suspected)),
        "suspects_end": _bits(answer.entropy[suspected].max()),
        "trusted": len(trusted),
        "trusted_clean": round(answer.precision["trusted"] * len(trusted)),
        "trusted_begin": _bits(answer.entropy[trusted].min()),
        "labels": tampered.labels[suspected].bincount(minlength=len(tampered.classes)).tolist(),
    }


def _ascent(answer: Answer) -> dict:
    """Return columns of the ascent, an entry an epoch."""
    suspects = len(answer.selection.suspected)
    rows = [_metrics(row) for row in answer.ascent]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for name in ("accuracy", "accuracy_reestimated"):
        columns[name] = [round(row[name] * suspects) for row in answer.ascent]
    return columns


def _metrics(row: dict) -> dict:
    """Return how many test images are right, and for ASR how many do what the attack wants."""
    n_of_target = row["n_clean"] - row["n_triggered"]
    recall = row["target_recall"] or 0.0  # None: there is no image of the target
    return {
        "ca": round(row["ca"] * row["n_clean"]),
        "asr": round(row["asr"] * row["n_triggered"]),
        "ra": round(row["ra"] * row["n_triggered"]),
        "target_recall": round(recall * n_of_target),
        "collapsed": row["collapsed"],
    }
