"""Figures: plain data in, matplotlib axes out, in Okabe and Ito's colours, which colour-blind readers tell apart."""

import base64
import io

import numpy as np
from torch import Tensor

from .filters import Selection
from .metrics import Metrics
from .train import History

CLEAN, POISONED, RECOVERED, NEUTRAL = "#0072B2", "#D55E00", "#009E73", "#666666"
FILTER_STYLES = {  # Paul Tol's bright colours; the lines differ too
    "entropy": {"color": "black", "linestyle": "-"},
    "loss": {"color": "#AA3377", "linestyle": "--"},
    "activation clustering": {"color": "#228833", "linestyle": "-."},
    "spectral signatures": {"color": "#4477AA", "linestyle": ":"},
}


def progress(stage: str, block: int, blocks: int, row: dict) -> None:
    """Print how far a stage has come, on one line: a Context's ``progress`` in notebooks."""
    print(f"\r{stage}: {block} of {blocks}", end="\n" if block == blocks else "", flush=True)


def show(figure, alt: str) -> None:
    """Display a figure in a notebook with its alternative text, and close it."""
    from IPython.display import display
    from matplotlib import pyplot

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight")
    pyplot.close(figure)
    png = base64.b64encode(buffer.getvalue()).decode()
    display({"image/png": png, "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True)


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


def difference(before: Tensor, after: Tensor, factor: int = 3) -> Tensor:
    """What changed between two uint8 images, amplified, on grey."""
    return (128 + factor * (after.int() - before.int())).clamp(0, 255).to(before.dtype)


def gallery(ax, rows: dict[str, Tensor], titles: list[str] = ()):
    """A row of images, uint8 (n, 3, h, w), for every name; ``titles`` stand over the columns."""
    height, width = next(iter(rows.values())).shape[-2:]
    canvas = np.full((len(rows) * (height + 1), max(map(len, rows.values())) * (width + 1), 3), 255, np.uint8)
    for row, images in enumerate(rows.values()):
        for column, image in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
            top, left = row * (height + 1), column * (width + 1)
            canvas[top : top + height, left : left + width] = image
    ax.imshow(canvas, interpolation="nearest")
    ax.set_yticks([(row + 0.5) * (height + 1) - 1 for row in range(len(rows))], rows)
    ax.set_xticks([(column + 0.5) * (width + 1) - 1 for column in range(len(titles))], titles)
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    return ax


def band(ax, x, values, style: str, colour: str, label: str):
    """A line of fractions in per cent: (points,), or (runs, points) for their mean and range."""
    runs = 100 * np.atleast_2d(values)
    ax.plot(x, runs.mean(0), style, color=colour, markersize=3, label=label)
    ax.fill_between(x, runs.min(0), runs.max(0), color=colour, alpha=0.25, linewidth=0)
    return ax


def learning_gap(ax, clean, poisoned, mistaken=None, x=None, xlabel: str = "epoch"):
    """Training accuracy of the two subsets (Fig. 1), as fractions of one run (points,) or several (runs, points).

    ``mistaken``: the share of clean samples of other classes that are taken for the target. What the poison has above
    it is due to the trigger; the rest is a model that answers the target for everything.
    """
    x = range(1, np.shape(clean)[-1] + 1) if x is None else x
    band(ax, x, poisoned, "s-", POISONED, "poisoned samples")
    band(ax, x, clean, "o-", CLEAN, "clean samples")
    if mistaken is not None:
        band(ax, x, mistaken, ":", NEUTRAL, "clean, but taken for the target")
    ax.set(xlabel=xlabel, ylabel="training accuracy (%)", ylim=(-2, 104))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def histogram(ax, values: Tensor, poisoned: Tensor | None = None, bins: int = 60):
    """How often which entropy, in bits, occurs; coloured by the truth where it is given."""
    groups = [("all samples", NEUTRAL, values)]
    if poisoned is not None:
        groups = [("clean samples", CLEAN, values[~poisoned]), ("poisoned samples", POISONED, values[poisoned])]
    edges = np.histogram_bin_edges(values.cpu().numpy(), bins)
    for name, colour, part in groups:  # one over the other: on a logarithmic axis a stack would mislead
        counts = np.histogram(part.cpu().numpy(), edges)[0]
        ax.stairs(counts, edges, fill=True, alpha=0.6, color=colour, label=name)
    ax.set_yscale("symlog", linthresh=10)  # few samples matter as much as many
    ax.set(xlabel="predictive entropy (bits)", ylabel="samples")
    return ax


def entropy_histogram(ax, entropy: Tensor, selection: Selection, poisoned: Tensor | None = None):
    """Entropy of every training sample, both cuts marked."""
    histogram(ax, entropy, poisoned)
    ax.axvline(entropy[selection.suspected].max().item(), color="black", linestyle="--", label="highest suspect")
    ax.axvline(entropy[selection.trusted].min().item(), color="black", linestyle=":", label="lowest trusted sample")
    ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def precision(ax, gammas: list[float], suspected, trusted):
    """Share of the suspects that are poisoned, and of the trusted that are clean, against gamma; fractions all."""
    x = [100 * gamma for gamma in gammas]
    band(ax, x, suspected, "s-", POISONED, "suspects that are poisoned")
    band(ax, x, trusted, "o-", CLEAN, "trusted samples that are clean")
    ax.set(xlabel="gamma (%)", ylabel="precision (%)", ylim=(-2, 104))
    return _logarithmic(ax, x)


def _logarithmic(ax, x: list[float]):
    """A logarithmic x axis that names the points themselves."""
    ax.set_xscale("log")
    ax.minorticks_off()
    ax.set_xticks(x, [f"{value:g}" for value in x])
    return ax


def agreement(ax, agreed: list[float], purity: list[float], threshold: float, gammas: list[float] | None = None):
    """What a defender sees of the suspects, their lasting agreement, beside what only the truth tells.

    Per epoch, or against ``gammas``.
    """
    x = [100 * gamma for gamma in gammas] if gammas else range(1, len(agreed) + 1)
    band(ax, x, agreed, "-", "black", "agreement (visible)")
    band(ax, x, purity, "s:", POISONED, "poisoned (the truth)")
    ax.axhline(100 * threshold, color=NEUTRAL, linewidth=1)
    ax.set(xlabel="gamma (%)" if gammas else "epoch", ylabel="share of the suspects (%)", ylim=(-2, 104))
    ax.legend()
    if gammas:
        return _logarithmic(ax, x)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def roc(ax, scores: dict[str, Tensor], poisoned: Tensor):
    """Every filter's share of the poison found against the share of clean samples accused."""
    from sklearn.metrics import roc_curve

    for name, score in scores.items():
        accused, found, _ = roc_curve(poisoned.cpu(), score.cpu())
        ax.plot(100 * accused, 100 * found, label=name, **FILTER_STYLES[name])
    ax.set(xlabel="clean samples accused (%)", ylabel="poison found (%)", xlim=(-1, 101), ylim=(-1, 104))
    return ax


def unlearning(ax, history: History, stop: int):
    """Accuracy on the suspects along the ascent, and the epoch from which the pipeline goes on; collapse is shaded."""
    epochs = [row["block"] for row in history]
    for column, style, name in (("accuracy", ":", "as left"), ("accuracy_reestimated", "-", "re-estimated")):
        ax.plot(epochs, [100 * row[column] for row in history], style, color="black", label=name)
    collapsed = [epoch for epoch, row in zip(epochs, history, strict=True) if row["collapsed"]]
    for epoch in collapsed:
        label = "collapsed" if epoch == collapsed[0] else None
        ax.axvspan(epoch - 0.5, epoch + 0.5, color=NEUTRAL, alpha=0.2, linewidth=0, label=label)
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
        bars = ax.bar(places, heights, 0.25, color=colour, label=name.upper())
        ax.bar_label(bars, fmt=lambda height: f"{height:.1f}".replace("100.0", "100"), fontsize=7)
    names = [name + ("\n(collapsed)" if metrics.collapsed else "") for name, metrics in measured.items()]
    ax.set(ylabel="share of test images (%)", ylim=(0, 112), xticks=range(len(names)), xticklabels=names)
    ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def against(ax, x: list[float], ca, asr, xlabel: str):
    """CA and ASR of one run (points,) or several (runs, points) against what was varied, on a logarithmic scale."""
    band(ax, x, asr, "s-", POISONED, "ASR")
    band(ax, x, ca, "o-", CLEAN, "CA")
    ax.set(xlabel=xlabel, ylabel="share of test images (%)", ylim=(-2, 104))
    ax.legend()
    return _logarithmic(ax, x)


def heat_map(ax, table):
    """A pandas table of fractions as numbers on colours, in per cent."""
    import seaborn

    seaborn.heatmap(100 * table, ax=ax, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="cividis", cbar=False)
    ax.set(xlabel="", ylabel="")
    return ax


def ascent(ax, rows: list[dict], stop: int | None = None):
    """CA and ASR along an ascent, from rows that ``audit`` gives, and the epoch from which the pipeline goes on."""
    for name, style, colour in (("asr", "s-", POISONED), ("ca", "o-", CLEAN)):
        band(ax, [row["block"] for row in rows], [row[name] for row in rows], style, colour, name.upper())
    if stop:
        ax.axvline(stop, color=NEUTRAL, linewidth=3, alpha=0.5, label="stop")
    ax.set(xlabel="epoch of ascent", ylabel="share of test images (%)", ylim=(-2, 104))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def feature_map(ax, points, is_target: Tensor, triggered):
    """Test images' features in two dimensions (n, 2), the target class apart, and triggered ones (m, 2) over them."""
    is_target = is_target.cpu()
    groups = [
        ("clean, other classes", points[~is_target], {"color": "#BBBBBB", "marker": "."}),
        ("clean, target class", points[is_target], {"color": CLEAN, "marker": "o"}),
        ("triggered", triggered, {"color": POISONED, "marker": "x"}),
    ]
    for name, part, style in groups:
        ax.scatter(part[:, 0], part[:, 1], s=12, linewidth=0.8, alpha=0.7, label=name, **style)
    ax.set(xticks=[], yticks=[])
    ax.legend()
    return ax
