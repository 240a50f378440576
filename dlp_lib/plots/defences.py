"""Figures of several defences: bars by attack, and a map of ASR and CA."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation import Metrics
from .base import NEUTRAL, SERIES, plain
from .results import stage_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vPX*"  # of defences
_REFERENCE_MARKERS = "+x1234"
# The corner of a trade-off that an inset enlarges: up to which ASR, and how far below the best CA
_CORNER_ASR = 0.05
_CORNER_CA = 0.08
_CROWD = 3  # defences
_INSET = (0.28, 0.1, 0.58, 0.62)  # left, bottom, width and height, as shares of the axes


def bars_by_attack(
    measured: dict[str, dict[str, Metrics]],
    targets: dict[str, int],
    names: Sequence[str],
    seed: int,
) -> "Figure":
    """Return a figure of ``stage_bars``, one attack below the other.

    Args:
        measured: metrics of every model, by attack and by the model's name.
        targets: the class that each attack wants.
        names: of the models to show; those that were not measured are left out.
        seed: of the runs, for the titles.
    """
    from matplotlib import pyplot

    size = (11, 3.2 * len(measured))
    figure, axes = pyplot.subplots(len(measured), figsize=size, squeeze=False, layout="constrained")
    for ax, (attack, by_name) in zip(axes[:, 0], measured.items(), strict=True):
        shown = {name: by_name[name] for name in names if name in by_name}
        stage_bars(ax, shown, targets[attack])
        ax.set_title(f"{attack}, one seed: {seed}", loc="left")
        ax.get_legend().remove()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), loc="outside upper center")
    return figure


def trade_off(
    ax: "Axes", points: dict[str, tuple[float, float]], references: Sequence[str] = ()
) -> "Axes":
    """Draw defences by ASR and CA. The best place is at the top on the left.

    Where at least three defences crowd there, an inset enlarges that corner. It covers the middle
    of the axes, so that there is none if a model lies in it.

    Args:
        ax: the axes to draw on.
        points: (ASR, CA) of every model, fractions, by its name.
        references: names of those that are no defence; they are grey.
    """
    _draw_models(ax, points, references, size=9)
    ax.set(xlabel="ASR (%)", ylabel="CA (%)", xlim=(-4, 104))
    ax.legend()
    defences = [point for name, point in points.items() if name not in references]
    crowd = _crowd_in_corner(defences)
    is_free = all(asr < 0.2 or asr > 0.9 for asr, _ in points.values())
    if len(crowd) >= _CROWD and is_free:
        inset = ax.inset_axes(_INSET)
        _draw_models(inset, points, references, size=7)
        asrs, cas = 100 * np.array(crowd).T
        inset.set(xlim=(-0.3, asrs.max() + 0.5), ylim=(cas.min() - 1, cas.max() + 2))
        inset.set_title("upper left corner, enlarged", size="small")
        inset.tick_params(labelsize="small")
        ax.indicate_inset_zoom(inset)
    return ax


def _crowd_in_corner(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return those near no ASR and the best CA."""
    best = max((ca for _, ca in points), default=0)
    return [(asr, ca) for asr, ca in points if asr <= _CORNER_ASR and ca >= best - _CORNER_CA]


def _draw_models(
    ax: "Axes", points: dict[str, tuple[float, float]], references: Sequence[str], size: float
) -> None:
    looks = _defence_looks()
    reference_markers = itertools.cycle(_REFERENCE_MARKERS)
    for name, (asr, ca) in points.items():
        if name in references:
            marker = next(reference_markers)
            colour = NEUTRAL
        else:
            marker, colour = next(looks)
        style = {"marker": marker, "color": colour, "linestyle": "none"}
        ax.plot(100 * asr, 100 * ca, markersize=size, alpha=0.8, label=plain(name), **style)


def _defence_looks() -> Iterator[tuple[str, str]]:
    """Yield marker and colour of one defence after another; 64 pairs differ."""
    for position in itertools.count():
        turn = position // len(_MARKERS)  # 0 until every marker has been used once
        marker = _MARKERS[position % len(_MARKERS)]
        colour = SERIES[(position + turn) % len(SERIES)]
        yield marker, colour
