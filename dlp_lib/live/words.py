"""The live lab's words: an Answer in, a sentence or a table of plain text or HTML out."""

import html
from dataclasses import asdict

from .answer import Answer

STAGES = ("SL", "AU", "ASSFT")


def sentence(answer: Answer, truth: bool) -> str:
    """Return what the setting has led to, in words.

    Args:
        answer: what is known.
        truth: whether to say what no defender can see.
    """
    if answer.selection is None:
        return f"Training to epoch {answer.setting.e1} …"
    unlearned = _row_at_e2(answer)
    describe = _true_sentence if truth else _visible_sentence
    text = describe(answer, unlearned)
    if unlearned is not None and unlearned["collapsed"]:
        text += (
            " The model has collapsed: it does hardly better than one answer for everything,"
            " which is no defence."
        )
    return text


def _row_at_e2(answer: Answer) -> dict | None:
    e2 = answer.setting.e2
    return answer.ascent[e2 - 1] if 0 < e2 <= len(answer.ascent) else None


def _visible_sentence(answer: Answer, unlearned: dict | None) -> str:
    n = len(answer.selection.suspected)
    label, share = answer.agreement
    text = f"{round(share * n)} of {n} suspects carry the label “{label}”."
    if unlearned is not None:
        chance = 1 / len(answer.scenario.classes)
        text += (
            f" After {answer.setting.e2} epochs of unlearning the model is right on"
            f" {unlearned['accuracy_reestimated']:.0%} of them (chance: {chance:.0%})."
        )
    return text


def _true_sentence(answer: Answer, unlearned: dict | None) -> str:
    n = len(answer.selection.suspected)
    poisoned = round(answer.precision["suspected"] * n)
    text = (
        f"{poisoned} of {n} suspects are poisoned,"
        f" {answer.precision['trusted']:.1%} of the trusted samples are clean."
    )
    learned = answer.stages.get("SL")
    if learned and unlearned:
        lost = 100 * (learned["ca"] - unlearned["ca"])
        text += (
            f" {answer.setting.e2} epochs of unlearning have taken ASR from"
            f" {learned['asr']:.0%} to {unlearned['asr']:.0%} and CA from"
            f" {learned['ca']:.0%} to {unlearned['ca']:.0%} ({lost:.0f} points lost)."
        )
    tuned = answer.stages.get("ASSFT")
    if tuned:
        text += f" Fine-tuning has brought CA to {tuned['ca']:.0%} and ASR to {tuned['asr']:.0%}."
    return text


def table(*answers: Answer) -> str:
    """Return settings and their CA and ASR, which are the truth, as HTML, one below the other."""
    rows = [["setting", *STAGES]]
    for answer in answers:
        pairs = asdict(answer.setting).items()
        setting = ", ".join(f"{name} {value}" for name, value in pairs)
        rows.append([setting, *(_cell(answer, stage) for stage in STAGES)])
    return f"<table>{''.join(_table_row(row) for row in rows)}</table>"


def _cell(answer: Answer, stage: str) -> str:
    row = answer.stages.get(stage)
    return "–" if row is None else f"CA {row['ca']:.0%}, ASR {row['asr']:.0%}"


def _table_row(cells: list[str]) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
