"""The live lab's figures and words: an Answer in, a drawn figure and its alternative text out."""

import html
from dataclasses import asdict, fields

import torch
from matplotlib.figure import Figure

from . import plots
from .lab import Answer
from .metrics import Metrics


def draw_gap(figure: Figure, answer: Answer, truth: bool) -> str:
    if not answer.gap:
        return ""
    ax = figure.subplots()
    if truth:
        plots.learning_gap(ax, answer.gap["clean"], answer.gap["poisoned"])
    else:
        epochs = range(1, len(answer.gap["all"]) + 1)
        plots.band(ax, epochs, answer.gap["all"], "o-", plots.NEUTRAL, "all samples")
        ax.set(xlabel="epoch", ylabel="training accuracy (%)", ylim=(-2, 104))
    ax.axvline(answer.setting.e1, color="black", linestyle="--", label="E1")
    ax.legend(fontsize=8)
    return f"Training accuracy per epoch, E1 marked at {answer.setting.e1}."


def draw_entropy(figure: Figure, answer: Answer, truth: bool) -> str:
    if answer.selection is None:
        return ""
    ax = figure.subplots()
    plots.entropy_histogram(ax, answer.entropy, answer.selection, answer.scene.truth.poisoned if truth else None)
    ax.legend(fontsize=7, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return f"Histogram of entropies after epoch {answer.setting.e1}, with the cuts at gamma {answer.setting.gamma:.1%}."


def draw_labels(figure: Figure, answer: Answer, truth: bool) -> str:
    if answer.selection is None:
        return ""
    ax, tampered, suspected = figure.subplots(), answer.scene.tampered, answer.selection.suspected
    parts = [("suspects", plots.NEUTRAL, suspected)]
    if truth:
        poisoned = answer.scene.truth.poisoned[suspected]
        parts = [("clean", plots.CLEAN, suspected[~poisoned]), ("poisoned", plots.POISONED, suspected[poisoned])]
    bottom = 0
    for name, colour, rows in parts:
        counts = tampered.labels[rows].bincount(minlength=len(tampered.classes)).cpu().numpy()
        ax.bar(tampered.classes, counts, bottom=bottom, color=colour, label=name)
        bottom = bottom + counts
    ax.set(ylabel="suspects")
    ax.tick_params("x", rotation=45, labelsize=8)
    ax.legend(fontsize=8)
    return "How many suspects carry which label."


def draw_ascent(figure: Figure, answer: Answer, truth: bool) -> str:
    if not answer.ascent:
        return ""
    ax = figure.subplots()
    plots.unlearning(ax, answer.ascent, answer.setting.e2)
    ax.lines[-1].set_label("E2")
    epochs = [row["block"] for row in answer.ascent]
    for name, colour in (("ca", plots.CLEAN), ("asr", plots.POISONED)) if truth else ():
        plots.band(ax, epochs, [row[name] for row in answer.ascent], "o-", colour, f"{name.upper()} (test)")
    ax.set_ylabel("share (%)")
    ax.legend(fontsize=7)
    return f"The suspects' accuracy along the ascent{', with CA and ASR' if truth else ''}; E2 is {answer.setting.e2}."


def draw_images(figure: Figure, answer: Answer, truth: bool) -> str:
    if answer.selection is None:
        return ""
    best = torch.stack([part[-1] for part in answer.selection.trusted.split(answer.selection.quotas)])  # of each class
    chosen = {"suspects": answer.selection.suspected[:10], "trusted": best[:10]}
    for ax, (name, rows) in zip(figure.subplots(2, 1), chosen.items(), strict=True):
        stars = answer.scene.truth.poisoned[rows].tolist() if truth else [False] * len(rows)
        labels = [
            answer.scene.tampered.classes[y] + "*" * star
            for y, star in zip(answer.scene.tampered.labels[rows], stars, strict=True)
        ]
        plots.gallery(ax, {name: answer.scene.tampered.images[rows]}, labels)
        ax.tick_params(labelsize=6)
    stars = ", a star on those that are poisoned." if truth else "."
    return f"The most suspicious images, and the most trusted one of each class{stars}"


def draw_bars(figure: Figure, answer: Answer, truth: bool) -> str:
    if not (truth and answer.stages):
        return ""
    names = [field.name for field in fields(Metrics)]
    measured = {stage: Metrics(**{name: row[name] for name in names}) for stage, row in answer.stages.items()}
    plots.stage_bars(figure.subplots(), measured)
    return "CA, ASR and RA after " + ", ".join(measured) + "."


def sentence(answer: Answer, truth: bool) -> str:
    """What just happened, in words."""
    if answer.selection is None:
        return f"Training to epoch {answer.setting.e1} …"
    e2 = answer.setting.e2
    last = answer.ascent[e2 - 1] if 0 < e2 <= len(answer.ascent) else None
    said = _taught(answer, e2, last) if truth else _seen(answer, e2, last)
    if last and last["collapsed"]:
        said += " The model has collapsed: it does hardly better than one answer for everything, which is no defence."
    return said


def _seen(answer: Answer, e2: int, last: dict | None) -> str:
    n, (label, share) = len(answer.selection.suspected), answer.agreement
    said = f"{round(share * n)} of {n} suspects carry the label “{label}”."
    if last:
        said += f" After {e2} epochs of unlearning the model is right on {last['accuracy_reestimated']:.0%} of them"
        said += f" (chance: {1 / len(answer.scene.tampered.classes):.0%})."
    return said


def _taught(answer: Answer, e2: int, last: dict | None) -> str:
    n, before, tuned = len(answer.selection.suspected), answer.stages.get("SL"), answer.stages.get("ASSFT")
    said = f"{round(answer.precision['suspected'] * n)} of {n} suspects are poisoned,"
    said += f" {answer.precision['trusted']:.1%} of the trusted samples are clean."
    if last and before:
        lost = 100 * (before["ca"] - last["ca"])
        said += f" {e2} epochs of unlearning have taken ASR from {before['asr']:.0%} to {last['asr']:.0%}"
        said += f" and CA from {before['ca']:.0%} to {last['ca']:.0%} ({lost:.0f} points lost)."
    if tuned:
        said += f" Fine-tuning has brought CA to {tuned['ca']:.0%} and ASR to {tuned['asr']:.0%}."
    return said


def table(*answers: Answer) -> str:
    """Settings and what came of them, one below the other, as HTML; the truth."""
    stages = "SL", "AU", "ASSFT"
    rows = [["setting", *stages]]
    for answer in answers:
        given = ", ".join(f"{name} {value}" for name, value in asdict(answer.setting).items())
        shares = (answer.stages.get(stage) for stage in stages)
        rows.append([given, *(f"CA {row['ca']:.0%}, ASR {row['asr']:.0%}" if row else "–" for row in shares)])
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
