"""What notebooks take from the library to show recorded tables, speeds, and a sweep that runs."""

import torch
from torch import nn

from dlp_lib import Metrics, Split
from dlp_lib.experiments import record
from dlp_lib.experiments.recorded_tables import (
    architectures_beside_paper,
    defences_beside_paper,
    table_of_cases,
)
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


def test_speed_counts_the_images_of_a_batch(monkeypatch):
    ticks = iter([10.0, 12.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    images = torch.zeros(8, 3, 2, 2, dtype=torch.uint8)
    data = Split.from_arrays(images, torch.arange(8) % 2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    assert images_per_second(model, data, batch=4, repeats=5) == 5 * 4 / 2


def test_maps_of_a_sweep_replace_one_another(monkeypatch, capsys):
    shown = []

    def show(figure, alt, **options):
        texts = [text.get_text() for text in figure.axes[0].texts]
        shown.append((texts, alt, options))

    monkeypatch.setattr(growing, "show", show)
    fill = growing.growing_maps({"ca": "CA (%)"}, ("gamma", [0.1, 0.2]), ("e1", [4]))
    fill(1, 2, {"gamma": 0.1, "e1": 4, "ca": 0.5})
    fill(2, 2, {"gamma": 0.2, "e1": 4, "ca": 0.75})
    (first, alt, options), (second, _, more) = shown
    assert [text.split("\n")[0] for text in first if text] == ["50"]
    assert [text.split("\n")[0] for text in second] == ["50", "75"]
    assert alt.startswith("CA (%), by gamma and e1")
    assert options == {"display_id": "gamma e1", "update": False}
    assert more["update"] is True
    assert "trials: 2 of 2" in capsys.readouterr().out
