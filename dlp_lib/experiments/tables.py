"""Tables that set a run beside what was recorded, and beside what the paper says."""

from statistics import mean
from typing import TYPE_CHECKING

from ..evaluation import Metrics
from .record import paper
from .scenario import NO_ATTACK
from .stage_rows import with_target_recall

if TYPE_CHECKING:
    import pandas

UNKNOWN = "–"
RECALL_TITLE = "recall of the target"


def ca_and_asr(ca: float, asr: float | None) -> str:
    """Return both in per cent, "CA / ASR"; None: there is no attack."""
    asr_text = UNKNOWN if asr is None else f"{100 * asr:.1f}"
    return f"{100 * ca:.1f} / {asr_text}"


def beside_paper(
    recorded: list[dict], measured: dict[str, dict[str, Metrics]], target: int = 0
) -> "pandas.DataFrame":
    """Return the paper's Table 3 for DLP and no defence, with recorded means and this run.

    Args:
        recorded: rows of the record "stages".
        measured: metrics after each stage, and "undefended", by attack; "no attack" is one. An
            attack of the paper may be missing.
        target: the class that the attacker wants. Its recall stands beside CA and ASR.
    """
    import pandas

    table3 = paper("table 3")
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for attack in table3["DLP"]:
        for label, method, stage in (("undefended", "none", "undefended"), ("DLP", "DLP", "ASSFT")):
            cells[attack, label] = {
                "paper": ca_and_asr(*table3[method][attack]),
                "recorded": _recorded_mean(recorded, attack, stage),
                "this run": _this_run(measured, attack, stage),
                f"{RECALL_TITLE}, recorded": _recorded_recall(recorded, attack, stage, target),
                f"{RECALL_TITLE}, this run": _recall(measured, attack, stage, target),
            }
    return pandas.DataFrame(cells).T.rename_axis(["CA / ASR (%)", ""])


def _recorded_mean(recorded: list[dict], attack: str, stage: str) -> str:
    """Return the mean over the seeds."""
    rows = _rows_of_stage(recorded, attack, stage)
    asr = None if attack == "no attack" else mean(row["asr"] for row in rows)
    return ca_and_asr(mean(row["ca"] for row in rows), asr)


def _recorded_recall(recorded: list[dict], attack: str, stage: str, target: int) -> str:
    """Return the mean over the seeds."""
    rows = with_target_recall(_rows_of_stage(recorded, attack, stage), target)
    recalls = [row["target_recall"] for row in rows]
    if None in recalls:
        return UNKNOWN
    return f"{100 * mean(recalls):.1f}"


def _rows_of_stage(recorded: list[dict], attack: str, stage: str) -> list[dict]:
    name = NO_ATTACK if attack == "no attack" else attack
    return [row for row in recorded if (row["attack"], row["stage"]) == (name, stage)]


def _this_run(measured: dict[str, dict[str, Metrics]], attack: str, stage: str) -> str:
    if attack not in measured:
        return UNKNOWN
    metrics = measured[attack][stage]
    return ca_and_asr(metrics.ca, metrics.asr)


def _recall(measured: dict[str, dict[str, Metrics]], attack: str, stage: str, target: int) -> str:
    if attack not in measured or attack == "no attack":
        return UNKNOWN
    recall = measured[attack][stage].recall(target)
    return UNKNOWN if recall is None else f"{100 * recall:.1f}"
