"""The page of claims says what is recorded, and no more."""

import importlib.util
import re

import pytest

from dlp_lib import HOME

specification = importlib.util.spec_from_file_location("reproduction", HOME / "docs" / "reproduction.py")
reproduction = importlib.util.module_from_spec(specification)
specification.loader.exec_module(reproduction)
PAGE = reproduction.PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_records():
    assert reproduction.filled(PAGE) == PAGE
    assert set(re.findall(r"<!-- table: (\w+) -->", PAGE)) == set(reproduction.TABLES)


def test_a_table_that_was_edited_by_hand_is_noticed():
    figure = re.search(r"\| BadNets \| (\d+\.\d)", PAGE)
    edited = PAGE[: figure.start(1)] + "99.9" + PAGE[figure.end(1) :]
    assert reproduction.filled(edited) == PAGE
    with pytest.raises(KeyError, match="figure_9"):
        reproduction.filled(PAGE.replace("table: figure_1 ", "table: figure_9 "))


def test_every_table_and_figure_of_the_paper_has_its_claim():
    claims = [line.split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    verdicts = [line for line in claims if re.search(r"Fig|Table|Method|Conclusion", line[2])]
    where = " ".join(line[2] for line in verdicts)
    assert set(re.findall(r"Fig. (\d)", where)) == {"1", "4", "5"}  # 2 and 3 are drawings
    assert set(re.findall(r"\d", re.sub(r"Fig. \d", "", where))) == set("123456")
    said = ("held", "in part", "did not hold", "not tested")
    assert len(verdicts) >= 15
    assert all(cell.strip().startswith(said) for line in verdicts for cell in line[3:5])


def test_cells_say_mean_and_range_and_what_is_missing():
    assert reproduction.per_cent([0.1, None, 0.3]) == "20.0 (10.0–30.0)"
    assert reproduction.per_cent([0.5]) == "50.0"
    assert reproduction.both([{"ca": 0.5, "asr": None}]) == "50.0 / –"
    assert reproduction.both([]) == "–"


def stage_rows(part, attack, ca, **changed):
    """Of two seeds, after all three stages."""
    said = {"part": part, "attack": attack, "architecture": "WRN-16-1", "order": "SL-AU-ASSFT", "trusted_images": 9}
    said |= {"cut": False, "suspected": 0.5, "trusted": 1.0, "asr": 0.25} | changed
    return [
        {**said, "seed": seed, "stage": stage, "ca": ca + seed / 10} for seed in (0, 1) for stage in reproduction.STAGES
    ]


def test_tables_take_the_runs_that_they_tell_of(monkeypatch):
    rows = stage_rows("BadNets", "BadNets", 0.5) + stage_rows("BadNets, quota in total", "BadNets", 0.1)
    rows += stage_rows("BadNets, learned and unlearned", "BadNets", 0.5, order="SL-AU")[:2]  # the same run, shorter
    rows += stage_rows("BadNets, VGG16", "BadNets", 0.9, architecture="VGG16") + stage_rows("SIG", "SIG", 0.3)
    rows += stage_rows("BadNets, alpha 0.5", "BadNets", 0.2, cut=True, suspected=0.75)
    monkeypatch.setattr(reproduction, "read", lambda name: {"cifar10/stages": rows}[name])
    asr = "25.0 (25.0–25.0)"
    assert reproduction.table_1().splitlines()[2:] == [
        "| BadNets | " + " | ".join([f"55.0 (50.0–60.0) / {asr}"] * 3) + " |",
        "| SIG | " + " | ".join([f"35.0 (30.0–40.0) / {asr}"] * 3) + " |",
    ]
    assert reproduction.table_1_total().splitlines()[2].startswith("| BadNets | 15.0 (10.0–20.0)")
    names = [line.split("|")[1:4] for line in reproduction.table_5().splitlines()[2:]]
    assert [[cell.strip() for cell in line] for line in names] == [
        ["gamma 1 %, alpha 10 %", "9", "50.0 (50.0–50.0)"],
        ["alpha 50 %", "9 (half of every class)", "75.0 (75.0–75.0)"],
    ]
