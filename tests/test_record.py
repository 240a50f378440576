import json
import shutil
from dataclasses import replace

import pytest

from dlp_lib import (
    Context,
    FixMatch,
    Runtime,
    Supervised,
    Unlearn,
    attacks,
    entropy,
    evaluate,
    filters,
    record,
    supervised,
)
from dlp_lib.baselines import FP, Training
from dlp_lib.pipeline import DLP, agreed_e1
from dlp_lib.record import __main__ as command
from dlp_lib.record import cifar10
from dlp_lib.record.bench import Bench

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
    assert record.spread(ROWS[:2], ["attack"], ["ca", "asr"]).loc["B"].tolist() == ["50.0", "100.0"]


def test_the_papers_figures_are_fractions():
    assert record.paper("table 3")["DLP"]["BadNets"] == [0.9308, 0.0024]
    assert set(record.paper("table 6")) == {"VGG16", "ResNet18", "InceptionV3", "MobileNetV2", "DenseNet121"}
    cells = [cell for table in ("table 3", "table 6") for row in record.paper(table).values() for cell in row.values()]
    assert all(0 <= share <= 1 for cell in cells for share in cell if share is not None)


def test_a_report_holds_parameters_place_and_results(tmp_path):
    record.report(tmp_path / "run", {"seed": 3}, Runtime(3), curves=[1, 2])
    report = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert report["parameters"] == {"seed": 3}
    assert report["curves"] == [1, 2]
    told = {"python", "torch", "device", "precision", "compiled", "threads", "commit"}
    assert told == set(report["environment"]) - {"platform"}


@pytest.fixture(scope="module")
def bench(shapes):
    """Everything that the tables do, in seconds."""
    quick = DLP(gamma=0.05, e1=2, e2=3, unlearn=Unlearn(reestimate=100), fixmatch=FixMatch(batch=8, mu=1, steps=3))
    return Bench(*shapes, Context(Runtime(0)), epochs=4, settle=1, dlp=quick)


def shares(rows):
    return [value for row in rows for key, value in row.items() if isinstance(value, float) and key != "seconds"]


@pytest.mark.parametrize("name", command.TABLES)
def test_every_table_can_be_measured(name, bench, monkeypatch):
    monkeypatch.setattr("dlp_lib.record.defended.ARCHITECTURES", ["WRN-16-1", "MobileNetV2"])  # the others take minutes
    monkeypatch.setattr("dlp_lib.record.compare.BASELINES", {"FP": FP(training=Training(epochs=1))})  # likewise
    rows = list(command.TABLES[name](bench))
    assert len(rows) >= 4
    assert all(0 <= share <= 1 for share in shares(rows))


def test_the_stages_are_those_of_the_pipeline(bench):
    """Table 1 tells DLP's own stages, its costs, and an undefended model of as many image passes."""
    rows = [row for row in command.TABLES["stages"](bench) if row["attack"] == "BadNets"]
    assert [row["stage"] for row in rows] == ["SL", "AU", "ASSFT", "undefended"]
    _, tampered, _ = bench.poisoned(attacks.SHAPES10["BadNets"])
    result = replace(bench.dlp, e1=rows[0]["e1"]).run(bench.untrained(), tampered, bench.context)
    attack = attacks.SHAPES10["BadNets"].attack
    assert evaluate(result.model, bench.test, attack).asr == rows[2]["asr"]
    passes = sum(row["images"] for row in rows[:3])
    assert passes <= rows[3]["images"] < passes + 300
    first, *_ = (row for row in command.TABLES["orders"](bench) if row["attack"] == "BadNets")
    assert first["ca"] == rows[0]["ca"]


def test_the_command_keeps_rows_and_where_they_come_from(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(command.TABLES, "rates", lambda bench: [{"ca": 0.5, "n": len(bench.train)}])
    command.main(["rates", "--seeds", "0", "3", "--n-train", "40", "--store", str(tmp_path), "--out", str(tmp_path)])
    assert record.read("rates", tmp_path) == [{"seed": 0, "ca": 0.5, "n": 40}, {"seed": 3, "ca": 0.5, "n": 40}]
    made = json.loads((tmp_path / "rates.json").read_text(encoding="utf-8"))["made"]
    assert {"data", "torch", "commit", "device", "threads", "attacks", "dlp"} <= set(made)
    with pytest.raises(SystemExit):
        command.main(["rate"])
    assert "invalid choice: 'rate'" in capsys.readouterr().err


def test_agreed_e1_is_the_first_epoch_of_lasting_agreement(tampered, context, model):
    stage = supervised(model, tampered[0], 8, Supervised(lr=0.05), context)
    logits = [stage.trail.read(epoch).tensors["logits"] for epoch in range(1, 9)]
    lasting = filters.agreement([-entropy(z) for z in logits], tampered[0], 0.05).tolist()
    for threshold in (0.3, 0.6, max(lasting)):
        first = next(epoch for epoch, share in enumerate(lasting, 1) if share >= threshold)
        assert agreed_e1(stage, tampered[0], 0.05, threshold) == first
    assert agreed_e1(stage, tampered[0], 0.05, 1.01) is None


def test_what_is_committed_is_whole():
    """Three seeds of every table, and every fraction a fraction."""
    tables = {path.stem: record.read(path.stem) for path in record.FOLDER.glob("*.json")}
    for path in record.FOLDER.glob("*.json"):
        made = json.loads(path.read_text(encoding="utf-8"))["made"]
        assert {"what", "epochs", "attacks", "torch", "commit"} <= set(made), path
    assert set(tables) <= set(command.TABLES)
    for name, rows in tables.items():
        by_seed = {seed: [row for row in rows if row["seed"] == seed] for seed in (0, 1, 2)}
        assert sum(map(len, by_seed.values())) == len(rows), name
        assert all(len(part) >= 5 for part in by_seed.values()), name
        assert all(0 <= share <= 1 for share in shares(rows)), name


@pytest.fixture
def small(bench):
    """DLP as the paper has it, but for the size."""
    return replace(bench, dlp=replace(bench.dlp, e1=2, e2=3), epochs=2)


def chosen(*names):
    return [part for part in cifar10.PARTS if part.name in names]


def test_the_papers_experiments_are_parts_with_names_of_their_own():
    names = [part.name for part in cifar10.PARTS]
    assert len(set(names)) == len(names)
    assert all(set(part.tables) <= set(cifar10.TABLES) for part in cifar10.PARTS)
    dlp = chosen("BadNets, all of E2")[0].dlp(DLP())
    assert not dlp.unlearn.stop
    assert replace(dlp, unlearn=Unlearn()) == DLP()


@pytest.mark.parametrize(
    "part", chosen("BadNets, learned and unlearned", "none", "BadNets, undefended", "BadNets, baselines"), ids=str
)
def test_every_kind_of_part_can_be_measured(part, small, monkeypatch):
    monkeypatch.setattr(
        cifar10.baselines, "CIFAR10", {"FP": FP(training=Training(epochs=1))}
    )  # the others take minutes
    monkeypatch.setattr(cifar10, "GAMMAS", (0.05, 0.1))  # of 300 images
    tables = cifar10.measure(small, part)
    if "filters" in tables:  # which tell of the same run as "stages"
        after = {row["stage"]: row for row in tables["stages"]}
        stopped = [row for row in tables["unlearning"] if row["reestimated"] and row["block"] == row["stop"]]
        assert [row["asr"] for row in stopped] == [after["AU"]["asr"]]
        entropies = [row for row in tables["filters"] if (row["filter"], row["gamma"]) == ("entropy", small.dlp.gamma)]
        assert [row["suspected"] for row in entropies] == [after["SL"]["suspected"]]
        assert tables["epochs"][-1]["epoch"] == small.dlp.e1
    assert set(tables) == set(part.tables)
    assert all(rows and {row["part"] for row in rows} == {part.name} for rows in tables.values())
    assert all(0 <= share <= 1 for rows in tables.values() for share in shares(rows))


def test_parts_resume_and_never_mix_settings(shapes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cifar10, "load", lambda *_, **__: shapes)
    monkeypatch.setattr(cifar10, "PARTS", chosen("BadNets", "none"))
    measured = []
    monkeypatch.setattr(
        cifar10, "measure", lambda bench, part: measured.append(part.name) or {"stages": [{"part": part.name}]}
    )
    given = ["cifar10", "--store", str(tmp_path), "--out", str(tmp_path / "out")]
    command.main([*given, "--parts", "none"])
    command.main([*given, "--minutes", "-1"])
    assert measured == ["none"]
    command.main(given)
    command.main(given)
    assert measured == ["none", "BadNets"]
    cifar10.add("stages", record.read("stages", tmp_path / "out")[:1], {"settings": {}}, tmp_path / "out")  # again
    rows = record.read("stages", tmp_path / "out")
    assert rows == [{"seed": 0, "part": "BadNets"}, {"seed": 0, "part": "none"}]  # in the order of their worth
    shutil.rmtree(tmp_path / "out")
    command.main(given)
    made = json.loads((tmp_path / "out" / "stages.json").read_text(encoding="utf-8"))["made"]
    assert made["settings"]["images"] == [300, 200]
    with pytest.raises(ValueError, match=r"was made with .*steps=10000.* now given are .*steps=7"):
        command.main([*given, "--steps", "7", "--seeds", "1"])
    assert len(measured) == 4  # it was refused before any work
    with pytest.raises(SystemExit):
        command.main([*given, "--parts", "BadNet"])
    assert "--parts BadNet: allowed are patterns of BadNets; none" in capsys.readouterr().err


def test_what_is_committed_of_the_paper_is_whole():
    """Every part, of those that there are, in all its tables; one size and one FixMatch for all of them."""
    folder = record.FOLDER / "cifar10"
    made = [json.loads(path.read_text(encoding="utf-8"))["made"] for path in folder.glob("*.json")]
    assert made and all(facts["settings"] == made[0]["settings"] for facts in made)
    tables = {path.stem: record.read(path.stem, folder) for path in folder.glob("*.json")}
    there = {(row["part"], row["seed"]) for rows in tables.values() for row in rows}
    assert {name for name, _ in there} <= {part.name for part in cifar10.PARTS}
    assert not any(cifar10.missing(part, 0, folder) for part in cifar10.PARTS if (part.name, 0) in there)
    assert all(len({json.dumps(row) for row in rows}) == len(rows) for rows in tables.values())
    assert all(0 <= share <= 1 for rows in tables.values() for share in shares(rows))
