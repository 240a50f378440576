import json

import pytest

from dlp_lib import Runtime, record

ROWS = [
    {"seed": 0, "attack": "A", "ca": 0.9, "asr": None},
    {"seed": 0, "attack": "B", "ca": 0.5, "asr": 1.0},
    {"seed": 1, "attack": "A", "ca": 0.8, "asr": None},
    {"seed": 1, "attack": "B", "ca": 0.7, "asr": 0.98},
]


def test_rows_come_back_and_stand_a_line_each(tmp_path):
    record.write("some", ROWS, {"epochs": 3}, tmp_path / "recorded")
    assert record.read("some", tmp_path / "recorded") == ROWS
    text = (tmp_path / "recorded" / "some.json").read_text(encoding="utf-8")
    assert json.loads(text)["made"] == {"epochs": 3}
    assert sum('"seed"' in line for line in text.splitlines()) == 4


def test_a_table_that_was_not_recorded(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"):
        record.read("other", tmp_path)


def test_runs_go_seed_by_seed():
    assert record.runs(ROWS, "ca") == [[0.9, 0.5], [0.8, 0.7]]


def test_spread_is_mean_least_and_most_in_per_cent():
    table = record.spread(ROWS, ["attack"], ["ca", "asr"])
    assert table.loc["A"].tolist() == ["85.0 (80.0 to 90.0)", "–"]
    assert table.loc["B"].tolist() == ["60.0 (50.0 to 70.0)", "99.0 (98.0 to 100.0)"]


def test_a_report_holds_parameters_place_and_results(tmp_path):
    record.report(tmp_path / "run", {"seed": 3}, Runtime(3), curves=[1, 2])
    report = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert report["parameters"] == {"seed": 3}
    assert report["curves"] == [1, 2]
    assert {"python", "torch", "device", "threads", "commit"} == set(report["environment"]) - {"platform"}


def test_what_is_committed_is_whole():
    """Three seeds of every table, and every fraction a fraction."""
    tables = {path.stem: record.read(path.stem) for path in record.FOLDER.glob("*.json")}
    for path in record.FOLDER.glob("*.json"):
        made = json.loads(path.read_text(encoding="utf-8"))["made"]
        assert {"what", "epochs", "attacks", "torch", "commit"} <= set(made), path
    assert set(tables) == {"attacks", "epochs", "filters", "rates", "speed"}
    for name, rows in tables.items():
        by_seed = {seed: [row for row in rows if row["seed"] == seed] for seed in (0, 1, 2)}
        assert sum(map(len, by_seed.values())) == len(rows), name
        assert all(len(part) >= 5 for part in by_seed.values()), name
        shares = [value for row in rows for value in row.values() if isinstance(value, float)]
        assert all(0 <= share <= 1 for share in shares), name
