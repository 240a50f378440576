"""Figures of filtering: scores of training samples, and how well they find the poison."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ..defences import Selection
from .base import (
    CLEAN,
    NEUTRAL,
    POISONED,
    SERIES,
    logarithmic_axis,
    mean_and_range,
    percent_axis,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Paul Tol's bright colours; the lines differ too. A filter that has no entry here gets a colour
# of SERIES, and _OTHER_LINE.
FILTER_STYLES: dict[str, dict[str, Any]] = {
    "entropy": {"color": "black", "linestyle": "-"},
    "loss": {"color": "#AA3377", "linestyle": "--"},
    "activation clustering": {"color": "#228833", "linestyle": "-."},
    "spectral signatures": {"color": "#4477AA", "linestyle": ":"},
}
_OTHER_LINE = (0, (6, 2, 1, 2, 1, 2))  # a dash and two dots


def histogram(ax: "Axes", values: Tensor, poisoned: Tensor | None = None, bins: int = 60) -> "Axes":
    """Draw how often which entropy occurs.

    Args:
        ax: the axes to draw on.
        values: entropy of every sample in bits, (n,).
        poisoned: which samples are poisoned, (n,) booleans; None: that is not known.
        bins: how many.
    """
    edges = np.histogram_bin_edges(values.cpu().numpy(), bins)
    if poisoned is None:
        _filled_steps(ax, values, edges, NEUTRAL, "all samples")
    else:
        # One over the other: on a logarithmic axis a stack would mislead.
        _filled_steps(ax, values[~poisoned], edges, CLEAN, "clean samples")
        _filled_steps(ax, values[poisoned], edges, POISONED, "poisoned samples")
    ax.set_yscale("symlog", linthresh=10)  # few samples matter as much as many
    ax.set(xlabel="predictive entropy (bits)", ylabel="samples")
    return ax


def _filled_steps(ax: "Axes", values: Tensor, edges: np.ndarray, colour: str, label: str) -> None:
    counts = np.histogram(values.cpu().numpy(), edges)[0]
    ax.stairs(counts, edges, fill=True, alpha=0.6, color=colour, label=label)


def entropy_histogram(
    ax: "Axes", entropy: Tensor, selection: Selection, poisoned: Tensor | None = None
) -> "Axes":
    """Draw a histogram of entropies, and mark where the suspects end and the trusted begin.

    Args:
        ax: the axes to draw on.
        entropy: of every training sample in bits, (n,).
        selection: what the filter chose by it.
        poisoned: which samples are poisoned, (n,) booleans; None: that is not known.
    """
    histogram(ax, entropy, poisoned)
    highest_suspect = entropy[selection.suspected].max().item()
    lowest_trusted = entropy[selection.trusted].min().item()
    ax.axvline(highest_suspect, color="black", linestyle="--", label="highest suspect")
    ax.axvline(lowest_trusted, color="black", linestyle=":", label="lowest trusted sample")
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def precision(
    ax: "Axes", gammas: Sequence[float], suspected: ArrayLike, trusted: ArrayLike
) -> "Axes":
    """Draw the precision of a filter over the filtering rate.

    Args:
        ax: the axes to draw on.
        gammas: filtering rates, fractions (points,).
        suspected: the share of the suspects that are poisoned: fractions of one run, (points,),
            or of several, (runs, points).
        trusted: the share of the trusted samples that are clean; likewise.
    """
    x = 100 * np.asarray(gammas)
    mean_and_range(ax, x, suspected, "s-", POISONED, "suspects that are poisoned")
    mean_and_range(ax, x, trusted, "o-", CLEAN, "trusted samples that are clean")
    percent_axis(ax, "gamma (%)", "precision (%)")
    return logarithmic_axis(ax, x)


def agreement(
    ax: "Axes",
    agreed: Sequence[float],
    purity: Sequence[float],
    threshold: float,
    gammas: Sequence[float] | None = None,
) -> "Axes":
    """Draw what a defender sees of the suspects beside what only the truth tells.

    Args:
        ax: the axes to draw on.
        agreed: the suspects' lasting agreement, fractions (points,).
        purity: the share of the suspects that are poisoned, fractions (points,).
        threshold: the agreement that is asked for, a fraction.
        gammas: the filtering rate of every point; None: every point is an epoch.
    """
    if gammas:
        x = 100 * np.asarray(gammas)
        xlabel = "gamma (%)"
    else:
        x = range(1, len(agreed) + 1)
        xlabel = "epoch"
    mean_and_range(ax, x, agreed, "-", "black", "agreement (visible)")
    mean_and_range(ax, x, purity, "s:", POISONED, "poisoned (the truth)")
    ax.axhline(100 * threshold, color=NEUTRAL, linewidth=1, label="threshold of the rule")
    percent_axis(ax, xlabel, "share of the suspects (%)")
    ax.legend()
    if gammas:
        return logarithmic_axis(ax, x)
    ax.set_xticks(range(0, len(agreed) + 1, 4))
    ax.set_xticks(x, minor=True)
    return ax


def roc(ax: "Axes", scores: dict[str, Tensor], poisoned: Tensor) -> "Axes":
    """Draw every filter's ROC curve: poison found over clean samples accused, and chance.

    Args:
        ax: the axes to draw on.
        scores: of every training sample, (n,), by the filter's name; high is suspicious.
        poisoned: which samples are poisoned, (n,) booleans.
    """
    from sklearn.metrics import roc_curve

    other_colours = itertools.cycle(SERIES)
    for name, score in scores.items():
        style = FILTER_STYLES.get(name)
        if style is None:
            style = {"color": next(other_colours), "linestyle": _OTHER_LINE}
        false_positives, true_positives, _ = roc_curve(poisoned.cpu(), score.cpu())
        ax.plot(100 * false_positives, 100 * true_positives, label=plain(name), **style)
    ax.plot([0, 100], [0, 100], color=NEUTRAL, linewidth=0.8, label="chance")
    ax.set(xlabel="clean samples accused (%)", ylabel="poison found (%)")
    ax.set(xlim=(-1, 101), ylim=(-1, 104))
    return ax
