"""The live lab's figures: an Answer in; a drawn figure and its alternative text out.

Each function draws on an empty figure. It returns "" and draws nothing where the answer does not
hold yet what the figure shows. ``truth`` says whether to show what no defender can see.
"""

from dataclasses import fields

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .. import plots
from ..evaluation import Metrics
from .answer import Answer

GALLERY = 10  # images in a row


def draw_gap(figure: Figure, answer: Answer, truth: bool) -> str:
    """Draw training accuracy by epoch, with the truth split into clean and poisoned samples."""
    if not answer.gap:
        return ""
    ax = figure.subplots()
    if truth:
        plots.learning_gap(ax, answer.gap["clean"], answer.gap["poisoned"])
    else:
        epochs = range(1, len(answer.gap["all"]) + 1)
        plots.mean_and_range(ax, epochs, answer.gap["all"], "o-", plots.NEUTRAL, "all samples")
        ax.set(xlabel="epoch", ylabel="training accuracy (%)", ylim=(-2, 104))
    ax.axvline(answer.setting.e1, color="black", linestyle="--", label="E1")
    ax.legend(fontsize=8)
    return f"Training accuracy per epoch, E1 marked at {answer.setting.e1}."


def draw_entropy(figure: Figure, answer: Answer, truth: bool) -> str:
    """Draw the histogram of entropies, with the truth split into clean and poisoned samples."""
    if answer.selection is None:
        return ""
    ax = figure.subplots()
    poisoned = answer.scenario.truth.poisoned if truth else None
    plots.entropy_histogram(ax, answer.entropy, answer.selection, poisoned)
    ax.legend(fontsize=7, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    e1 = answer.setting.e1
    gamma = answer.setting.gamma
    return f"Histogram of entropies after epoch {e1}, with the cuts at gamma {gamma:.1%}."


def draw_labels(figure: Figure, answer: Answer, truth: bool) -> str:
    """Draw how many suspects carry which label, with the truth stacked by clean and poisoned."""
    if answer.selection is None:
        return ""
    ax = figure.subplots()
    tampered = answer.scenario.tampered
    places = range(len(tampered.classes))
    bottom = 0
    for name, colour, rows in _suspect_groups(answer, truth):
        counts = tampered.labels[rows].bincount(minlength=len(tampered.classes)).cpu().numpy()
        ax.bar(places, counts, bottom=bottom, color=colour, label=name)
        bottom = bottom + counts
    ax.set(ylabel="suspects")
    ax.set_xticks(places, [plots.plain(name) for name in tampered.classes])
    ax.tick_params("x", rotation=45, labelsize=8)
    ax.legend(fontsize=8)
    return "How many suspects carry which label."


def _suspect_groups(answer: Answer, truth: bool) -> list[tuple[str, str, Tensor]]:
    """Return name, colour and indices of the groups in which the suspects are shown."""
    suspected = answer.selection.suspected
    if not truth:
        return [("suspects", plots.NEUTRAL, suspected)]
    poisoned = answer.scenario.truth.poisoned[suspected]
    return [
        ("clean", plots.CLEAN, suspected[~poisoned]),
        ("poisoned", plots.POISONED, suspected[poisoned]),
    ]


def draw_ascent(figure: Figure, answer: Answer, truth: bool) -> str:
    """Draw the suspects' accuracy by epoch of unlearning, with the truth also CA and ASR."""
    if not answer.ascent:
        return ""
    ax = figure.subplots()
    plots.unlearning(ax, answer.ascent, answer.setting.e2)
    ax.lines[-1].set_label("E2")
    also = ""
    if truth:
        _draw_metric(ax, answer.ascent, "ca", plots.CLEAN)
        _draw_metric(ax, answer.ascent, "asr", plots.POISONED)
        also = ", with CA and ASR"
    ax.set_ylabel("share (%)")
    ax.legend(fontsize=7)
    return f"The suspects' accuracy along the ascent{also}; E2 is {answer.setting.e2}."


def _draw_metric(ax: Axes, ascent: list[dict], name: str, colour: str) -> None:
    epochs = [row["block"] for row in ascent]
    values = [row[name] for row in ascent]
    plots.mean_and_range(ax, epochs, values, "o-", colour, f"{name.upper()} (test)")


def draw_images(figure: Figure, answer: Answer, truth: bool) -> str:
    """Draw the first suspects, and below them the most trusted sample of each class."""
    selection = answer.selection
    if selection is None:
        return ""
    by_class = selection.trusted.split(selection.quotas)
    most_trusted = torch.stack([part[-1] for part in by_class])
    above, below = figure.subplots(2, 1)
    _draw_gallery(above, "suspects", selection.suspected[:GALLERY], answer, truth)
    _draw_gallery(below, "trusted", most_trusted[:GALLERY], answer, truth)
    stars = ", a star on those that are poisoned." if truth else "."
    return f"The most suspicious images, and the most trusted one of each class{stars}"


def _draw_gallery(ax: Axes, name: str, rows: Tensor, answer: Answer, truth: bool) -> None:
    tampered = answer.scenario.tampered
    names = [tampered.classes[label] for label in tampered.labels[rows]]
    if truth:
        poisoned = answer.scenario.truth.poisoned[rows].tolist()
        names = [name + "*" * star for name, star in zip(names, poisoned, strict=True)]
    plots.gallery(ax, {name: tampered.images[rows]}, names)
    ax.tick_params(labelsize=6)


def draw_bars(figure: Figure, answer: Answer, truth: bool) -> str:
    """Draw CA, ASR and RA after each stage, which are the truth."""
    if not (truth and answer.stages):
        return ""
    names = [field.name for field in fields(Metrics)]
    metrics = {}
    for stage, row in answer.stages.items():
        metrics[stage] = Metrics(**{name: row[name] for name in names})
    plots.stage_bars(figure.subplots(), metrics, answer.scenario.attack.target)
    return "CA, ASR, RA and the target class's recall after " + ", ".join(metrics) + "."
