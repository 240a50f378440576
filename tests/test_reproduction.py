"""The page of claims says what is recorded, and no more."""

import json
import re

import pytest

from dlp_lib.experiments import record
from dlp_lib.experiments.record import cifar10
from dlp_lib.recipes import CIFAR10
from tools import (
    markdown_tables,
    paper_figures,
    paper_scale,
    paper_tables,
    paper_verdicts,
    reproduction,
)
from tools.paper_verdicts import Aspect, verdict

PAGE = reproduction.PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_records():
    assert reproduction.filled(PAGE) == PAGE
    assert set(re.findall(r"<!-- table: (\w+) -->", PAGE)) == set(reproduction.TABLES)
    assert set(re.findall(r"<!-- cell: (\w+) -->", PAGE)) == set(reproduction.CELLS)


def test_a_table_that_was_edited_by_hand_is_noticed():
    figure = re.search(r"\| BadNets \| (\d+\.\d)", PAGE)
    edited = PAGE[: figure.start(1)] + "99.9" + PAGE[figure.end(1) :]
    assert reproduction.filled(edited) == PAGE
    edited = PAGE.replace("<!-- cell: sig_ra -->12.1", "<!-- cell: sig_ra -->99.9")
    assert edited != PAGE
    assert reproduction.filled(edited) == PAGE
    with pytest.raises(KeyError, match="sig_9"):
        reproduction.filled(PAGE.replace("cell: sig_ra ", "cell: sig_9 "))
    with pytest.raises(KeyError, match="figure_9"):
        reproduction.filled(PAGE.replace("table: figure_1 ", "table: figure_9 "))


def test_every_table_and_figure_of_the_paper_has_its_claim():
    lines = [line.split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    claims = [line for line in lines if re.search(r"Fig|Table|Method|Conclusion", line[2])]
    places = " ".join(line[2] for line in claims)
    assert set(re.findall(r"Fig. (\d)", places)) == {"1", "4", "5"}  # 2 and 3 are drawings
    assert set(re.findall(r"\d", re.sub(r"Fig. \d", "", places))) == set("123456")
    verdicts = ("held", "in part", "did not hold", "not tested")
    assert len(claims) >= 15
    for line in claims:
        told = [re.sub(r"<!-- cell: \w+ -->", "", cell).strip() for cell in line[3:6]]
        assert all(cell.startswith(verdicts) for cell in told)
        assert "<!-- cell: " in line[5]  # at the paper's scale, nothing is typed


SHARES = {"BadNets": 0.9, "SIG": 0.2, "LCA": 0.25}


def over(limit):
    return lambda _, share: share > limit


@pytest.mark.parametrize(
    ("aspects", "expected"),
    [
        ([Aspect("CA", SHARES, over(0.1))], "held: CA 20.0 to 90.0"),
        ([Aspect("CA", {"SIG": 0.2}, over(0.5))], "did not hold: CA 20.0"),
        (
            [Aspect("CA", SHARES, over(0.5)), Aspect("ASR", SHARES, over(0.95))],
            "in part: CA held (90.0), but not for SIG (20.0), LCA (25.0); "
            "ASR did not (20.0 to 90.0)",
        ),
    ],
)
def test_a_verdict_says_for_what_a_claim_held(aspects, expected):
    assert verdict(*aspects) == expected


def test_verdicts_are_made_from_the_record(monkeypatch):
    """Other rows give other verdicts."""
    assert paper_verdicts.after_assft().startswith("in part: ASR held")
    rows = [row | {"ca": 0.93} for row in record.read("cifar10-h100/stages")]
    monkeypatch.setattr(paper_scale, "read", lambda name: rows)
    assert paper_verdicts.after_assft() == "held: ASR 0.0 to 2.2, CA 93.0"
    assert paper_verdicts.without_assft() == "did not hold: CA 93.0"


def test_the_record_at_the_papers_scale_has_the_form_of_the_others():
    """The same columns; what was not saved is null; it says where it comes from."""
    for name in ("stages", "unlearning"):
        rows = record.read(f"cifar10-h100/{name}")
        columns = record.read(f"cifar10/{name}")[0].keys()
        assert all(row.keys() == columns for row in rows)
    order = {part.name: part for part in cifar10.PARTS}
    for path in (record.FOLDER / "cifar10-h100").glob("*.json"):
        made = json.loads(path.read_text(encoding="utf-8"))["made"]
        assert {"what", "source", "settings", "torch", "device", "commit"} <= set(made)
        assert made["settings"]["images"] == [50_000, 10_000]
        rows = record.read(path.stem, path.parent)
        assert len({json.dumps(row) for row in rows}) == len(rows)
        for row in rows:
            assert order[row["part"]].attack == row["attack"]
            shares = [row.get(name) for name in ("ca", "asr", "ra", "accuracy", "confident")]
            assert all(0 <= share <= 1 for share in shares if share is not None)
    for row in record.read("cifar10-h100/stages"):
        dlp = order[row["part"]].dlp(CIFAR10.dlp)
        assert (row["gamma"], row["quota"], row["stop"]) == (0.01, dlp.quota, dlp.unlearn.stop)
        assert row["order"] == "-".join(dlp.order)
        assert row["seconds"] is None


def test_cells_say_mean_and_range_and_what_is_missing():
    rows = [{"ca": 0.1, "asr": None}, {"ca": 0.3, "asr": None}]
    assert markdown_tables.cell(rows, "ca") == "20.0 (10.0–30.0)"
    assert markdown_tables.ca_and_asr(rows[:1]) == "10.0 / –"
    assert markdown_tables.ca_and_asr([]) == "–"


USUAL = {
    "attack": "BadNets",
    "architecture": "WRN-16-1",
    "alpha": 0.1,
    "gamma": 0.01,
    "quota": "per class",
    "order": "SL-AU-ASSFT",
    "stop": True,
    "trusted_images": 9,
    "shortfall": False,
    "suspected": 0.5,
    "trusted": 1.0,
    "asr": 0.25,
}


def stage_rows(ca, **changes):
    """Rows of two seeds, after all three stages."""
    rows = []
    for seed in (0, 1):
        for stage in paper_tables.STAGES:
            rows.append({**USUAL, "seed": seed, "stage": stage, "ca": ca + seed / 10, **changes})
    return rows


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_tables_take_the_runs_that_they_tell_of(monkeypatch):
    shorter = [row for row in stage_rows(0.5, order="SL-AU") if row["stage"] != "ASSFT"]
    rows = [
        *stage_rows(0.5),
        *stage_rows(0.1, quota="total"),
        *stage_rows(0.9, stop=False),
        *stage_rows(0.8, gamma=0.1),
        *shorter,  # the same run as the first, which the tables count once
        *stage_rows(0.9, architecture="VGG16"),
        *stage_rows(0.3, attack="SIG", alpha=0.08),
        *stage_rows(0.4, attack="none", alpha=None),
        *stage_rows(0.2, alpha=0.5, shortfall=True, suspected=0.75),
    ]
    monkeypatch.setattr(paper_tables, "read", lambda name: {"cifar10/stages": rows}[name])
    asr = "25.0 (25.0–25.0)"
    assert [cells(line) for line in paper_tables.table_1().splitlines()[2:]] == [
        ["BadNets", *[f"55.0 (50.0–60.0) / {asr}"] * 3],
        ["SIG", *[f"35.0 (30.0–40.0) / {asr}"] * 3],
        ["none", *[f"45.0 (40.0–50.0) / {asr}"] * 3],
    ]
    total = paper_tables.table_1_total().splitlines()[2]
    assert cells(total)[:2] == ["BadNets", f"15.0 (10.0–20.0) / {asr}"]
    assert [cells(line)[:3] for line in paper_tables.table_5().splitlines()[2:]] == [
        ["gamma 1 %, alpha 10 %", "9", "50.0 (50.0–50.0)"],
        ["gamma 10 %", "9", "50.0 (50.0–50.0)"],
        ["alpha 50 %", "9 (half of every class)", "75.0 (75.0–75.0)"],
    ]
    orders = [cells(line) for line in paper_figures.figure_4().splitlines()[2:]]
    assert orders[0] == ["SL", f"55.0 (50.0–60.0) / {asr}"]
    assert orders[3] == ["SL-ASSFT-AU", "–"]
