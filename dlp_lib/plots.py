"""Figures: plain data in, matplotlib axes out, in Okabe and Ito's colours, which colour-blind readers tell apart."""

import base64
import io

from torch import Tensor

from .filters import Selection
from .metrics import Metrics
from .train import History

CLEAN, POISONED, RECOVERED, NEUTRAL = "#0072B2", "#D55E00", "#009E73", "#666666"


def show(figure, alt: str) -> None:
    """Display a figure in a notebook with its alternative text, and close it."""
    from IPython.display import display
    from matplotlib import pyplot

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight")
    pyplot.close(figure)
    png = base64.b64encode(buffer.getvalue()).decode()
    display({"image/png": png, "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True)


def learning_gap(ax, clean: list[float], poisoned: list[float]):
    """Training accuracy of the two subsets after each epoch (Fig. 1)."""
    epochs = range(1, len(clean) + 1)
    for values, style, colour, name in ((poisoned, "s-", POISONED, "poisoned"), (clean, "o-", CLEAN, "clean")):
        ax.plot(epochs, [100 * value for value in values], style, color=colour, label=f"{name} samples")
    ax.set(xlabel="epoch", ylabel="training accuracy (%)", ylim=(0, 104), xticks=epochs)
    ax.legend()
    return ax


def entropy_histogram(ax, entropy: Tensor, selection: Selection, poisoned: Tensor | None = None):
    """Entropy of every training sample in bits, both cuts marked; coloured by the truth where it is given."""
    groups = [("all samples", NEUTRAL, entropy)]
    if poisoned is not None:
        groups = [("clean samples", CLEAN, entropy[~poisoned]), ("poisoned samples", POISONED, entropy[poisoned])]
    names, colours, values = zip(*groups, strict=True)
    ax.hist([value.cpu().numpy() for value in values], 60, stacked=True, color=colours, label=names)
    ax.set_yscale("symlog", linthresh=10)  # few samples matter as much as many
    ax.axvline(entropy[selection.suspected].max().item(), color="black", linestyle="--", label="highest suspect")
    ax.axvline(entropy[selection.trusted].min().item(), color="black", linestyle=":", label="lowest trusted sample")
    ax.set(xlabel="predictive entropy (bits)", ylabel="samples")
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def unlearning(ax, history: History, stop: int):
    """Accuracy on the suspects along the ascent, and the epoch from which the pipeline goes on."""
    epochs = [row["block"] for row in history]
    for column, style, name in (("accuracy", ":", "as left"), ("accuracy_reestimated", "-", "re-estimated")):
        ax.plot(epochs, [100 * row[column] for row in history], style, color="black", label=name)
    ax.axvline(stop, color=NEUTRAL, linewidth=3, alpha=0.5, label=f"stop: epoch {stop}")
    ax.set(xlabel="epoch of ascent", ylabel="accuracy on the suspects (%)", ylim=(-2, 104))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def stage_bars(ax, measured: dict[str, Metrics]):
    """CA, ASR and RA of several models, side by side; a collapsed one is named as such."""
    for offset, name, colour in ((-0.27, "ca", CLEAN), (0, "asr", POISONED), (0.27, "ra", RECOVERED)):
        shares = [getattr(metrics, name) for metrics in measured.values()]
        heights = [float("nan") if share is None else 100 * share for share in shares]  # unknown is not 0
        places = [place + offset for place in range(len(heights))]
        ax.bar_label(ax.bar(places, heights, 0.25, color=colour, label=name.upper()), fmt="%.1f", fontsize=8)
    names = [name + ("\n(collapsed)" if metrics.collapsed else "") for name, metrics in measured.items()]
    ax.set(ylabel="share of test images (%)", ylim=(0, 112), xticks=range(len(names)), xticklabels=names)
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax
