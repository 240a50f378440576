"""What all figures share: colours, axes, and the way onto the page."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CLEAN = "#0072B2"
POISONED = "#D55E00"
RECOVERED = "#009E73"
NEUTRAL = "#666666"

# Where kinds are compared: one colour each.
SERIES = (CLEAN, POISONED, RECOVERED, "#8D00F2", "#734517", "#CC79A7", "#000000", "#1F1F99")


def show(figure: "Figure", alt: str, number: int | None = None, **display_options) -> None:
    """Display a figure in a notebook with its alternative text, and close it.

    Args:
        figure: the figure.
        alt: what it shows, for readers who cannot see it.
        number: of the figure in its notebook, written below it; None writes nothing.
        display_options: of IPython's ``display``. With ``display_id`` and ``update`` the figure
            replaces one that was shown before.
    """
    from IPython.display import display
    from matplotlib import pyplot

    if number is not None:
        _write_number(figure, number)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight")
    pyplot.close(figure)
    png = base64.b64encode(buffer.getvalue()).decode()
    content = {"image/png": png, "text/plain": alt}
    metadata = {"image/png": {"alt": alt}}
    display(content, metadata=metadata, raw=True, **display_options)


def _write_number(figure: "Figure", number: int) -> None:
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # a layout moves things when it is drawn
    pixels = [figure.get_tightbbox().transformed(figure.dpi_scale_trans)]  # without bare axes
    pixels += [ax.get_window_extent() for ax in figure.axes]
    corner = Bbox.union(pixels).transformed(figure.transFigure.inverted())
    figure.text(corner.x0, corner.y0, f"Figure {number}", va="top", size="small", color=NEUTRAL)


def plain(name: str) -> str:
    """Return a name that matplotlib draws as it is: it takes what stands between $ for maths."""
    return name.replace("$", r"\$")


def shared_legend(figure: "Figure") -> None:
    """Put one legend above all axes in place of their own, and label the outer axes only."""
    handle_of = {}
    for ax in figure.axes:
        handles, labels = ax.get_legend_handles_labels()
        handle_of |= dict(zip(labels, handles, strict=True))
        ax.label_outer()
        legend = ax.get_legend()
        if legend is not None:
            legend.remove()
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.97)}
    figure.legend(handle_of.values(), handle_of, ncols=len(handle_of), **place)


def mean_and_range(
    ax: "Axes", x: Sequence[float], values: ArrayLike, style: str, colour: str, label: str
) -> "Axes":
    """Draw fractions in per cent: the mean of all runs as a line, their range as a band around it.

    Args:
        ax: the axes to draw on.
        x: where the points are, (points,).
        values: fractions of one run, (points,), or of several, (runs, points).
        style: of the line and its markers, in matplotlib's short form, "o-" for example.
        colour: of line and band.
        label: in the legend.
    """
    runs = 100 * np.atleast_2d(values)
    lowest = runs.min(0)
    highest = runs.max(0)
    ax.plot(x, runs.mean(0), style, color=colour, markersize=3, label=plain(label))
    ax.fill_between(x, lowest, highest, color=colour, alpha=0.25, linewidth=0)
    return ax


def percent_axis(ax: "Axes", xlabel: str, ylabel: str) -> "Axes":
    """Name both axes, and let the vertical one run from 0 to 100 %."""
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(-2, 104))
    return ax


def integer_axis(ax: "Axes") -> "Axes":
    """Put the ticks of the horizontal axis at whole numbers."""
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def logarithmic_axis(ax: "Axes", x: Sequence[float]) -> "Axes":
    """Make the horizontal axis logarithmic, with ticks at the points ``x`` themselves."""
    ax.set_xscale("log")
    ax.minorticks_off()
    ax.set_xticks(x, [f"{value:g}" for value in x])
    return ax
