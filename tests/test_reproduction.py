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
    assert {int(n) for n in re.findall(r"\d", where)} == {1, 2, 3, 4, 5, 6}
    said = ("held", "in part", "did not hold", "not tested", "not recorded")
    assert len(verdicts) >= 15
    assert all(cell.strip().startswith(said) for line in verdicts for cell in line[3:5])


def test_cells_say_mean_and_range_and_what_is_missing():
    assert reproduction.per_cent([0.1, None, 0.3]) == "20.0 (10.0–30.0)"
    assert reproduction.per_cent([0.5]) == "50.0"
    assert reproduction.both([{"ca": 0.5, "asr": None}]) == "50.0 / –"
    assert reproduction.both([]) == "–"
