import importlib
import json
import re
import shutil
from dataclasses import replace

import pytest
import torch

from dlp_lib import (
    Context,
    FixMatch,
    Runtime,
    Split,
    Supervised,
    Truth,
    Unlearn,
    entropy,
    evaluate,
    supervised,
)
from dlp_lib.attacks import AttackSetting
from dlp_lib.data import shapes10
from dlp_lib.defences import DLP, FP, Training, agreed_e1, agreement
from dlp_lib.experiments import NO_ATTACK, Scenario, record, recorded_tables, report
from dlp_lib.experiments.record import beyond, cifar10, command, sweeps
from dlp_lib.experiments.record.cifar10 import collect, sitting
from dlp_lib.experiments.record.cifar10 import command as cifar10_command
from dlp_lib.experiments.record.limits import CASES
from dlp_lib.experiments.record.settings import ATTACKS
from dlp_lib.experiments.record.tables import TABLES
from dlp_lib.recipes import CIFAR10, PAPER_ATTACKS, SHAPES10

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


def test_a_cell_is_mean_and_range_in_per_cent():
    assert record.per_cent([0.1, None, 0.3]) == "20.0 (10.0–30.0)"
    assert record.per_cent([0.5]) == "50.0"
    assert record.per_cent([None]) == "–"
    table = record.spread(ROWS, ["attack"], ["ca", "asr"])
    assert table.loc["A"].tolist() == ["85.0 (80.0–90.0)", "–"]
    assert table.loc["B"].tolist() == ["60.0 (50.0–70.0)", "99.0 (98.0–100.0)"]
    assert record.spread(ROWS[:2], ["attack"], ["ca", "asr"]).loc["B"].tolist() == ["50.0", "100.0"]


def test_the_papers_figures_are_fractions():
    assert record.paper("table 3")["DLP"]["BadNets"] == [0.9308, 0.0024]
    architectures = {"VGG16", "ResNet18", "InceptionV3", "MobileNetV2", "DenseNet121"}
    assert set(record.paper("table 6")) == architectures
    for table in ("table 3", "table 6"):
        for row in record.paper(table).values():
            for cell in row.values():
                assert all(0 <= share <= 1 for share in cell if share is not None)


def test_a_report_holds_place_and_results(tmp_path):
    report(tmp_path / "run", Runtime(3), curves=[1, 2])
    content = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert content["parameters"] == {}  # this is no notebook
    assert content["curves"] == [1, 2]
    facts = {"python", "torch", "device", "precision", "compiled", "captured", "threads", "commit"}
    assert facts == set(content["environment"]) - {"platform"}


def quick_attacks():
    """The recipe's attacks, fitted to their surrogate in three steps."""
    attacks = dict(SHAPES10.attacks)
    for name in ("TrojanNN", "LCA"):
        attack, rate = attacks[name]
        attacks[name] = AttackSetting(replace(attack, steps=3), rate)
    return attacks


@pytest.fixture(scope="module")
def base():
    """A scenario without attack, on which everything that the tables do takes seconds."""
    parts = []
    for part, n in enumerate((300, 200)):
        images, labels = shapes10.draw(n, 10, 0, part)  # LCA's patches have no room on smaller ones
        parts.append(Split.from_arrays(images, labels, shapes10.CLASSES))
    train, test = parts
    dlp = DLP(
        gamma=0.05,
        e1=2,
        e2=3,
        unlearn=Unlearn(reestimate=100),
        fixmatch=FixMatch(batch=8, mu=1, steps=3),
    )
    defences = {"FP": FP(training=Training(epochs=1))}  # the others take minutes
    recipe = replace(SHAPES10, attacks=quick_attacks(), dlp=dlp, defences=defences)
    recipe = replace(recipe, epochs=2, cooldown_epochs=1)
    nothing = Truth(torch.zeros(len(train), dtype=torch.bool), train.labels, 0)
    return Scenario(Context(Runtime(0)), recipe, train, test, None, train, nothing, "WRN-16-1")


def shares(rows):
    """All fractions of a table."""
    found = []
    for row in rows:
        found += [value for key, value in row.items() if type(value) is float and key != "seconds"]
    return found


@pytest.fixture
def quick_tables(base, monkeypatch):
    """Fewer architectures and epochs, and attacks that are fitted in three steps."""
    few = ["WRN-16-1", "MobileNetV2"]  # the others take minutes
    monkeypatch.setattr("dlp_lib.experiments.record.stages.ARCHITECTURES", few)
    monkeypatch.setattr("dlp_lib.experiments.record.undefended.FIXED_E1", (1, 2))
    monkeypatch.setattr("dlp_lib.experiments.record.undefended.SPEED_EPOCHS", 2)
    for attack in ("TrojanNN", "LCA"):
        monkeypatch.setitem(ATTACKS, attack, base.recipe.attacks[attack])
    monkeypatch.setattr("dlp_lib.attacks.surrogate.EPOCHS", 2)
    for name, values in {"ALPHAS": (0.1, 0.5), "GAMMAS": (0.05, 0.1), "E1S": (1, 2)}.items():
        monkeypatch.setattr(sweeps, name, values)
    monkeypatch.setattr(sweeps, "E2S", (0, 2))
    monkeypatch.setattr(beyond, "HARDEST_FIRST", ("SIG", NO_ATTACK))
    few_evasions = {name: beyond.EVASIONS[name] for name in ("all-to-all", "random phase")}
    monkeypatch.setattr(beyond, "EVASIONS", few_evasions)


ONE_TARGET = set(PAPER_ATTACKS) | {"random phase"}  # it is class 0
OF_A_SWEEP = {"ca", "asr", "ra", "target_recall", "suspected", "trusted", "AU_ca", "AU_asr"}
COLUMNS = {  # that notebooks show
    "baselines": {"ca", "asr", "ra", "target_recall", "images"},
    "alpha_gamma": {"poisoning_rate", "gamma"} | OF_A_SWEEP,
    "lengths": {"e1", "e2"} | OF_A_SWEEP,
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_measured(name, base, shapes, quick_tables):
    if name == "architectures":  # MobileNetV2 takes no smaller images than these
        train, test = shapes
        base = replace(base, clean=train, tampered=train, test=test)
    rows = list(TABLES[name](base))
    assert len(rows) >= 4
    assert all(0 <= share <= 1 for share in shares(rows))
    assert all(COLUMNS.get(name, set()) <= set(row) for row in rows)
    for row in rows:
        if {"target_recall", "recalls"} <= set(row):
            wanted = row["recalls"][0] if row["attack"] in ONE_TARGET else None
            assert row["target_recall"] == wanted


def test_the_tables_have_the_papers_attacks_and_no_others(base, quick_tables):
    """A sixth attack of a recipe makes no table longer."""
    assert set(ATTACKS) == {*PAPER_ATTACKS, "all-to-all"}
    assert {part.attack for part in cifar10.PARTS} == {*PAPER_ATTACKS, NO_ATTACK}
    sixth = {**base.recipe.attacks, "sixth": SHAPES10.attacks["BadNets"]}
    larger = replace(base, recipe=replace(base.recipe, attacks=sixth))
    names = {row["attack"] for row in TABLES["epochs"](larger)}
    assert names == {*PAPER_ATTACKS, NO_ATTACK}


def test_the_stages_are_those_of_the_pipeline(base, quick_tables):
    """Table 1 tells DLP's own stages, its costs, and an undefended model of as many images."""
    rows = [row for row in TABLES["stages"](base) if row["attack"] == "BadNets"]
    assert [row["stage"] for row in rows] == ["SL", "AU", "ASSFT", "undefended"]
    scene = base.attacked_by("BadNets")
    dlp = replace(base.recipe.dlp, e1=rows[0]["e1"])
    result = dlp.run(scene.untrained(), scene.tampered, scene.context)
    assert evaluate(result.model, scene.test, scene.attack).asr == rows[2]["asr"]
    images = sum(row["images"] for row in rows[:3])
    assert images <= rows[3]["images"] < images + 300
    first, *_ = (row for row in TABLES["orders"](base) if row["attack"] == "BadNets")
    assert first["ca"] == rows[0]["ca"]


def test_what_there_is_none_of_is_named():
    rows = [{"attack": "none", "defence": "none"}, {"attack": "SIG", "defence": "FP"}]
    named = recorded_tables.with_plain_names(rows)
    assert named == [{"attack": "no attack", "defence": "no defence"}, rows[1]]


def test_a_case_is_a_scenario(base):
    covered = CASES["BadNets, half covered"].scenario(base)
    assert int(covered.truth.poisoned.sum()) == 15  # of 30
    rare = CASES["BadNets, rare target"].scenario(base)
    counts = rare.clean.labels.bincount()
    assert counts[0] * 10 <= counts[-1]
    assert len(rare.tampered) == len(rare.clean) < len(base.clean)


def test_the_command_keeps_rows_and_where_they_come_from(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TABLES, "rates", lambda base: [{"ca": 0.5, "n": len(base.clean)}])
    folders = ["--store", str(tmp_path), "--out", str(tmp_path)]
    command.main(["rates", "--seeds", "0", "3", "--n-train", "40", *folders])
    assert record.read("rates", tmp_path) == [
        {"seed": 0, "ca": 0.5, "n": 40},
        {"seed": 3, "ca": 0.5, "n": 40},
    ]
    made = json.loads((tmp_path / "rates.json").read_text(encoding="utf-8"))["made"]
    assert {"data", "torch", "commit", "device", "threads", "attacks", "dlp"} <= set(made)
    with pytest.raises(SystemExit):
        command.main(["rate"])
    assert "invalid choice: 'rate'" in capsys.readouterr().err


def test_a_seed_with_other_images_is_added_to_a_table(tmp_path, monkeypatch):
    rows = lambda base: [{"pixel": int(base.clean.images[0, 0, 0, 0])}]  # noqa: E731
    monkeypatch.setitem(TABLES, "rates", rows)
    folders = ["--store", str(tmp_path), "--out", str(tmp_path), "--n-train", "20"]
    command.main(["rates", "--seeds", "1", "2", *folders])
    command.main(["rates", "--seeds", "2", "--data-seed", "5", "--add", *folders])
    command.main(["rates", "--seeds", "0", "--add", *folders])
    zero, one, two = record.read("rates", tmp_path)
    assert [row["seed"] for row in (zero, one, two)] == [0, 1, 2]
    assert [row.get("data_seed") for row in (zero, one, two)] == [None, None, 5]
    assert zero["pixel"] == one["pixel"] != two["pixel"]
    command.main(["rates", "--seeds", "0", *folders])
    assert len(record.read("rates", tmp_path)) == 1


@pytest.mark.parametrize(
    ("rows", "data", "kept"),
    [
        ([{"seed": 1}, {"seed": 2, "data_seed": 5}], {"0": "a", "5": "b"}, {"0": "a", "5": "b"}),
        ([{"seed": 1}, {"seed": 3, "data_seed": 5}], {"0": "a", "5": "b"}, {"0": "a"}),
        ([{"seed": 1}, {"seed": 2}], "a", {"0": "a"}),  # as older tables have it
        ([{"seed": 1}, {"seed": 2, "data_seed": 5}], "b", {"0": None, "5": None}),
    ],
)
def test_a_table_names_the_data_of_all_its_rows(rows, data, kept, tmp_path, monkeypatch):
    record.write("rates", rows, {"data": data}, tmp_path)
    monkeypatch.setitem(TABLES, "rates", lambda base: [{"digest": base.clean.digest}])
    folders = ["--store", str(tmp_path), "--out", str(tmp_path), "--n-train", "20"]
    command.main(["rates", "--seeds", "3", "--data-seed", "7", "--add", *folders])
    last = record.read("rates", tmp_path)[-1]
    assert record.read_made("rates", tmp_path)["data"] == kept | {"7": last["digest"]}


def test_the_table_beyond_the_paper_tells_recalls_and_image_passes(monkeypatch):
    facts = {"attack": "none", "method": "DLP", "asr": None, "ra": None, "target_recall": None}
    rows = [
        {**facts, "seed": seed, "ca": ca, "least_recall": 0.5, "images": 1000 + seed}
        for seed, ca in enumerate((0.9, 0.7, 0.2))
    ]
    recorded = {"beyond": rows, "beyond_others": [], "evasions": []}
    monkeypatch.setattr(recorded_tables, "read", recorded.__getitem__)
    table = recorded_tables.table_beyond((0, 1))
    row = table.loc["none", "DLP"]
    assert row[["CA", "ASR", "least recall of a class"]].tolist() == [
        "80.0 (70.0–90.0)", "–", "50.0 (50.0–50.0)"
    ]  # fmt: skip
    assert row["images"] == "1,000"
    recorded["beyond_others"] = [{**rows[0], "method": "ABL"}]
    recorded["beyond"] = [{**rows[0], "attack": "SIG"}, *rows]
    pairs = list(recorded_tables.table_beyond((0,)).index)
    assert pairs == [("none", "DLP"), ("none", "ABL"), ("SIG", "DLP")]
    assert len(recorded_tables.table_beyond((0,), "evasions")) == 0


def test_agreed_e1_is_the_first_epoch_of_lasting_agreement(tampered, context, model):
    stage = supervised(model, tampered[0], 8, Supervised(lr=0.05), context)
    suspicions = [-entropy(logits) for logits in stage.logits_by_block()]
    lasting = agreement(suspicions, tampered[0], 0.05).tolist()
    assert len(lasting) == 8
    for threshold in (0.3, 0.6, max(lasting)):
        first = next(epoch for epoch, share in enumerate(lasting, 1) if share >= threshold)
        assert agreed_e1(stage, tampered[0], 0.05, threshold) == first
    assert max(lasting[:4]) < 1
    start = replace(stage, history=stage.history[:4])
    assert agreed_e1(start, tampered[0], 0.05, 1) is None


SEEDS = {"beyond": (0, 1, 2, 5, 6), "evasions": (0,)}  # of other tables: three


def test_what_is_committed_is_complete():
    """All seeds of every table, and every fraction a fraction."""
    paths = list(record.FOLDER.glob("*.json"))
    assert {path.stem for path in paths} <= set(TABLES)
    for path in paths:
        made = json.loads(path.read_text(encoding="utf-8"))["made"]
        assert {"what", "epochs", "cooldown_epochs", "attacks", "torch", "commit"} <= set(made)
        rows = record.read(path.stem)
        seeds = SEEDS.get(path.stem, (0, 1, 2))
        assert {row["seed"] for row in rows} == set(seeds)
        for seed in seeds:
            assert sum(row["seed"] == seed for row in rows) >= 5
        assert all(0 <= share <= 1 for share in shares(rows))
    assert {row["case"] for row in record.read("limits")} == set(CASES)


def parts_named(*names):
    return [part for part in cifar10.PARTS if part.name in names]


def test_the_papers_experiments_are_parts_with_names_of_their_own():
    names = [part.name for part in cifar10.PARTS]
    assert len(set(names)) == len(names)
    for part in cifar10.PARTS:
        assert set(part.tables) <= set(cifar10.TABLES)
    (part,) = parts_named("BadNets, all of E2")
    dlp = part.dlp(DLP())
    assert not dlp.unlearn.stop
    assert replace(dlp, unlearn=Unlearn()) == DLP()


KINDS = ("BadNets, learned and unlearned", "none", "BadNets, undefended", "BadNets, defence FP")


@pytest.mark.parametrize("part", parts_named(*KINDS), ids=lambda part: part.name)
def test_every_kind_of_part_can_be_measured(part, base, monkeypatch):
    # On so few images, the smaller gammas ask for none.
    monkeypatch.setattr("dlp_lib.experiments.record.cifar10.tables.GAMMAS", (0.05, 0.1))
    dlp = replace(base.recipe.dlp, e1=2, e2=3)
    small = replace(base, recipe=replace(base.recipe, dlp=dlp, epochs=2))
    tables = cifar10.measure(small, part)
    assert set(tables) == set(part.tables)
    for rows in tables.values():
        assert {row["part"] for row in rows} == {part.name}
        assert {row["alpha"] for row in rows} == {None if part.attack == NO_ATTACK else 0.1}
        assert all(0 <= share <= 1 for share in shares(rows))
    if "filters" in tables:
        expect_one_run(tables, dlp)


def expect_one_run(tables, dlp):
    """All tables tell of the same run."""
    after = {row["stage"]: row for row in tables["stages"]}
    settings = {name: after["AU"][name] for name in ("gamma", "quota", "order", "stop")}
    expected = {"gamma": 0.05, "quota": "per class", "order": "SL-AU", "stop": True}
    assert settings == expected
    left = [row for row in tables["unlearning"] if row["block"] == row["au_stop"]]
    assert [row["asr"] for row in left if row["reestimated"]] == [after["AU"]["asr"]]
    by_entropy = [row for row in tables["filters"] if row["filter"] == "entropy"]
    suspected = [row["suspected"] for row in by_entropy if row["gamma"] == dlp.gamma]
    assert suspected == [after["SL"]["suspected"]]
    assert tables["epochs"][-1]["epoch"] == dlp.e1


def test_parts_resume_and_never_mix_settings(shapes, tmp_path, monkeypatch, capsys):
    two = parts_named("BadNets", "none")
    measured = []

    def defend(scene, part):
        measured.append((part.name, scene.context.runtime.seed))
        return part

    module = importlib.import_module("dlp_lib.experiments.scenario")
    monkeypatch.setattr(module, "load", lambda *_, **__: shapes)
    monkeypatch.setattr(cifar10_command, "PARTS", two)
    monkeypatch.setattr(sitting, "defend", defend)
    monkeypatch.setattr(sitting, "rows", lambda run, table: [{"part": run.name}])
    out = tmp_path / "out"
    arguments = ["cifar10", "--store", str(tmp_path), "--out", str(out)]
    command.main([*arguments, "--parts", "none"])
    command.main([*arguments, "--minutes", "0"])
    assert measured == [("none", 0)]
    command.main(arguments)
    command.main(arguments)
    assert measured == [("none", 0), ("BadNets", 0)]
    collect.add("stages", record.read("stages", out)[:1], {"settings": {}}, out)  # once more
    in_order = [{"seed": 0, "part": "BadNets"}, {"seed": 0, "part": "none"}]
    assert record.read("stages", out) == in_order
    shutil.rmtree(out)
    command.main(arguments)
    made = json.loads((out / "stages.json").read_text(encoding="utf-8"))["made"]
    assert made["settings"]["images"] == [300, 200]
    with pytest.raises(SystemExit):
        command.main([*arguments, "--steps", "7", "--seeds", "1"])
    said = capsys.readouterr().err
    assert re.search(r"was made with .*steps=10000.* now given are .*steps=7", said)
    assert len(measured) == 4  # it was refused before any work
    command.main([*arguments, "--seeds", "1", "--parts", "none"])
    assert measured[-1] == ("none", 1)
    with pytest.raises(SystemExit):
        command.main([*arguments, "--parts", "BadNet"])
    assert "--parts BadNet: allowed are patterns of BadNets; none" in capsys.readouterr().err


def test_what_is_committed_of_the_paper_is_complete():
    """Every part that has rows has them in all its tables, of one size and one FixMatch."""
    folder = record.FOLDER / "cifar10"
    tables = {}
    settings = []
    for path in folder.glob("*.json"):
        tables[path.stem] = record.read(path.stem, folder)
        settings.append(json.loads(path.read_text(encoding="utf-8"))["made"]["settings"])
    assert settings and all(each == settings[0] for each in settings)
    recorded = {row["part"] for rows in tables.values() for row in rows}
    assert recorded <= {part.name for part in cifar10.PARTS}
    for part in parts_named(*recorded):
        assert not collect.is_missing(part, 0, folder)
    for rows in tables.values():
        assert len({json.dumps(row) for row in rows}) == len(rows)
        assert all(0 <= share <= 1 for share in shares(rows))


def test_committed_rows_have_the_settings_of_their_parts():
    rows = record.read("stages", record.FOLDER / "cifar10")
    for row in rows:
        (part,) = parts_named(row["part"])
        dlp = part.dlp(CIFAR10.dlp)
        settings = (row["gamma"], row["quota"], row["order"], row["stop"], row["architecture"])
        order = "-".join(dlp.order)
        expected = (dlp.gamma, dlp.quota, order, dlp.unlearn.stop, part.architecture)
        assert settings == expected
        assert round((row["alpha"] or 0) * 10_000) == row["poisoned_images"]
