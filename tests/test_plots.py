"""Figures show what they are given, in per cent, with colours that stand out."""

import base64

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from dlp_lib import FILTERS, Metrics, Selection, plots


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_show_carries_the_alternative_text(ax, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, **options: shown.append((data, options))
    )
    plots.show(ax.figure, "A figure of nothing.")
    [(data, options)] = shown
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == options["metadata"]["image/png"]["alt"] == "A figure of nothing."
    assert not plt.fignum_exists(ax.figure.number)


def test_a_shared_legend_replaces_those_of_the_axes():
    figure, axes = plt.subplots(1, 2)
    for ax in axes:
        plots.learning_gap(ax, [0.1], [0.9])
    axes[1].axvline(1, label="stop")  # only some axes have it
    plots.shared_legend(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "poisoned samples",
        "clean samples",
        "stop",
    ]
    assert not any(ax.get_legend() for ax in axes)
    assert [ax.get_ylabel() for ax in axes] == ["training accuracy (%)", ""]
    plt.close(figure)


def test_differences_are_amplified_on_grey():
    before = torch.tensor([100, 100, 0, 255], dtype=torch.uint8)
    after = torch.tensor([100, 110, 255, 0], dtype=torch.uint8)
    assert plots.difference(before, after).tolist() == [128, 158, 255, 0]


def test_gallery_sets_images_in_rows_and_columns(ax):
    black, white = (
        torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
        torch.full((1, 3, 4, 4), 200, dtype=torch.uint8),
    )
    plots.gallery(ax, {"dark": black, "light": white}, ["one", "two"])
    canvas = ax.images[0].get_array()
    assert canvas.shape == (10, 10, 3)
    assert (canvas[:4, :4] == 0).all() and (canvas[:4, 5:9] == 0).all()
    assert (canvas[5:9, :4] == 200).all() and (canvas[5:9, 5:9] == 255).all()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dark", "light"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["one", "two"]


def test_learning_gap_draws_both_subsets_in_per_cent(ax):
    plots.learning_gap(ax, [0.1, 0.4], [0.9, 1.0])
    lines = {line.get_label(): (line.get_color(), line.get_ydata()) for line in ax.lines}
    assert lines["clean samples"][0] == plots.CLEAN
    assert list(lines["clean samples"][1]) == pytest.approx([10, 40])
    assert list(lines["poisoned samples"][1]) == pytest.approx([90, 100])


def test_several_runs_are_a_mean_and_a_band(ax):
    plots.learning_gap(
        ax, [[0.1, 0.4], [0.3, 0.6]], [[0.9, 1.0], [0.9, 0.8]], [[0.2, 0.1]], [5, 10], "step"
    )
    clean = next(line for line in ax.lines if line.get_label() == "clean samples")
    assert list(clean.get_xdata()) == [5, 10]
    assert list(clean.get_ydata()) == pytest.approx([20, 50])
    low, high = ax.collections[1].get_paths()[0].get_extents().intervaly
    assert (low, high) == pytest.approx((10, 60))
    assert ax.get_xlabel() == "step"
    mistaken = next(
        line for line in ax.lines if line.get_label() == "clean, but taken for the target"
    )
    assert list(mistaken.get_ydata()) == pytest.approx([20, 10])


def test_precision_and_rates_name_their_points(ax):
    plots.precision(ax, [0.005, 0.01, 0.1], [1.0, 0.9, 0.2], [1.0, 1.0, 0.95])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.5", "1", "10"]
    assert list(ax.lines[0].get_ydata()) == pytest.approx([100, 90, 20])
    ax.clear()
    plots.ca_and_asr(ax, [0.2, 10], [[0.9, 0.8]], [[0.1, 1.0]], "poisoning rate (%)")
    assert [line.get_label() for line in ax.lines] == ["ASR", "CA"]
    assert list(ax.lines[0].get_ydata()) == pytest.approx([10, 100])
    assert ax.get_xscale() == "log"


def test_agreement_shows_what_is_visible_and_what_is_not(ax):
    plots.agreement(ax, [0.0, 0.95], [0.5, 1.0], 0.9)
    assert list(ax.lines[0].get_ydata()) == pytest.approx([0, 95])
    assert list(ax.lines[1].get_ydata()) == pytest.approx([50, 100])
    assert ax.lines[2].get_ydata()[0] == pytest.approx(90)


def test_roc_of_a_perfect_and_of_an_inverted_filter(ax):
    poisoned = torch.tensor([True, True, False, False])
    score = torch.tensor([4.0, 3, 2, 1])
    plots.roc(ax, {"entropy": score, "loss": -score}, poisoned)
    perfect, inverted, chance = (line.get_xydata().tolist() for line in ax.lines)
    assert [0, 100] in perfect
    assert [100, 0] in inverted
    assert chance == [[0, 0], [100, 100]]
    assert [line.get_linestyle() for line in ax.lines[:2]] == ["-", "--"]


def test_a_filter_of_a_users_own_needs_no_style(ax):
    poisoned = torch.tensor([True, True, False, False])
    score = torch.tensor([4.0, 3, 2, 1])
    plots.roc(ax, {"mine": score, "entropy": score, "another": score}, poisoned)
    drawn = [(line.get_color(), line.get_linestyle()) for line in ax.lines]
    mine, known, another, _ = drawn
    assert known == ("black", "-")
    styles = [(style["color"], style["linestyle"]) for style in plots.FILTER_STYLES.values()]
    assert mine not in styles and another not in styles
    assert mine[0] != another[0]


def test_defences_are_points_of_their_own_and_references_grey(ax):
    points = {"none": (1.0, 0.98), "FP": (0.3, 0.95), "NAD": (0.02, 0.9)}
    plots.trade_off(ax, points, references=("none",))
    assert [tuple(line.get_xydata()[0]) for line in ax.lines] == [(100, 98), (30, 95), (2, 90)]
    looks = {line.get_label(): (line.get_marker(), line.get_color()) for line in ax.lines}
    assert len(set(looks.values())) == 3 and looks["none"][1] == plots.NEUTRAL
    assert ax.get_legend()


CROWD = {"FP": (0.01, 0.97), "MCR": (0.0, 0.96), "DLP": (0.02, 0.98), "none": (1.0, 0.98)}


def test_a_crowded_corner_of_a_trade_off_is_enlarged(ax):
    plots.trade_off(ax, CROWD, references=("none",))
    (inset,) = ax.child_axes
    assert inset.get_xlim() == pytest.approx((-0.3, 2.5))
    assert inset.get_ylim() == pytest.approx((95, 100))
    assert len(inset.lines) == len(ax.lines) == 4


@pytest.mark.parametrize(
    "change",
    [{"FP": (0.06, 0.97)}, {"FP": (0.01, 0.89)}, {"ANP": (0.5, 0.8)}],
    ids=["of two", "far below", "something in its place"],
)
def test_without_a_crowd_or_without_room_there_is_no_inset(change, ax):
    plots.trade_off(ax, CROWD | change, references=("none",))
    assert not ax.child_axes


def test_any_number_of_defences_can_be_told_apart(ax):
    names = [str(number) for number in range(40)]
    references = [f"reference {number}" for number in range(8)]
    plots.trade_off(ax, dict.fromkeys([*names, *references], (0.5, 0.5)), references)
    looks = [(line.get_marker(), line.get_color()) for line in ax.lines]
    assert len(set(looks[:40])) == 40
    assert {colour for _, colour in looks[40:]} == {plots.NEUTRAL}


def test_heat_maps_are_in_per_cent(ax):
    plots.heat_map(ax, pd.DataFrame({"BadNets": {"entropy": 0.98, "loss": 0.5}}))
    assert {text.get_text() for text in ax.texts} == {"98", "50"}


def test_a_sweep_map_tells_mean_and_range_over_seeds_and_leaves_room_for_what_is_missing(ax):
    rows = [{"gamma": 0.1, "e1": 4, "seed": seed, "ca": ca} for seed, ca in enumerate((0.5, 0.7))]
    rows.append({"gamma": 0.2, "e1": 8, "seed": 0, "ca": 1.0})
    plots.sweep_map(ax, rows, "ca", ("gamma", [0.1, 0.2]), ("e1", [4, 8]))
    assert [text.get_text() for text in ax.texts] == ["60\n(50–70)", "100"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10 %", "20 %"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["4", "8"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("filtering rate γ", "E1 (epochs of stage 1)")


def test_a_sweep_map_may_be_empty(ax):
    plots.sweep_map(ax, [], "ca", ("gamma", [0.1, 0.2]), ("e1", [4, 8]))
    assert not ax.texts


@pytest.mark.parametrize(
    ("seeds", "title"),
    [((), "not measured yet"), ((3,), "one seed: 3"), ((0, 1), "seeds 0, 1: mean, and in")],
)
def test_maps_of_a_sweep_say_their_seeds_and_stand_in_rows(seeds, title):
    rows = []
    for seed in seeds:
        rows.append({"attack": "SIG", "defence": "FP", "seed": seed, "ca": 0.9, "asr": None})
    panels = {"ca": "CA (%)", "asr": "ASR (%)", "ra": "RA (%)"}
    names = ("attack", ["SIG"]), ("defence", ["FP"])
    figure = plots.sweep_maps(rows, panels, *names, across=2)
    assert figure.get_suptitle().startswith(title)
    assert [ax.get_title() for ax in figure.axes] == list(panels.values())
    assert [len(ax.texts) for ax in figure.axes] == [min(len(seeds), 1), 0, 0]
    first, right, below = figure.axes
    assert first.get_position().y0 > below.get_position().y0
    shown = [len([t for t in ax.get_xticklabels() if t.get_visible()]) for ax in figure.axes]
    assert shown == [0, 1, 1]  # below the one on the right there is nothing
    assert right.get_position().x0 > first.get_position().x0
    plt.close(figure)


def test_every_filter_has_a_line_of_its_own():
    assert set(plots.FILTER_STYLES) == set(FILTERS)
    assert len({style["linestyle"] for style in plots.FILTER_STYLES.values()}) == len(FILTERS)


@pytest.mark.parametrize("known", [True, False])
def test_entropy_histogram_counts_every_sample_and_marks_both_cuts(known, ax):
    entropy = torch.linspace(0, 3, 50)
    selection = Selection(torch.arange(5), torch.arange(40, 50), (10,), False)
    plots.entropy_histogram(ax, entropy, selection, entropy < 0.5 if known else None)
    heights = sum(patch.get_data().values.sum() for patch in ax.patches)
    assert heights == 50
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx(entropy[[4, 40]].tolist())
    assert len(ax.get_legend().get_texts()) == (4 if known else 3)


def test_unlearning_marks_the_stop(ax):
    history = [
        {"block": k, "accuracy": 1 / k, "accuracy_reestimated": 1.0, "collapsed": k == 3}
        for k in (1, 2, 3)
    ]
    plots.unlearning(ax, history, 2)
    assert list(ax.lines[0].get_ydata()) == pytest.approx([100, 50, 100 / 3])
    assert {"stop: epoch 2", "collapsed"} <= {
        text.get_text() for text in ax.get_legend().get_texts()
    }
    assert [patch.get_x() for patch in ax.patches] == [2.5]


def test_stage_bars_show_the_numbers_and_name_a_collapse(ax):
    measured = {
        "SL": Metrics(0.5, 1.0, 0.0, 10, 9, False),
        "AU": Metrics(0.1, 0.0, 0.1, 10, 9, True),
    }
    plots.stage_bars(ax, measured)
    assert sorted(patch.get_height() for patch in ax.patches) == pytest.approx(
        [0, 0, 10, 10, 50, 100]
    )
    assert [label.get_text() for label in ax.get_xticklabels()] == ["SL", "AU\n(collapsed)"]


def test_stage_bars_show_the_recall_of_the_target_and_name_who_forgets_it(ax):
    measured = {
        "SL": Metrics(0.5, 1.0, 0.0, 10, 9, False, (0.5, 0.5)),
        "ABL": Metrics(0.6, 0.0, 0.6, 10, 9, False, (1.0, 0.2)),
        "FP": Metrics(0.9, 0.0, 0.6, 10, 9, False),  # from before recalls were measured
    }
    plots.stage_bars(ax, measured, target=1)
    recalls, *dividers = ax.lines
    assert len(dividers) == 2  # between three models
    assert recalls.get_ydata()[:2].tolist() == [50, 20]
    assert np.isnan(recalls.get_ydata()[2])
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == ["SL", "ABL\n(forgets\nthe target)", "FP"]


def test_every_seed_is_a_point(ax):
    rows = []
    for attack, shares in {"BadNets": (0.1, 0.2), "none": (None, None)}.items():
        for seed, share in enumerate(shares):
            for stage in ("SL", "AU"):
                asr = share if stage == "SL" or share is None else share / 2
                rows.append({"attack": attack, "stage": stage, "seed": seed, "asr": asr})
    plots.each_seed(ax, rows, "attack", "asr", "stage")
    assert ax.get_ylabel() == "ASR (%)"
    drawn = [points.get_offsets().data.tolist() for points in ax.collections]
    drawn = sorted(point for points in drawn for point in points)
    assert [y for _, y in drawn] == [10, 20, 5, 10]  # SL stands left of AU
    assert [x for x, _ in drawn] == pytest.approx([-0.2, -0.2, 0.2, 0.2], abs=0.1)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["BadNets", "none"]
    assert ax.get_xlim() == (-0.5, 1.5)  # with room for what has no values
    handles, names = ax.get_legend_handles_labels()
    assert names == ["SL", "AU"]
    assert len({(handle.get_color(), handle.get_marker()) for handle in handles}) == 2


@pytest.mark.parametrize("count", [1, 12])
def test_bars_of_any_number_of_models(ax, count):
    metrics = {str(number): Metrics(0.5, 0.4, 0.3, 10, 9, False) for number in range(count)}
    plots.stage_bars(ax, metrics)
    assert len(ax.patches) == 3 * count
    assert list(ax.get_xticks()) == list(range(count))


@pytest.mark.parametrize("target", [None, 1])
def test_bars_of_no_model_are_empty(ax, target):
    plots.stage_bars(ax, {}, target)
    assert not ax.patches
    assert list(ax.get_xticks()) == []


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


def test_an_ascent_shows_both_rates_and_its_stop(ax):
    plots.ascent(ax, [{"block": 1, "ca": 0.5, "asr": 1.0}, {"block": 2, "ca": 0.4, "asr": 0.0}], 2)
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert lines["CA"] == [50, 40]
    assert lines["ASR"] == [100, 0]
    assert list(ax.lines[-1].get_xdata()) == [2, 2]


def test_an_ascent_shows_the_recall_of_the_target(ax):
    rows = [{"block": k, "ca": 0.9, "asr": 0.5, "recalls": [1.0, 0.6 / k]} for k in (1, 2)]
    plots.ascent(ax, rows, target=1)
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert lines["recall of the target class"] == [60, 30]
    assert lines["CA"] == [90, 90]


def test_bars_stand_attack_below_attack_under_one_legend():
    good = Metrics(0.9, 0.0, 0.9, 20, 18, False, (0.9, 0.9))
    bad = Metrics(0.5, 0.0, 0.9, 20, 18, False, (0.9, 0.1))
    measured = {"BadNets": {"FP": good, "ABL": bad}, "SIG": {"FP": good}}
    targets = {"BadNets": 1, "SIG": 0}
    figure = plots.bars_by_attack(measured, targets, ("FP", "ABL", "DBD"), 3)
    above, below = figure.axes
    assert [ax.get_title("left") for ax in figure.axes] == [
        "BadNets, one seed: 3",
        "SIG, one seed: 3",
    ]
    assert [text.get_text() for text in above.get_xticklabels()] == [
        "FP",
        "ABL\n(forgets\nthe target)",
    ]
    assert [text.get_text() for text in below.get_xticklabels()] == ["FP"]
    assert len(figure.legends) == 1 and not above.get_legend()
    plt.close(figure)


def test_an_ascent_without_an_attack_shows_ca_alone(ax):
    plots.ascent(ax, [{"block": 1, "ca": 0.5, "asr": None}, {"block": 2, "ca": 0.4, "asr": None}])
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert list(lines["CA"]) == [50, 40]
    assert np.isnan(lines["ASR"]).all()


def test_a_feature_map_keeps_three_groups_apart(ax):
    points = np.arange(10.0).reshape(5, 2)
    plots.feature_map(ax, points, torch.tensor([1, 0, 2, 1, 2]), 1, points[:1])
    groups = {group.get_label(): group.get_offsets().tolist() for group in ax.collections}
    assert groups["clean, target class"] == [[0, 1], [6, 7]]
    assert groups["triggered"] == [[0, 1]]
    others = ax.collections[:2]
    assert [len(group.get_offsets()) for group in others] == [1, 2]
    assert len({tuple(group.get_facecolor()[0]) for group in others}) == 2
    _, names = ax.get_legend_handles_labels()
    assert len(names) == 3


def test_collapse_is_shaded_along_an_ascent(ax):
    rows = [{"block": n, "ca": 0.5, "asr": 0.5, "collapsed": n > 1} for n in (1, 2, 3)]
    plots.ascent(ax, rows)
    assert len(ax.patches) == 2
    assert ax.get_legend_handles_labels()[1].count("collapsed") == 1


def test_a_name_of_two_words_is_an_axis_title(ax):
    row = {"case": "SIG", "least_recall": 1, "stage": "AU"}
    plots.each_seed(ax, [row], "case", "least_recall", "stage")
    assert ax.get_ylabel() == "least recall (%)"


def test_a_record_that_was_not_made_has_no_dots(ax):
    assert not plots.each_seed(ax, [], "case", "asr", "stage").collections


def test_agreement_may_stand_against_gamma(ax):
    plots.agreement(ax, [1.0, 0.5], [0.9, 0.4], 0.9, [0.01, 0.1])
    assert list(ax.lines[0].get_xdata()) == pytest.approx([1, 10])
    assert (ax.get_xlabel(), ax.get_xscale()) == ("gamma (%)", "log")


ODD = r"$\frac of $, 100 % & a_b"  # no formula, although matplotlib would take it for one
IMAGES = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
RUNS = ("case", "asr", "stage")
METRICS = Metrics(ca=0.5, asr=0.5, ra=0.5, n_clean=2, n_triggered=2, collapsed=False)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.gallery(ax, {ODD: IMAGES}, [ODD]),
        lambda ax: plots.stage_bars(ax, {ODD: METRICS}),
        lambda ax: plots.trade_off(ax, {ODD: (0.1, 0.9)}),
        lambda ax: plots.heat_map(ax, pd.DataFrame({ODD: [0.5]}, index=[ODD])),
        lambda ax: plots.roc(ax, {ODD: torch.arange(4.0)}, torch.arange(4) > 1),
        lambda ax: plots.mean_and_range(ax, [1], [0.5], "o", plots.CLEAN, ODD).legend(),
        lambda ax: plots.each_seed(ax, [{"case": ODD, "asr": 1, "stage": ODD}], *RUNS),
    ],
    ids=["gallery", "stage_bars", "trade_off", "heat_map", "roc", "mean_and_range", "each_seed"],
)
def test_names_with_dollars_are_no_formulas(draw, ax):
    draw(ax)
    ax.figure.canvas.draw()  # matplotlib reads formulas when it draws


def test_a_figure_carries_its_number_below_its_axes(ax, monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *arguments, **options: None)
    ax.set_title("a title")
    plots.show(ax.figure, "A figure.", number=3)
    (text,) = ax.figure.texts
    assert text.get_text() == "Figure 3"
    box = ax.get_tightbbox().transformed(ax.figure.transFigure.inverted())
    assert text.get_position() == pytest.approx((box.x0, box.y0), abs=0.02)
