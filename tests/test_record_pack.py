"""Sittings of the paper's experiments, on machines that are lost at their end."""

import contextlib
import functools
import importlib
import re
import shutil
from dataclasses import fields, replace

import pytest
import torch
from safetensors.torch import load

from dlp_lib import Context, FixMatch, Runtime, Store, Supervised, Unlearn, supervised
from dlp_lib.defences import DLP, FP, Training
from dlp_lib.experiments import record
from dlp_lib.experiments.record import command, volumes
from dlp_lib.experiments.record.cifar10 import collect, schedules, sitting
from dlp_lib.experiments.record.cifar10 import command as cifar10_command
from dlp_lib.experiments.record.cifar10.pack import Pack
from dlp_lib.experiments.record.packed_store import LeftOut, PackedStore
from dlp_lib.experiments.record.volumes import Contents, Member
from dlp_lib.recipes import CIFAR10

PARTS = (
    "BadNets, learned and unlearned",
    "BadNets, gamma 0.1",
    "BadNets, undefended",
    "BadNets, defence FP",
)


@pytest.fixture
def small(shapes, monkeypatch):
    """The command at a size that takes seconds."""
    train, test = shapes
    module = importlib.import_module("dlp_lib.experiments.scenario")
    monkeypatch.setattr(
        module, "load", lambda *_, **__: (train.subset(slice(150)), test.subset(slice(60)))
    )
    monkeypatch.setattr("dlp_lib.experiments.record.cifar10.tables.GAMMAS", (0.05, 0.1))
    dlp = DLP(
        gamma=0.05, e1=2, e2=2, unlearn=Unlearn(reestimate=20), fixmatch=FixMatch(batch=4, steps=25)
    )
    recipe = replace(CIFAR10, dlp=dlp, defences={"FP": FP(training=Training(epochs=2))})
    monkeypatch.setattr(cifar10_command, "CIFAR10", recipe)


def sit(place, *arguments, parts=PARTS):
    """One sitting, whose store and tables are in a folder."""
    folders = ["--store", str(place / "store"), "--out", str(place / "tables")]
    command.main(["cifar10", "--steps", "25", "--mu", "1", *folders, "--parts", *parts, *arguments])


def tables_of(place):
    """All rows but how long they took."""
    found = {}
    for path in sorted((place / "tables").glob("*.json")):
        rows = record.read(path.stem, place / "tables")
        found[path.stem] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
    return found


def test_lost_machines_change_no_table(small, tmp_path, monkeypatch):
    """Every sitting has an empty store, the pack, and time for three blocks."""
    sit(tmp_path / "one")
    at_once = tables_of(tmp_path / "one")
    assert set(at_once) == {"epochs", "filters", "unlearning", "stages", "undefended", "baselines"}
    progress = sitting.Sitting.progress
    trained = []

    def ends_soon(self, stage, block, *rest):
        progress(self, stage, block, *rest)
        trained.append((stage, block))
        if len(trained) % 3 == 0:
            raise sitting.SittingOver

    monkeypatch.setattr(sitting.Sitting, "progress", ends_soon)
    monkeypatch.setattr(cifar10_command, "Pack", functools.partial(Pack, limit=2**20))
    for number in range(5):
        before = len(trained)
        place = tmp_path / str(number)
        sit(place, "--pack", str(tmp_path / "pack"))
        if number == 1:
            shutil.copytree(tmp_path / "pack", tmp_path / "damaged")
    assert len(trained) == before  # nothing was left to do
    assert tables_of(place) == at_once
    of_dlp = [("SL", 1), ("SL", 2), ("AU", 1), ("AU", 2)]
    of_gamma = [("AU", 1), ("AU", 2), ("ASSFT", 1), ("ASSFT", 2)]
    of_others = [("SL", 3), ("SL", 4), ("FP", 1), ("FP", 2)]
    assert trained == of_dlp + of_gamma + of_others  # each once

    monkeypatch.setattr(sitting.Sitting, "progress", progress)
    flip(tmp_path / "damaged" / "volume-2.safetensors")
    with pytest.warns(UserWarning, match=r"volume-2.safetensors is damaged: what it held is"):
        sit(tmp_path / "last", "--pack", str(tmp_path / "damaged"))
    assert tables_of(tmp_path / "last") == at_once


def test_a_sitting_ends_with_its_minutes_and_packs_as_it_goes(tmp_path, monkeypatch):
    packed = []
    store = PackedStore()
    pack = Pack(tmp_path / "pack", store, tmp_path)
    monkeypatch.setattr(pack, "write", packed.append)
    with pytest.raises(sitting.SittingOver):
        sitting.Sitting(-1, store, tmp_path, pack).progress("SL", 1, 10, {})
    long = sitting.Sitting(60, store, tmp_path, pack)
    long.progress("SL", 1, 10, {})
    assert packed == []
    monkeypatch.setattr(sitting, "PACK_EVERY", -1)
    long.progress("SL", 2, 10, {})
    assert packed == [None]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("BadNets, learned and unlearned", "gamma=0.001 selects no sample of 150"),
        ("BadNets, gamma 0.001", "gamma=0.001 selects no sample of 150"),
        ("none, defence FP", "share=0.05: 8 clean images, of a test set of 10"),
    ],
)
def test_too_few_images_are_refused_before_any_work(part, message, shapes, tmp_path, monkeypatch):
    module = importlib.import_module("dlp_lib.experiments.scenario")
    few = (shapes[0].subset(slice(150)), shapes[1].subset(slice(10)))
    monkeypatch.setattr(module, "load", lambda *_, **__: few)
    monkeypatch.setattr(sitting, "attack", pytest.fail)
    with pytest.raises(ValueError, match=message):
        sit(tmp_path, parts=["BadNets, all of E2", part])


@pytest.mark.parametrize("error", [sitting.SittingOver, KeyboardInterrupt, OSError])
def test_whatever_ends_a_part_the_pack_is_written(error, small, tmp_path, monkeypatch):
    def fails(*_):
        raise error

    monkeypatch.setattr(sitting, "attack", fails)
    with contextlib.nullcontext() if error is sitting.SittingOver else pytest.raises(error):
        sit(tmp_path, "--pack", str(tmp_path / "pack"), parts=["BadNets"])
    assert (tmp_path / "pack" / "volume-1.safetensors").exists()


def test_what_was_left_out_is_computed_again(small, tmp_path, monkeypatch, capsys):
    tries = []

    def attack(base, part):
        tries.append(set(base.context.store.packed))
        if len(tries) == 1:
            base.context.store.packed = dict.fromkeys(("SL-1/1", "SL-1/state", "SL-2/1"))
            raise LeftOut("SL-1/1", "logits")
        raise sitting.SittingOver

    monkeypatch.setattr(sitting, "attack", attack)
    sit(tmp_path, parts=["BadNets"])
    assert tries == [set(), {"SL-2/1"}]
    assert "SL-1/1: logits was left out of the pack: SL-1 is" in capsys.readouterr().out


def blob(size, start=0):
    return bytes((start + place) % 251 for place in range(size))


MEMBERS = [
    Member("large", {"of": "three volumes"}, blob(25_000)),
    Member("empty", {"rows": [1, {"é": None}]}, b""),
    *[Member(f"small {number}", {}, blob(900, number)) for number in range(20)],
]


def test_volumes_come_back_and_none_is_too_large(tmp_path):
    count = volumes.write(tmp_path, Contents(1, {"tables": {"a": [1]}}, MEMBERS), 10_000)
    paths = list(tmp_path.iterdir())
    assert len(paths) == count >= 6
    assert max(path.stat().st_size for path in paths) <= 10_000
    found = volumes.read(tmp_path)
    assert (found.generation, found.shared) == (1, {"tables": {"a": [1]}})
    assert sorted(found.members) == sorted(MEMBERS)
    assert volumes.write(tmp_path, Contents(2, {}, MEMBERS[1:2])) == 1
    assert volumes.read(tmp_path).members == MEMBERS[1:2]  # the other volumes are gone
    assert volumes.read(tmp_path / "nothing") == Contents(0, {}, [])
    with pytest.raises(ValueError, match="limit=2100: allowed are more than"):
        volumes.write(tmp_path, Contents(3, {}, MEMBERS), 2100)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:50])


LOSSES = {"damaged": flip, "damaged, too": truncate, "missing": lambda path: path.unlink()}


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_lost_volume_is_named_and_the_rest_is_used(kind, number, tmp_path):
    shared = {"tables": {"a": [1]}}
    volumes.write(tmp_path, Contents(1, shared, MEMBERS), 10_000)
    path = tmp_path / f"volume-{number}.safetensors"
    LOSSES[kind](path)
    what = kind.split(",")[0]
    sentence = re.escape(f"{path} is {what}: what it held is computed again")
    with pytest.warns(UserWarning, match=sentence) as told:
        found = volumes.read(tmp_path)
    assert len(told) == 1
    assert found.shared == shared
    names = {member.name for member in found.members}
    assert "large" not in names
    assert "small 19" in names
    assert all(member in MEMBERS for member in found.members)


def test_a_writing_that_was_cut_off_loses_nothing(tmp_path):
    """Volumes of two generations stand side by side; of each member the newest counts."""
    volumes.write(tmp_path / "old", Contents(1, {"n": 1}, MEMBERS), 10_000)
    changed = [member._replace(data=member.data[::-1]) for member in MEMBERS]
    volumes.write(tmp_path / "new", Contents(2, {"n": 2}, changed[::-1]), 10_000)
    shutil.copy(tmp_path / "new" / "volume-1.safetensors", tmp_path / "old")
    found = volumes.read(tmp_path / "old")
    assert found.shared == {"n": 2}
    by_name = {member.name: member.data for member in found.members}
    assert by_name["small 19"] == changed[-1].data
    assert by_name["small 0"] == MEMBERS[2].data


def weights(size=4):
    return {"model.w": torch.arange(float(size)), "logits": torch.ones(size)}


def train_in(store, run, blocks, slots=3):
    """Write what the loop writes, and look at what it looks at."""
    for block in range(1, blocks + 1):
        store.write(f"{run}/{block}", weights(), {"block": block})
        state = {"model.w": torch.ones(4), "optimiser/0/m": torch.ones(slots)}
        store.write(f"{run}/state", state, {"block": block})
    return store.read(f"{run}/{blocks}").tensors["model.w"]


def record_part(name, folder, tables=("stages",)):
    rows = [{"seed": 0, "part": name}]
    for table in tables:
        collect.add(table, rows, {"settings": {}}, folder)


def held(folder):
    """The names of the tensors that a pack holds, by record."""
    found = {}
    for member in volumes.read(folder).members:
        found[member.name] = sorted(load(member.data)) if member.data else []
    return found


@pytest.fixture
def pack(tmp_path):
    store = PackedStore(tmp_path / "store")
    return Pack(tmp_path / "pack", store, tmp_path / "tables")


STATES = ["model.w", "optimiser/0/m"]


def test_a_part_that_goes_on_has_all_it_needs(pack):
    user = (0, "BadNets")
    train_in(pack.store, "SL-1", 3)
    assert pack.store.read("SL-1/3").tensors["logits"] is not None
    pack.write(user)
    rows = {"SL-1/1": [], "SL-1/2": []}
    selected = {"SL-1/3": ["logits", "model.w"], "SL-1/state": STATES}
    assert held(pack.folder) == rows | selected
    train_in(pack.store, "AU-1", 2)
    pack.store.write("ASSFT-1/1", weights(), {"block": 1})
    pack.store.write("ASSFT-1/state", {"model.w": torch.ones(1)}, {"block": 1})
    pack.write(user)
    going_on = {"AU-1/1": [], "AU-1/2": ["model.w"]}  # and no slots of a finished stage
    newest = {"ASSFT-1/1": ["logits", "model.w"], "ASSFT-1/state": ["model.w"]}
    assert held(pack.folder) == rows | selected | going_on | newest
    for block in (2, 3):
        pack.store.write(f"ASSFT-1/{block}", weights(), {"block": block})
        pack.store.write("ASSFT-1/state", {"model.w": torch.ones(1)}, {"block": block})
        pack.write(user)
    assert held(pack.folder)["ASSFT-1/2"] == []  # it was the newest block, and is no more


def test_of_finished_parts_what_others_share_and_selected_blocks_are_kept(pack):
    train_in(pack.store, "SL-1", 2)
    train_in(pack.store, "ASSFT-1", 2)
    record_part("BadNets", pack.tables)
    pack.write((0, "BadNets"))
    shared = {"SL-1/1": [], "SL-1/2": ["model.w"], "SL-1/state": STATES}
    assert held(pack.folder) == {**shared, "ASSFT-1/2": ["model.w"]}


def test_a_scenario_without_missing_parts_keeps_selected_blocks_while_there_is_room(pack):
    """VGG16 has one part with BadNets: when that is finished, nothing of it is needed."""
    pack.limit = 20_000
    for run, size in (("SL-1", 4_000), ("ASSFT-1", 60_000)):
        pack.store.write(f"{run}/1", {"model.w": torch.ones(size)}, {"block": 1})
        pack.store.write(f"{run}/state", {"model.w": torch.ones(size)}, {"block": 1})
        assert len(pack.store.read(f"{run}/1").tensors["model.w"]) == size
    part = (0, "BadNets, VGG16")
    pack.write(part)
    assert set(held(pack.folder)) == {"SL-1/1", "SL-1/state", "ASSFT-1/1", "ASSFT-1/state"}
    assert len(list(pack.folder.iterdir())) > 8  # what is needed goes in whatever it takes
    record_part(part[1], pack.tables)
    pack.write(part)
    assert held(pack.folder) == {"SL-1/1": ["model.w"]}


def test_a_part_whose_tables_read_blocks_keeps_them_until_it_is_finished(pack):
    user = (0, "BadNets, learned and unlearned")
    train_in(pack.store, "SL-surrogate", 2)
    with pack.store.noting(whole=True):
        train_in(pack.store, "SL-1", 2)
    pack.write(user)
    assert held(pack.folder)["SL-1/1"] == ["logits", "model.w"]
    assert held(pack.folder)["SL-surrogate/1"] == []
    record_part(user[1], pack.tables, ("epochs", "filters", "unlearning", "stages"))
    pack.write(user)
    assert held(pack.folder)["SL-1/1"] == []
    assert held(pack.folder)["SL-1/2"] == ["model.w"]


def test_processes_share_a_pack(pack, tmp_path):
    other = Pack(pack.folder, PackedStore(tmp_path / "other"), pack.tables)
    train_in(pack.store, "SL-1", 2)
    train_in(other.store, "SL-2", 1)
    pack.write((0, "BadNets"))
    other.write((0, "SIG"))
    train_in(pack.store, "SL-1", 3)
    pack.write((0, "BadNets"))
    other.write((0, "SIG"))  # which holds an older state of the first one
    names = {"SL-1/1", "SL-1/2", "SL-1/3", "SL-1/state", "SL-2/1", "SL-2/state"}
    assert set(held(pack.folder)) == names
    other.unpack({})
    assert other.store.read("SL-1/state").facts == {"block": 3}


def test_tables_come_back_and_never_mix_settings(pack, tmp_path):
    record_part("BadNets", pack.tables)
    pack.write()
    elsewhere = Pack(pack.folder, PackedStore(), tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"its table stages was made with {}: now given.*--pack"):
        elsewhere.unpack({"epochs": 3})
    assert not elsewhere.tables.exists()
    record_part("none", elsewhere.tables)
    elsewhere.unpack({})
    rows = record.read("stages", elsewhere.tables)
    assert [row["part"] for row in rows] == ["BadNets", "none"]


def test_what_a_pack_left_out_says_so(pack):
    train_in(pack.store, "SL-1", 2)
    pack.write((0, "BadNets"))
    later = PackedStore()
    Pack(pack.folder, later, pack.tables).unpack({})
    first = later.read("SL-1/1")
    assert first.facts == {"block": 1}
    assert "logits" in first.tensors
    with pytest.raises(LeftOut, match="SL-1/1: logits was left out of the pack"):
        first.tensors["logits"]
    with pytest.raises(LeftOut, match="SL-1/1: every tensor was left out of the pack"):
        len(first.tensors)
    selected = later.read("SL-1/2").tensors
    assert selected["model.w"].tolist() == [0, 1, 2, 3]
    assert "steps" not in selected
    with pytest.raises(KeyError):
        selected["steps"]
    later.forget("SL-1")
    assert later.read("SL-1/2") is None
    assert later.read("SL-1/state") is None


def test_a_packed_store_has_the_addresses_of_any_other(shapes, tmp_path):
    few = shapes[0].subset(slice(20))
    computed = []

    def train(store):
        context = Context(Runtime(), store, lambda *row: computed.append(row[1]))
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 10))
        for weight in model.parameters():
            torch.nn.init.constant_(weight, 0.1)
        return supervised(model, few, 2, Supervised(), context).history

    assert train(PackedStore(tmp_path)) == train(Store(tmp_path)) == train(PackedStore(tmp_path))
    assert computed == [1, 2]


@pytest.mark.parametrize("name", CIFAR10.defences)
def test_the_shorter_schedule_has_a_quarter_of_the_epochs(name):
    method = CIFAR10.defences[name]
    shorter = schedules.shorten(method)
    stages = [
        field.name for field in fields(method) if hasattr(getattr(method, field.name), "epochs")
    ]
    for stage in stages:
        before = getattr(method, stage)
        after = getattr(shorter, stage)
        assert before.epochs / 4 <= after.epochs < before.epochs / 4 + 1
        drops = getattr(after, "drops", ())
        assert all(epoch < after.epochs for epoch in drops)
        same = {"epochs": before.epochs}
        if drops:
            same["drops"] = before.drops
        assert replace(after, **same) == before
    assert replace(shorter, **{stage: getattr(method, stage) for stage in stages}) == method


def test_the_shorter_schedule_of_abl():
    shorter = schedules.shorten(CIFAR10.defences["ABL"])
    assert (shorter.isolation.epochs, shorter.training.epochs, shorter.unlearn_epochs) == (5, 15, 5)
    assert shorter.training.drops == (10,)


def chosen(*arguments):
    parser = cifar10_command._parser("record cifar10")
    return [part.name for part in cifar10_command._parts(parser.parse_args(arguments))]


def test_defences_are_chosen_one_by_one_and_with_their_schedule():
    everything = chosen()
    assert {"BadNets, defence FP", "none, defence DBD", "SIG, defence none"} < set(everything)
    assert not [name for name in everything if "shorter" in name]
    assert chosen("--defences", "ABL", "--parts", "S*") == ["SIG, defence ABL"]
    shorter = chosen("--defences", "none", "ABL", "--schedule", "shorter", "--parts", "S*")
    assert shorter == ["SIG, defence none", "SIG, defence ABL, shorter"]
    assert "SIG, undefended" in chosen("--schedule", "shorter")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--defences", "FB"], "invalid choice: 'FB'"),
        (["--schedule", "long"], "invalid choice: 'long'"),
        (["--parts", "BadNet", "--defences", "FP"], "--parts BadNet: allowed are patterns of"),
        (["--pack", __file__], f"--pack {__file__}: allowed is a folder"),
    ],
)
def test_bad_options_are_refused_before_any_work(arguments, message, capsys):
    with pytest.raises(SystemExit):
        command.main(["cifar10", *arguments])
    assert message in capsys.readouterr().err


def test_table_3_says_which_schedule_was_used(small, tmp_path):
    for schedule in ("paper", "shorter"):
        chosen = ["--schedule", schedule, "--defences", "none", "FP"]
        sit(tmp_path, *chosen, parts=["BadNets*"])
    rows = record.read("baselines", tmp_path / "tables")
    told = [(row["defence"], row["schedule"], row["epochs"]) for row in rows]
    expected = [("none", None, "SL 4"), ("FP", "paper", "FP 2"), ("FP", "shorter", "FP 1")]
    assert told == expected
