"""Figures of what models achieve: along an ascent, after each stage, and over a setting."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..evaluation import Metrics
from ..training import History
from .base import (
    CLEAN,
    NEUTRAL,
    POISONED,
    RECOVERED,
    integer_axis,
    logarithmic_axis,
    mean_and_range,
    percent_axis,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARE_OF_TEST_IMAGES = "share of test images (%)"
_BAR_WIDTH = 0.24
# Of the metric's name: where its bar is, from the middle of the three, and its colour.
_BARS = {"ca": (-0.26, CLEAN), "asr": (0, POISONED), "ra": (0.26, RECOVERED)}
# With a diamond, the bars make room for it: it must not cover the number on top of CA's bar.
_ROOM_FOR_DIAMOND = 0.12
_DIAMOND_PLACE = -0.41
_BETWEEN_MODELS = 0.515  # right of the last bar, and left of the next diamond
_DIAMOND = {
    "marker": "D",
    "color": "white",
    "markeredgecolor": "black",
    "markersize": 5,
    "clip_on": False,  # whole at 0 as well
    "zorder": 3,
}


def unlearning(ax: "Axes", history: History, stop: int) -> "Axes":
    """Draw what a defender sees of an ascent: accuracy on the suspects, and collapse as a shade.

    Args:
        ax: the axes to draw on.
        history: of unlearning, a row for every epoch.
        stop: the epoch from which the pipeline goes on.
    """
    epochs = _column(history, "block")
    for column, style, label in (
        ("accuracy", ":", "suspects, as left"),
        ("accuracy_reestimated", "-", "suspects, re-estimated"),
    ):
        accuracies = 100 * _column(history, column)
        ax.plot(epochs, accuracies, style, color="black", label=label)
    _shade_collapse(ax, history)
    _mark_stop(ax, stop, f"stop: epoch {stop}")
    percent_axis(ax, "epoch of ascent", "accuracy on the suspects (%)")
    integer_axis(ax)
    ax.legend()
    return ax


def _column(rows: Sequence[dict], name: str) -> np.ndarray:
    """Return a column of numbers (rows,); what is None is nan."""
    return np.array([row[name] for row in rows], dtype=float)


def _shade_collapse(ax: "Axes", rows: Sequence[dict]) -> None:
    label = "collapsed"
    for row in rows:
        if row.get("collapsed"):
            left = row["block"] - 0.5
            ax.axvspan(left, left + 1, color=NEUTRAL, alpha=0.2, linewidth=0, label=label)
            label = None  # the legend needs it once


def _mark_stop(ax: "Axes", stop: int, label: str) -> None:
    ax.axvline(stop, color=NEUTRAL, linewidth=3, alpha=0.5, label=label)


def ascent(
    ax: "Axes", rows: Sequence[dict], stop: int | None = None, target: int | None = None
) -> "Axes":
    """Draw CA and ASR along an ascent, and collapse as a shade.

    Args:
        ax: the axes to draw on.
        rows: of ``audit``, one for every epoch.
        stop: the epoch from which the pipeline goes on; None: it is not marked.
        target: the class that the attacker wants, whose recall is drawn too; None: it is not.
    """
    epochs = _column(rows, "block")
    mean_and_range(ax, epochs, _column(rows, "asr"), "s-", POISONED, "ASR")
    if target is not None:
        recalls = np.array([row["recalls"][target] for row in rows], dtype=float)
        mean_and_range(ax, epochs, recalls, "D-", RECOVERED, "recall of the target class")
    mean_and_range(ax, epochs, _column(rows, "ca"), "o-", CLEAN, "CA")
    _shade_collapse(ax, rows)
    if stop:
        _mark_stop(ax, stop, "stop")
    percent_axis(ax, "epoch of ascent", _SHARE_OF_TEST_IMAGES)
    integer_axis(ax)
    ax.legend()
    return ax


def stage_bars(ax: "Axes", metrics: dict[str, Metrics], target: int | None = None) -> "Axes":
    """Draw CA, ASR and RA of several models side by side.

    Models that have collapsed are named so, and those that forget the target class: CA hides that.

    Args:
        ax: the axes to draw on.
        metrics: of every model, by its name; a share that is None has no bar.
        target: the class that the attacker wants; a diamond beside CA's bar shows its recall.
    """
    positions = np.arange(len(metrics))
    shift = 0 if target is None else _ROOM_FOR_DIAMOND
    for name, (offset, colour) in _BARS.items():
        heights = [_percent(getattr(values, name)) for values in metrics.values()]
        places = positions + offset + shift
        bars = ax.bar(places, heights, _BAR_WIDTH, color=colour, label=name.upper())
        ax.bar_label(bars, fmt=_one_decimal, fontsize=7)
    if target is not None:
        recalls = [_percent(values.recall(target)) for values in metrics.values()]
        places = positions + _DIAMOND_PLACE
        ax.plot(places, recalls, linestyle="", **_DIAMOND, label="recall of the target class")
        for position in positions[:-1]:
            ax.axvline(position + _BETWEEN_MODELS, color="0.85", linewidth=0.8, zorder=0)
        left = _BETWEEN_MODELS - 1
        ax.set_xlim(left, left + max(1, len(metrics)))
    names = [_model_name(name, values, target) for name, values in metrics.items()]
    ax.set_xticks(positions, names)
    ax.set(ylabel=_SHARE_OF_TEST_IMAGES, ylim=(0, 112))
    ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def _percent(share: float | None) -> float:
    """Return a share in per cent; what is not known is not 0."""
    return float("nan") if share is None else 100 * share


def _one_decimal(height: float) -> str:
    return f"{height:.1f}".replace("100.0", "100")


def _model_name(name: str, metrics: Metrics, target: int | None) -> str:
    if metrics.collapsed:
        return f"{plain(name)}\n(collapsed)"
    if target is not None and metrics.forgets(target):
        return f"{plain(name)}\n(forgets\nthe target)"
    return plain(name)


def ca_and_asr(
    ax: "Axes", x: Sequence[float], ca: ArrayLike, asr: ArrayLike, xlabel: str
) -> "Axes":
    """Draw CA and ASR over what was varied, on a logarithmic scale.

    Args:
        ax: the axes to draw on.
        x: the values of what was varied, (points,).
        ca: fractions of one run, (points,), or of several, (runs, points).
        asr: likewise.
        xlabel: the name of what was varied.
    """
    mean_and_range(ax, x, asr, "s-", POISONED, "ASR")
    mean_and_range(ax, x, ca, "o-", CLEAN, "CA")
    percent_axis(ax, xlabel, _SHARE_OF_TEST_IMAGES)
    ax.legend()
    return logarithmic_axis(ax, x)
