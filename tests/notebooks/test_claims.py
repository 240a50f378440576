"""What the notebooks say of their figures is what the committed runs and records hold."""

import json

import nbformat
import pytest
import yaml
from helpers import NOTEBOOKS

from tools.claims import FOLDER, ClaimError, Sources, read_claims, unclaimed
from tools.claims.claim import FILE
from tools.claims.prose import claims_named

CLAIMS = read_claims()


def prose(path):
    cells = nbformat.read(path, 4).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_holds(claim):
    assert claim.fault(Sources(claim.notebook)) is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_prose_and_claims_name_each_other(path):
    named = [name for source in prose(path) for name in claims_named(source)]
    claims = [claim.id for claim in CLAIMS if claim.notebook == path.stem]
    assert set(named) == set(claims)
    assert len(claims) == len(set(claims))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_figures_in_the_prose_have_claims(path):
    blocks = [block for source in prose(path) for block in unclaimed(source)]
    assert blocks == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_line_begins_with_a_comment(path):
    """In Markdown it would end the paragraph, and what follows it would be shown as it is."""
    lines = [line for source in prose(path) for line in source.splitlines()]
    assert [line for line in lines if line.lstrip().startswith("<!--")] == []


def test_claims_are_sorted_by_notebook():
    notebooks = [claim.notebook for claim in CLAIMS]
    assert notebooks == sorted(notebooks)


RUN = {
    "stages": [{"stage": "SL", "asr": 0.97}, {"stage": "AU", "asr": 0.5}],
    "purity": {"BadNets": [0.2, 1.0], "Blended": [0.0, 0.0]},
    "precision": {"entropy": 0.9, "loss": 0.7, "spectral": 0.2},
}


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "toy.json").write_text(json.dumps(RUN), encoding="utf-8")
    return Sources("toy", tmp_path)


def fault(sources, of, said, tmp_path):
    """What is wrong with a claim that was written to a file and read again."""
    file = tmp_path / "claims.yaml"
    entry = {"id": "one", "notebook": "toy", "of": of, "is": said, "why": "a test"}
    file.write_text(yaml.safe_dump([entry]), encoding="utf-8")
    (claim,) = read_claims(file)
    return claim.fault(sources)


SL, AU = {"run": ["stages", 0, "asr"]}, {"run": ["stages", 1, "asr"]}
PURITY = {"run": ["purity", "BadNets"]}
PRECISION = {"run": ["precision"]}
LAST = {"run": ["purity", ["BadNets", "Blended"], 1]}
BOTH = {"run": ["purity", ["BadNets", "Blended"], "0:2"]}


@pytest.mark.parametrize(
    ("of", "said", "wrong"),
    [
        (SL, {"at least": 0.97}, {"at least": 0.98}),
        (SL, {"at most": 0.97}, {"at most": 0.96}),
        (AU, {"equal to": 0.5}, {"equal to": 0.51}),
        (SL, {"printed as": "97 %"}, {"printed as": "98 %"}),
        (SL, {"printed as": "0.97"}, {"printed as": "0.970 %"}),
        (PURITY, {"at least": 0.2}, {"at least": 0.3}),  # all of a list
        (PURITY | {"take": "mean"}, {"printed as": "0.6"}, {"printed as": "0.5"}),
        (PURITY | {"take": "last"}, {"equal to": 1}, {"equal to": 0.2}),
        ({"difference": [SL, AU]}, {"printed as": "47 points"}, {"at least": 0.5}),
        ({"ratio": [SL, AU]}, {"printed as": "1.94"}, {"at least": 2}),
        (SL, {"above": AU, "by": 0.4}, {"above": AU, "by": 0.5}),
        (AU, {"below": SL}, {"below": AU}),
        (PRECISION, {"largest at": "entropy"}, {"largest at": "loss"}),
        (PRECISION, {"smallest at": "spectral"}, {"smallest at": "loss"}),
        (
            PRECISION,
            {"falling along": ["entropy", "loss", "spectral"]},
            {"falling along": ["loss", "entropy"]},
        ),
        (LAST | {"take": "mean"}, {"equal to": 0.5}, {"equal to": 1}),
        ({"run": ["stages", "0:2", "asr"], "take": "least"}, {"equal to": 0.5}, {"equal to": 1}),
        (BOTH | {"take": "count"}, {"equal to": 4}, {"equal to": 2}),
        (PRECISION, {"at least": 0.2, "at most": 0.9}, {"at least": 0.2, "at most": 0.8}),
    ],
)
def test_a_claim_is_compared(sources, of, said, wrong, tmp_path):
    assert fault(sources, of, said, tmp_path) is None
    assert fault(sources, of, wrong, tmp_path).startswith("one: ")


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ({"run": ["stages", 5, "asr"]}, r"the run has no \['stages', 5\]"),
        ({"run": ["steps"]}, r"the run has no \['steps'\]"),
        ({"record": "nothing", "column": "ca"}, "there is no record: nothing"),
        ({"record": "filters", "where": {"attack": "no"}, "column": "ca"}, "has no row with"),
        ({"record": "filters", "column": "no"}, "has no column no"),
        ({"run": ["purity", "BadNets", "2:4"]}, "there is no value"),
    ],
)
def test_what_is_not_there_is_a_fault(sources, of, message, tmp_path):
    with pytest.raises(AssertionError, match=message):
        assert fault(sources, of, {"at least": 0}, tmp_path) is None


def test_a_claim_may_name_a_place_in_a_column_of_lists(sources, tmp_path, monkeypatch):
    rows = [{"seed": 0, "recalls": [0.1, 1.0]}, {"seed": 1, "recalls": [0.3, 0.9]}]
    monkeypatch.setattr("tools.claims.sources._rows", lambda name: rows)
    of = {"record": "limits", "column": ["recalls", 0], "take": "most"}
    assert fault(sources, of, {"equal to": 0.3}, tmp_path) is None
    assert fault(sources, of, {"at most": 0.2}, tmp_path).startswith("one: ")


def test_a_run_that_was_not_kept_is_a_fault(tmp_path):
    assert "there is no run: other.json" in fault(
        Sources("other", tmp_path), SL, {"at least": 0}, tmp_path
    )


@pytest.mark.parametrize(
    "change", [{"why": None}, {"is": {}}, {"is": {"about": 3}}, {"figure": 1}], ids=str
)
def test_what_is_not_a_claim_is_refused(change, tmp_path):
    entry = {"id": "one", "notebook": "toy", "of": SL, "is": {"at least": 0}, "why": "a test"}
    entry |= change
    if change == {"why": None}:
        del entry["why"]
    file = tmp_path / "claims.yaml"
    file.write_text(yaml.safe_dump([entry]), encoding="utf-8")
    with pytest.raises(ClaimError):
        read_claims(file)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("**What you should see.** CA is 97 %.", 1),
        ("**What you should see.** CA is 97 %. <!-- claim: one -->", 0),
        ("**What you should see.** CA is 97 %. <!-- no claim: a setting -->", 0),
        ("**What you should see.** CA is 97 %. <!-- no claim: -->", 1),
        ("**What you should see.** CA rises.\n\nIt ends at 97.4.", 1),
        ("**What you should see.** CA rises.\n\n**Why.** Half of 10 % is 5 %.", 0),
        ("**What you should see.** section 4.1 and [98 %](a.md) and $0.5$ are names.", 0),
        ("## Recap\n\n- It is 1.90 times.\n- It is fast. <!-- claim: two -->", 1),
        ("## Recap\n\n- It rises, and it\n  is 1.90.\n  <!-- claim: one -->", 0),
        ("## Quiz\n\n<details><summary>Why?</summary>\n\nIt is 12 per cent.\n</details>", 1),
        ("**What you should see.** CA is 97 %. <!-- claim: one --> ASR is 2 %. It ends.", 1),
        ("## Recap\n\n- Nine points.\n- It rises in two of three runs, at twice the rate.", 2),
        ("A setting of 10 %.", 0),
    ],
)
def test_figures_without_claims_are_found(source, count):
    assert len(unclaimed(source)) == count


def test_the_file_of_claims_says_how_to_write_one():
    assert FILE.read_text(encoding="utf-8").startswith("# ")


def test_the_command_tells_what_a_new_run_contradicts(monkeypatch, tmp_path, capsys):
    from tools.claims import __main__ as command

    monkeypatch.setattr(command, "HOME", tmp_path)  # where no notebook has run
    monkeypatch.setattr(command, "FOLDER", tmp_path / "runs")
    assert command.main(["--new"]) == 0
    assert "03-blended-14: there is no run: 03_entropy_filtering.json" in capsys.readouterr().out
    notebooks = sorted({claim.notebook for claim in CLAIMS})
    for name in notebooks:
        notebook = nbformat.read(command.NOTEBOOKS / f"{name}.ipynb", 4)
        folder = tmp_path / command.current_stamp(notebook)["parameters"]["out"]
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_bytes((FOLDER / f"{name}.json").read_bytes())
    assert command.main(["--new", "--keep"]) == 0
    assert "all claims hold" in capsys.readouterr().out
    kept = sorted(path.stem for path in (tmp_path / "runs").iterdir())
    assert kept == notebooks
