"""What notebooks take from the library to show recorded tables, speeds, and a sweep that runs."""

import pytest
import torch
from torch import nn

from dlp_lib import Metrics, Split
from dlp_lib.experiments import record, recorded_tables
from dlp_lib.experiments.recorded_tables import (
    architectures_beside_paper,
    defences_beside_paper,
    recorded_cases,
    table_of_cases,
)
from dlp_lib.experiments.stage_rows import metrics_by_stage, with_target_recall
from dlp_lib.experiments.tables import beside_paper
from dlp_lib.experiments.throughput import images_per_second
from dlp_lib.plots import growing


def test_defences_stand_beside_the_paper():
    recorded = [
        {"defence": "FP", "attack": "BadNets", "ca": 0.9, "asr": 0.1},
        {"defence": "FP", "attack": "BadNets", "ca": 0.7, "asr": 0.3},
        {"defence": "FP", "attack": "none", "ca": 0.8, "asr": None},
    ]
    this_run = [{"defence": "DLP", "attack": "SIG", "ca": 0.5, "asr": 1.0}]
    table = defences_beside_paper(recorded, this_run)
    assert list(table.columns[:2]) == ["no attack", "BadNets"]
    assert table.loc[("FP", "recorded"), "BadNets"] == "80.0 / 20.0"
    assert table.loc[("FP", "recorded"), "no attack"] == "80.0 / –"
    assert table.loc[("FP", "this run"), "BadNets"] == "–"
    assert table.loc[("DLP", "this run"), "SIG"] == "50.0 / 100.0"
    ca, asr = record.paper("table 3")["FP"]["BadNets"]
    assert table.loc[("FP", "paper"), "BadNets"] == f"{100 * ca:.1f} / {100 * asr:.1f}"


COUNTS = {"n_clean": 4, "n_triggered": 4, "collapsed": False}


def recorded_stage(attack, stage, ca, asr, recalls=None):
    """A row of a record; one from before recalls were measured has none."""
    row = {"seed": 0, "attack": attack, "stage": stage, "ca": ca, "asr": asr, "ra": asr, **COUNTS}
    return row if recalls is None else row | {"recalls": recalls}


def test_dlp_stands_beside_the_paper_with_the_recall_of_the_target():
    recorded = []
    for attack in record.paper("table 3")["DLP"]:
        name = "none" if attack == "no attack" else attack
        asr = None if name == "none" else 0.5
        recalls = None if name == "SIG" else [0.2, 0.9]
        for stage in ("undefended", "ASSFT"):
            recorded.append(recorded_stage(name, stage, 0.75, asr, recalls))
    recorded.append(recorded_stage("BadNets", "ASSFT", 0.25, 0.25, [0.4, 0.9]))
    measured = {"SIG": {"ASSFT": Metrics(0.5, 1.0, 0.0, 4, 4, False, (0.1, 0.9))}}
    measured["SIG"]["undefended"] = measured["SIG"]["ASSFT"]
    table = beside_paper(recorded, measured)
    by_hand = {
        ("BadNets", "recorded"): "50.0 / 37.5",
        ("BadNets", "this run"): "–",
        ("BadNets", "recall of the target, recorded"): "30.0",
        ("BadNets", "recall of the target, this run"): "–",
        ("no attack", "recorded"): "75.0 / –",
        ("no attack", "recall of the target, recorded"): "–",
        ("SIG", "this run"): "50.0 / 100.0",
        ("SIG", "recall of the target, recorded"): "–",
        ("SIG", "recall of the target, this run"): "10.0",
    }
    for (attack, column), text in by_hand.items():
        assert table.loc[(attack, "DLP"), column] == text


def test_recorded_stages_are_metrics_again():
    rows = [
        recorded_stage("SIG", "SL", 0.5, 1.0),
        recorded_stage("SIG", "ASSFT", 0.7, 0.0, [0.3, 0.9]),
    ]
    measured = metrics_by_stage(rows)
    assert list(measured) == ["SL", "ASSFT"]
    assert (measured["SL"].asr, measured["SL"].recall(0)) == (1.0, None)
    assert measured["ASSFT"].recall(0) == 0.3
    with pytest.raises(ValueError, match="rows: the stage SL is there twice"):
        metrics_by_stage([*rows, rows[0]])


def test_recalls_of_the_target_are_those_of_attacks():
    rows = [
        recorded_stage("SIG", "SL", 0.5, 1.0, [0.3, 0.9]),
        recorded_stage("none", "SL", 0.5, None, [0.3, 0.9]),
        recorded_stage("SIG", "SL", 0.5, 1.0),
    ]
    assert [row["target_recall"] for row in with_target_recall(rows)] == [0.3, None, None]
    assert with_target_recall(rows, 1)[0]["target_recall"] == 0.9
    table = record.spread(with_target_recall(rows), ["attack"], ["target_recall"])
    assert table["target_recall"].to_dict() == {"SIG": "30.0", "none": "–"}


def test_architectures_stand_beside_the_paper():
    measured = {
        "VGG16": Metrics(ca=0.5, asr=0.25, ra=0.0, collapsed=False, n_clean=4, n_triggered=4)
    }
    table = architectures_beside_paper(record.read("architectures"), measured)
    assert table.loc["VGG16", "DLP, this run"] == "50.0 / 25.0"
    assert table.loc["ResNet18", "DLP, this run"] == "–"
    ca, asr = record.paper("table 3")["DLP"]["BadNets"]
    assert table.loc["WRN-16-1", "DLP, the paper"] == f"{100 * ca:.1f} / {100 * asr:.1f}"


def test_cases_come_in_the_order_asked_for():
    names = ["SIG, 9 %", "BadNets, 0.5 %", "BadNets, 10 %"]
    table = table_of_cases(*names)
    assert list(table.index) == names
    rows = [row for row in record.read("stages") if row["attack"] == "SIG"]
    ends = [row["asr"] for row in rows if row["stage"] == "ASSFT"]
    mean = f"{100 * sum(ends) / len(ends):.1f}"
    assert table.loc["SIG, 9 %", "ASR"].split(" ")[0] == mean


def test_tables_tell_what_the_ascent_left_and_the_recall_of_the_target(monkeypatch):
    facts = {"seed": 0, "suspected": 1.0, "trusted": 1.0, "ca": 0.9, "ra": 0.5}
    rows = []
    for case in ("BadNets, 50 %", "BadNets, all-to-all", "SIG, 3 %"):
        for stage, asr in (("SL", 1.0), ("AU", 0.75), ("ASSFT", 0.0), ("undefended", 1.0)):
            rows.append({**facts, "case": case, "stage": stage, "asr": asr, "recalls": [0.25, 1.0]})
    for row in rows:
        if row["case"] == "SIG, 3 %":  # recorded before recalls were measured
            del row["recalls"]
    monkeypatch.setattr(recorded_tables, "read", {"limits": rows, "stages": []}.get)
    names = list(dict.fromkeys(row["case"] for row in rows))
    table = table_of_cases(*names)
    assert table["recall of the target"].tolist() == ["25.0", "–", "–"]
    assert table["ASR, AU"].tolist() == ["75.0"] * 3
    assert {row["target_recall"] for row in recorded_cases("BadNets, 50 %")} == {0.25}
    of_models = [{**row, "architecture": "VGG16"} for row in rows[:4]]
    shown = architectures_beside_paper(of_models, {}).loc["VGG16"]
    assert shown["recall of the target, DLP"] == "25.0"
    assert shown["ASR, AU"] == "75.0"


def test_speed_counts_the_images_of_a_batch(monkeypatch):
    ticks = iter([10.0, 12.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    images = torch.zeros(8, 3, 2, 2, dtype=torch.uint8)
    data = Split.from_arrays(images, torch.arange(8) % 2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    assert images_per_second(model, data, batch=4, repeats=5) == 5 * 4 / 2


def test_maps_of_a_sweep_replace_one_another(monkeypatch, capsys):
    shown = []

    def show(figure, alt, number, **options):
        texts = [text.get_text() for text in figure.axes[0].texts]
        shown.append((texts, (alt, number), options))

    monkeypatch.setattr(growing, "show", show)
    parameters = ("gamma", [0.1, 0.2]), ("e1", [4])
    fill = growing.growing_maps({"ca": "CA (%)"}, *parameters, "A map of CA.", 3)
    fill(1, 2, {"gamma": 0.1, "e1": 4, "seed": 0, "ca": 0.5})
    fill(2, 2, {"gamma": 0.2, "e1": 4, "seed": 0, "ca": 0.75})
    (first, words, options), (second, _, more) = shown
    assert [text.split("\n")[0] for text in first if text] == ["50"]
    assert [text.split("\n")[0] for text in second] == ["50", "75"]
    assert words == ("A map of CA.", 3)
    assert options == {"display_id": "gamma e1", "update": False}
    assert more["update"] is True
    assert "trials: 2 of 2" in capsys.readouterr().out
