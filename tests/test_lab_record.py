"""What the book's lab page shows is what the live lab says."""

import itertools
import json

import lab_tables
import pytest
from matplotlib.figure import Figure

from dlp_lib import Context, Runtime, Store, plots, predict
from dlp_lib.__main__ import main
from dlp_lib.evaluation import evaluate, target_recall
from dlp_lib.live import words
from dlp_lib.live.controller import Lab
from dlp_lib.live.grid import ATTACKS, Grid
from dlp_lib.live.sentence import TEXTS
from dlp_lib.live.setting import LabSetting
from dlp_lib.live.trainer import no_call
from dlp_lib.training import Checkpoints
from tools.book import lab_page

SIZES = "--n-train 300 --n-test 60 --epochs 2 --steps 2"
GRID = "--e1s 1 2 --gammas 0.05 0.1 --end-e1s 2 --end-gammas 0.05 --end-e2s 0 1"
E1S = (1, 2)
GAMMAS = (0.05, 0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


def record(folder):
    """Run the command at a tiny size, and return the bytes that it wrote."""
    places = ["--store", str(folder / "store"), "--out", str(folder / "out")]
    main(["record", "lab", "--attacks", "badnets", *SIZES.split(), *GRID.split(), *places])
    return (folder / "out" / "BadNets.json").read_bytes()


@pytest.fixture(scope="module")
def table(folder):
    return json.loads(record(folder))


@pytest.fixture(scope="module")
def lab(folder, table):
    """The live lab on the same store."""
    lab = Lab(Context(Runtime(0), Store(folder / "store")), 300, 60, epochs=2, steps=2)
    for e1, gamma in itertools.product(E1S, GAMMAS):
        lab.work(LabSetting(e1=e1, gamma=gamma, e2=2), no_call, no_call)
    for e2 in (0, 1):
        lab.finetune(LabSetting(e1=2, gamma=0.05, e2=e2), no_call, no_call)
    return lab


@pytest.mark.parametrize("truth", [True, False])
def test_the_sentence_of_every_setting_is_the_live_labs(table, lab, truth):
    for e1, gamma, e2 in itertools.product(E1S, GAMMAS, (0, 1, 2)):
        said = words.sentence(lab.look(LabSetting(e1=e1, gamma=gamma, e2=e2)), truth)
        assert lab_tables.expected_sentence(table, e1, gamma, e2, truth) == said


def test_every_share_of_the_live_lab_is_in_the_table(table, lab):
    for e1, gamma, e2 in itertools.product(E1S, GAMMAS, (0, 1, 2)):
        answer = lab.look(LabSetting(e1=e1, gamma=gamma, e2=e2))
        for stage, shares in lab_tables.stages_of(table, e1, gamma, e2).items():
            measured = answer.stages.get(stage)
            assert (shares is None) == (measured is None)
            if shares is not None:
                assert shares == pytest.approx({name: measured[name] for name in shares})
        curves = lab_tables.expected_curves(table, e1, gamma, truth=True)
        assert curves["gap"]["poisoned"] == pytest.approx(answer.gap["poisoned"])
        left = [row["accuracy"] for row in answer.ascent]
        assert curves["ascent"]["left"] == pytest.approx(left)
        row = lab_tables.row_of(table, "filter", e1=e1, gamma=gamma)
        suspected = answer.selection.suspected
        labels = answer.scenario.tampered.labels[suspected].bincount(minlength=10)
        assert row["labels"] == labels.tolist()
        highest = answer.entropy[suspected].max().item()
        assert row["suspects_end"] == pytest.approx(highest, abs=1e-6)


def test_the_histogram_is_that_of_the_live_lab(table, lab):
    answer = lab.look(LabSetting(e1=2, gamma=0.05, e2=2))
    ax = Figure().subplots()
    plots.histogram(ax, answer.entropy, answer.scenario.truth.poisoned)
    drawn = [patch.get_data().values.tolist() for patch in ax.patches]
    row = lab_tables.row_of(table, "SL", e1=2)
    assert [row["clean"], row["poisoned"]] == drawn


def test_the_targets_recall_is_accuracy_on_its_class(lab):
    scenario = lab.look(LabSetting(e1=2, gamma=0.05, e2=2)).scenario
    model = scenario.untrained()
    of_target = scenario.test.labels == 0
    right = predict(model, scenario.test.images).argmax(1)[of_target] == 0
    metrics = evaluate(model, scenario.test, scenario.attack)
    recall = target_recall(metrics, scenario.attack)
    assert recall == right.double().mean().item()


def test_a_second_run_trains_nothing_and_writes_the_same(folder, table, monkeypatch):
    monkeypatch.setattr(Checkpoints, "write", lambda *_: pytest.fail("it trained"))
    assert json.loads(record(folder)) == table


def test_what_is_committed_is_complete_and_small():
    paths = {path.stem: path for path in lab_page.TABLES.glob("*.json")}
    assert set(paths) == set(ATTACKS)
    assert sum(path.stat().st_size for path in paths.values()) < 1_000_000
    tables = lab_page.read_tables()
    assert tuple(tables) == ATTACKS
    grids = [table["made"]["grid"] for table in tables.values()]
    assert all(grid == grids[0] for grid in grids)
    for name, table in tables.items():
        made = table["made"]
        assert (made["attack"], made["seed"], made["threads"]) == (name, 0, 1)
        assert made["texts"] == TEXTS
        expect_all_rows(table, Grid(**{key: to_tuple(value) for key, value in grids[0].items()}))


def to_tuple(value):
    return tuple(value) if isinstance(value, list) else value


def expect_all_rows(table, grid):
    for setting in grid.starts(table["made"]["attack"]):
        place = {"e1": setting.e1, "gamma": setting.gamma}
        assert lab_tables.row_of(table, "filter", **place) is not None
        assert len(lab_tables.row_of(table, "AU", **place)["ca"]) == grid.epochs
    for setting in grid.ends(table["made"]["attack"]):
        place = {"e1": setting.e1, "gamma": setting.gamma, "e2": setting.e2}
        assert lab_tables.row_of(table, "ASSFT", **place) is not None
    for row in table["rows"]:
        if row["kind"] in ("SL", "ASSFT"):
            for name, n in lab_tables.denominators(table["made"]).items():
                assert 0 <= row[name] <= n
        if row["kind"] == "filter":
            assert sum(row["labels"]) == row["suspected"] >= row["suspected_poisoned"]


def test_a_module_that_comes_too_early_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lab_page, "MODULES", lab_page.MODULES[::-1])
    with pytest.raises(ValueError, match=r"page\.js imports \w+\.js, which does not come before"):
        lab_page.bundle()


def test_no_name_of_a_file_can_end_the_script():
    made = {"what": "</script><b>"}
    assert "</script><b>" not in lab_page.fragment({"BadNets": {"made": made, "rows": []}})
