"""What all figures share: colours, lines, and the way onto the page."""

import base64
import io

import numpy as np

CLEAN, POISONED, RECOVERED, NEUTRAL = "#0072B2", "#D55E00", "#009E73", "#666666"
SERIES = (CLEAN, POISONED, RECOVERED, "#8D00F2", "#734517", "#CC79A7", "#000000", "#1F1F99")  # where kinds are compared


def progress(stage: str, block: int, blocks: int, row: dict) -> None:
    """Print how far a stage has come, on one line: a Context's ``progress`` in notebooks."""
    print(f"\r{stage}: {block} of {blocks}", end="\n" if block == blocks else "", flush=True)


def show(figure, alt: str, **place) -> None:
    """Display a figure in a notebook with its alternative text, and close it.

    ``place``: IPython's ``display_id`` and ``update``, to replace a figure that was shown before.
    """
    from IPython.display import display
    from matplotlib import pyplot

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight")
    pyplot.close(figure)
    png = base64.b64encode(buffer.getvalue()).decode()
    display({"image/png": png, "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True, **place)


def shared_legend(figure) -> None:
    """One legend above all axes in place of their own; inner axes lose their labels."""
    shown = {}
    for ax in figure.axes:
        handles, names = ax.get_legend_handles_labels()
        shown |= dict(zip(names, handles, strict=True))
        ax.label_outer()
        if ax.get_legend():
            ax.get_legend().remove()
    figure.legend(shown.values(), shown, ncols=len(shown), loc="lower center", bbox_to_anchor=(0.5, 0.97))


def band(ax, x, values, style: str, colour: str, label: str):
    """A line of fractions in per cent: (points,), or (runs, points) for their mean and range."""
    runs = 100 * np.atleast_2d(values)
    ax.plot(x, runs.mean(0), style, color=colour, markersize=3, label=label)
    ax.fill_between(x, runs.min(0), runs.max(0), color=colour, alpha=0.25, linewidth=0)
    return ax


def logarithmic(ax, x: list[float]):
    """A logarithmic x axis that names the points themselves."""
    ax.set_xscale("log")
    ax.minorticks_off()
    ax.set_xticks(x, [f"{value:g}" for value in x])
    return ax
