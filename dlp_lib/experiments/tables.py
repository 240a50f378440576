"""Tables that set a run beside what was recorded, and beside what the paper says."""

from typing import TYPE_CHECKING

from ..evaluation import Metrics
from .record import paper
from .scenario import NO_ATTACK

if TYPE_CHECKING:
    import pandas

UNKNOWN = "–"


def ca_and_asr(ca: float, asr: float | None) -> str:
    """Return both in per cent, "CA / ASR"; None: there is no attack."""
    asr_text = UNKNOWN if asr is None else f"{100 * asr:.1f}"
    return f"{100 * ca:.1f} / {asr_text}"


def beside_paper(
    recorded: list[dict], measured: dict[str, dict[str, Metrics]]
) -> "pandas.DataFrame":
    """Return the paper's Table 3 for DLP and no defence, with recorded means and this run.

    Args:
        recorded: rows of the record "stages".
        measured: metrics after each stage, and "undefended", by attack; "no attack" is one. An
            attack of the paper may be missing.
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
            }
    return pandas.DataFrame(cells).T.rename_axis(["CA / ASR (%)", ""])


def _recorded_mean(recorded: list[dict], attack: str, stage: str) -> str:
    """Return the mean over the seeds."""
    import pandas

    name = NO_ATTACK if attack == "no attack" else attack
    rows = pandas.DataFrame(recorded)
    rows = rows[(rows.attack == name) & (rows.stage == stage)]
    asr = None if name == NO_ATTACK else rows.asr.astype(float).mean()
    return ca_and_asr(rows.ca.mean(), asr)


def _this_run(measured: dict[str, dict[str, Metrics]], attack: str, stage: str) -> str:
    if attack not in measured:
        return UNKNOWN
    metrics = measured[attack][stage]
    return ca_and_asr(metrics.ca, metrics.asr)
