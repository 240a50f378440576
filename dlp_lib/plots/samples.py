"""Figures of training samples: what they look like, how fast they are learned, what the filters see."""

import numpy as np
from torch import Tensor

from ..filters import Selection
from .base import CLEAN, NEUTRAL, POISONED, band, logarithmic

FILTER_STYLES = {  # Paul Tol's bright colours; the lines differ too
    "entropy": {"color": "black", "linestyle": "-"},
    "loss": {"color": "#AA3377", "linestyle": "--"},
    "activation clustering": {"color": "#228833", "linestyle": "-."},
    "spectral signatures": {"color": "#4477AA", "linestyle": ":"},
}


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
    return logarithmic(ax, x)


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
        return logarithmic(ax, x)
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
