"""Figures of samples: how they look, how fast they are learned, their features."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from .base import CLEAN, NEUTRAL, POISONED, integer_axis, mean_and_range, percent_axis, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def difference(before: Tensor, after: Tensor, factor: int = 3) -> Tensor:
    """Return what changed between two uint8 images, ``factor`` times as large, on grey."""
    change = after.int() - before.int()
    return (128 + factor * change).clamp(0, 255).to(before.dtype)


def gallery(ax: "Axes", rows: dict[str, Tensor], titles: Sequence[str] = ()) -> "Axes":
    """Show images in rows, one pixel of white between them.

    Args:
        ax: the axes to draw on.
        rows: images (n, 3, h, w), uint8, of every row, by the row's name; n may differ.
        titles: of the columns.
    """
    first = next(iter(rows.values()))
    height, width = first.shape[-2:]
    row_height = height + 1
    column_width = width + 1
    columns = max(map(len, rows.values()))
    shape = (len(rows) * row_height, columns * column_width, 3)
    canvas = np.full(shape, 255, np.uint8)
    for row, images in enumerate(rows.values()):
        top = row * row_height
        for column, image in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
            left = column * column_width
            cell = canvas[top : top + height, left : left + width]
            cell[:] = image
    ax.imshow(canvas, interpolation="nearest")
    ax.set_yticks(_middles(len(rows), row_height), [plain(name) for name in rows])
    ax.set_xticks(_middles(len(titles), column_width), [plain(title) for title in titles])
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    return ax


def _middles(count: int, step: int) -> np.ndarray:
    return (np.arange(count) + 0.5) * step - 1


def learning_gap(
    ax: "Axes",
    clean: ArrayLike,
    poisoned: ArrayLike,
    mistaken: ArrayLike | None = None,
    x: Sequence[float] | None = None,
    xlabel: str = "epoch",
) -> "Axes":
    """Draw training accuracy of clean and of poisoned samples (Ying & Wu 2023, Fig. 1).

    What the poisoned samples have above ``mistaken`` is due to the trigger. The rest is a model
    that answers the target for everything.

    Args:
        ax: the axes to draw on.
        clean: fractions of one run, (points,), or of several, (runs, points).
        poisoned: likewise.
        mistaken: the share of clean samples of other classes that are taken for the target;
            likewise.
        x: where the points are; None: at 1, 2, 3 and so on.
        xlabel: the name of what x counts.
    """
    if x is None:
        x = range(1, np.shape(clean)[-1] + 1)
    mean_and_range(ax, x, poisoned, "s-", POISONED, "poisoned samples")
    mean_and_range(ax, x, clean, "o-", CLEAN, "clean samples")
    if mistaken is not None:
        mean_and_range(ax, x, mistaken, ":", NEUTRAL, "clean, but taken for the target")
    percent_axis(ax, xlabel, "training accuracy (%)")
    integer_axis(ax)
    ax.legend()
    return ax


def feature_map(
    ax: "Axes", points: np.ndarray, labels: Tensor, target: int, triggered: np.ndarray
) -> "Axes":
    """Draw features of test images in two dimensions, and those of triggered ones over them.

    Args:
        ax: the axes to draw on.
        points: of clean images, (n, 2).
        labels: their classes, (n,).
        target: the class that the attacker wants. All others have a light colour each.
        triggered: of triggered images, (m, 2).
    """
    import seaborn

    labels = labels.cpu()
    others = [label for label in labels.unique().tolist() if label != target]
    name = "clean, other classes (a colour each)"
    for label, colour in zip(others, seaborn.husl_palette(len(others), l=0.75), strict=True):
        _scatter(ax, points[labels == label], name, colour, ".")
        name = None  # the legend needs it once
    _scatter(ax, points[labels == target], "clean, target class", CLEAN, "o")
    _scatter(ax, triggered, "triggered", POISONED, "x")
    ax.set(xticks=[], yticks=[])
    ax.legend()
    return ax


def _scatter(
    ax: "Axes", points: np.ndarray, label: str | None, colour: object, marker: str
) -> None:
    look = {"color": colour, "marker": marker, "s": 12, "linewidth": 0.8, "alpha": 0.7}
    x = points[:, 0]
    y = points[:, 1]
    ax.scatter(x, y, label=label, **look)
