import base64

import pytest
import torch
from matplotlib import pyplot as plt

from dlp_lib import Metrics, Selection, plots


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_show_carries_the_alternative_text(ax, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append((data, options)))
    plots.show(ax.figure, "A figure of nothing.")
    [(data, options)] = shown
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == options["metadata"]["image/png"]["alt"] == "A figure of nothing."
    assert not plt.fignum_exists(ax.figure.number)


def test_learning_gap_draws_both_subsets_in_per_cent(ax):
    plots.learning_gap(ax, [0.1, 0.4], [0.9, 1.0])
    lines = {line.get_label(): (line.get_color(), line.get_ydata()) for line in ax.lines}
    assert lines["clean samples"][0] == plots.CLEAN
    assert list(lines["clean samples"][1]) == [10, 40]
    assert list(lines["poisoned samples"][1]) == [90, 100]


@pytest.mark.parametrize("known", [True, False])
def test_entropy_histogram_counts_every_sample_and_marks_both_cuts(known, ax):
    entropy = torch.linspace(0, 3, 50)
    selection = Selection(torch.arange(5), torch.arange(40, 50), (10,), False)
    plots.entropy_histogram(ax, entropy, selection, entropy < 0.5 if known else None)
    heights = sum(patch.get_height() for patch in ax.patches)
    assert heights == 50
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx(entropy[[4, 40]].tolist())
    assert len(ax.get_legend().get_texts()) == (4 if known else 3)


def test_unlearning_marks_the_stop(ax):
    history = [{"block": k, "accuracy": 1 / k, "accuracy_reestimated": 1.0} for k in (1, 2, 3)]
    plots.unlearning(ax, history, 2)
    assert list(ax.lines[0].get_ydata()) == pytest.approx([100, 50, 100 / 3])
    assert "stop: epoch 2" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_stage_bars_show_the_numbers_and_name_a_collapse(ax):
    measured = {"SL": Metrics(0.5, 1.0, 0.0, 10, 9, False), "AU": Metrics(0.1, 0.0, 0.1, 10, 9, True)}
    plots.stage_bars(ax, measured)
    assert sorted(patch.get_height() for patch in ax.patches) == pytest.approx([0, 0, 10, 10, 50, 100])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["SL", "AU\n(collapsed)"]


def test_bars_without_an_attack(ax):
    plots.stage_bars(ax, {"SL": Metrics(0.5, None, None, 10, 0, False)})
    assert next(patch.get_height() for patch in ax.patches) == 50
    assert {label.get_text() for label in ax.texts} == {"50.0", ""}  # an unknown share is no zero


def luminance(colour):
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", ["CLEAN", "POISONED", "RECOVERED", "NEUTRAL"])
def test_colours_stand_out_on_white(name):
    assert 1.05 / (luminance(getattr(plots, name)) + 0.05) >= 3  # WCAG 2.1, graphical objects
