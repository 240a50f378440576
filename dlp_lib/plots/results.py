"""Figures of models: what they are worth along an ascent, after each stage, and over a sweep."""

from ..metrics import Metrics
from ..train import History
from .base import CLEAN, NEUTRAL, POISONED, RECOVERED, SERIES, band, logarithmic


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


def trade_off(ax, points: dict[str, tuple[float, float]], references: tuple[str, ...] = ()):
    """Defences by (ASR, CA): the best place is at the top on the left. ``references`` are those of no defence."""
    looks, plain = zip("osD^vPX*", SERIES, strict=True), iter("+x1234")
    for name, (asr, ca) in points.items():
        marker, colour = (next(plain), NEUTRAL) if name in references else next(looks)
        ax.plot(100 * asr, 100 * ca, marker, color=colour, markersize=9, alpha=0.8, linestyle="none", label=name)
    ax.set(xlabel="ASR (%)", ylabel="CA (%)", xlim=(-4, 104))
    ax.legend()
    return ax


def against(ax, x: list[float], ca, asr, xlabel: str):
    """CA and ASR of one run (points,) or several (runs, points) against what was varied, on a logarithmic scale."""
    band(ax, x, asr, "s-", POISONED, "ASR")
    band(ax, x, ca, "o-", CLEAN, "CA")
    ax.set(xlabel=xlabel, ylabel="share of test images (%)", ylim=(-2, 104))
    ax.legend()
    return logarithmic(ax, x)


def heat_map(ax, table, counts=None):
    """A pandas table of fractions as numbers on colours, in per cent; ``counts``: of how many runs each is the mean."""
    import seaborn

    texts = table.map(lambda share: f"{100 * share:.0f}")
    if counts is not None:
        texts += counts.map(lambda n: f"\nn = {n:.0f}")
    seaborn.heatmap(100 * table, ax=ax, annot=texts, fmt="", vmin=0, vmax=100, cmap="cividis", cbar=False)
    for text in ax.texts:  # none where a share is missing
        column, row = map(int, text.get_position())
        text.set_color("white" if table.iat[row, column] < 0.47 else "black")  # whichever has the higher contrast
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="", ylabel="")
    return ax


def sweep_map(ax, rows: list[dict], value: str, x: tuple[str, list], y: tuple[str, list]):
    """A sweep's column of fractions by two parameters, each with its name and values: means over seeds, in per cent."""
    import pandas

    groups = pandas.DataFrame(rows, columns=[x[0], y[0], value]).groupby([y[0], x[0]])[value]
    cells = (groups.mean(), groups.count())
    mean, count = (part.unstack().reindex(index=y[1], columns=x[1]).astype(float) for part in cells)
    names = {level: f"{100 * level:g} %" for level in (*x[1], *y[1]) if isinstance(level, float)}
    heat_map(ax, mean.rename(index=names, columns=names), count.rename(index=names, columns=names))
    ax.set(xlabel=x[0], ylabel=y[0])
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
