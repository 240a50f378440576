"""A warm store: what is packed, what is loaded, and what is refused before anything is written."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import toy_trials
from safetensors.torch import save

from dlp_lib import Context, Runtime, Store, Supervised, supervised, wrn_16_1
from dlp_lib.experiments import store_command, sweep
from dlp_lib.experiments.record import volumes
from dlp_lib.experiments.record.volumes import Contents, Member
from dlp_lib.experiments.warm_store import files, load, pack, reading

KEY = f"{7:032x}"
RUN = f"SL-{KEY}"
TRIAL = f"trials/dlp_lib.trial/{KEY}.json"


@pytest.fixture
def root(tmp_path):
    """A store with a run of three blocks and its state, a single result, and a trial."""
    root = tmp_path / "store"
    fill(root)
    return root


def fill(root, value=0.0):
    """Write a store; another value gives other content under the same names."""
    store = Store(root)
    for block in (1, 2, 3):
        store.write(f"{RUN}/{block}", {"t": torch.full((100,), value + block)}, {"block": block})
    store.write(f"{RUN}/state", {"t": torch.zeros(100)}, {"block": 3})
    store.write(f"{RUN}/measured-{KEY}", {}, {"ca": value})
    store.write(f"LCA-{KEY}", {"images": torch.full((50,), value)}, {})
    (root / TRIAL).parent.mkdir(parents=True)
    (root / TRIAL).write_text(json.dumps({"result": {"ca": value}}))
    (root / f"{RUN}.lock").touch()
    (root / "notebooks").mkdir()
    (root / "notebooks" / "note.ipynb").write_text("{}")


def content(root):
    """The bytes of all files that a pack may hold, by name."""
    return {name: (root / name).read_bytes() for name in pack.everything_in(root)}


@pytest.fixture
def packed(root, tmp_path):
    """A pack of the store, in several files that cut records."""
    assert pack.pack(pack.everything_in(root), root, tmp_path / "pack", limit=4096) > 2
    return tmp_path / "pack"


def test_a_pack_holds_records_and_no_states_locks_or_notebooks(root):
    names = [f"{RUN}/{block}.safetensors" for block in (1, 2, 3)]
    names += [f"{RUN}/measured-{KEY}.safetensors", f"LCA-{KEY}.safetensors", TRIAL]
    assert pack.everything_in(root) == set(names)


def test_what_is_packed_is_loaded_byte_by_byte(root, packed, tmp_path):
    other = tmp_path / "other"
    loaded = load.load(packed, other)
    assert content(other) == content(root)
    assert set(loaded.written) == set(content(root))
    assert loaded.size == sum(map(len, content(root).values()))
    assert loaded.warnings == []
    again = load.load(packed, other)
    assert again.written == []
    assert set(again.present) == set(content(root))


def test_a_loaded_run_is_read_and_not_trained(shapes, tmp_path):
    train = shapes[0].subset(slice(60))
    trained = tmp_path / "trained"

    def learn(root):
        blocks = []
        context = Context(Runtime(), Store(root), lambda *report: blocks.append(report[1]))
        stage = supervised(wrn_16_1(10, Runtime()), train, 2, Supervised(), context)
        return stage.logits(), blocks

    logits, blocks = learn(trained)
    assert blocks == [1, 2]
    pack.pack(pack.everything_in(trained), trained, tmp_path / "pack")
    load.load(tmp_path / "pack", tmp_path / "loaded")
    same, blocks = learn(tmp_path / "loaded")
    assert blocks == []
    assert torch.equal(same, logits)


def test_a_run_with_other_content_stays_unless_it_is_to_be_replaced(packed, root, tmp_path):
    other = tmp_path / "other"
    fill(other, value=5.0)
    (other / f"LCA-{KEY}.safetensors").unlink()
    before = content(other)
    loaded = load.load(packed, other)
    assert loaded.written == [f"LCA-{KEY}.safetensors"]
    assert loaded.different == [RUN, TRIAL.removesuffix(".json")]
    assert before.items() < content(other).items()
    replaced = load.load(packed, other, replace=True)
    assert replaced.different == loaded.different
    assert content(other) == content(root)
    assert not (other / RUN / "state.safetensors").exists()  # of the run that was replaced


def test_a_run_of_which_one_block_differs_is_not_mixed(packed, root, tmp_path):
    other = tmp_path / "other"
    Store(other).write(f"{RUN}/2", {"t": torch.ones(3)}, {})
    load.load(packed, other)
    assert [path.name for path in (other / RUN).iterdir()] == ["2.safetensors"]


def test_one_file_can_be_given_under_any_name(root, tmp_path):
    assert pack.pack([TRIAL], root, tmp_path / "pack") == 1
    path = (tmp_path / "pack" / "volume-1.safetensors").rename(tmp_path / "course.safetensors")
    assert load.load(path, tmp_path / "other").written == [TRIAL]


def test_a_later_pack_takes_the_place_of_an_earlier_one(packed, root, tmp_path):
    pack.pack([TRIAL], root, packed)
    assert load.load(packed, tmp_path / "other").written == [TRIAL]


@pytest.mark.parametrize(
    "name",
    [
        f"../SL-{KEY}/1.safetensors",
        f"SL-{KEY}/../../1.safetensors",
        f"/SL-{KEY}/1.safetensors",
        f"C:/SL-{KEY}/1.safetensors",
        f"SL-{KEY}\\..\\..\\1.safetensors",
        f"SL-{KEY}//1.safetensors",
        f"SL-{KEY}/1.safetensors\n",
        f"SL-{KEY}/1.safetensors:stream",
        f"SL-{KEY}/state.safetensors",
        f"SL-{KEY}/1.pkl",
        f"SL-{KEY}/sub/1.safetensors",
        f"SL-{KEY}/١.safetensors",
        f".SL-{KEY}/1.safetensors",
        f"trials/../{KEY}.json",
        f"trials/x/{KEY}.py",
        "trials",
        "",
        None,
        5,
        ["SL"],
    ],
)
def test_a_name_that_is_no_record_of_a_store_is_refused(name, tmp_path):
    assert not files.is_allowed(name)
    write_pack(tmp_path / "pack", [Member(name, {"sha256": "0" * 64}, b"{}")])
    refused(tmp_path, "allowed are records of runs and of trials")
    with pytest.raises(ValueError, match="allowed are records of a store"):
        pack.pack([str(name)], tmp_path, tmp_path / "own")


def write_pack(folder, members, **shared):
    """Write a pack by hand, as somebody might who wants to do harm."""
    shared = {"kind": files.KIND, "made_with": files.made_with(), **shared}
    volumes.write(folder, Contents(1, shared, members))


def refused(tmp_path, message, place=None):
    """Load a pack that must be refused, and see that nothing was written."""
    with pytest.raises(reading.BadPack, match=message):
        load.load(place or tmp_path / "pack", tmp_path / "other")
    assert not list((tmp_path / "other").rglob("*"))


def member(name, data, sha256=None):
    return Member(name, {"sha256": sha256 or hashlib.sha256(data).hexdigest()}, data)


GOOD = member(f"trials/a/{KEY}.json", b"{}")  # before the bad one, so that it would be written


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (member(TRIAL, b"{}", "0" * 64), "has another SHA-256 than the pack says"),
        (member(TRIAL, b"[1]"), "it is no record of a trial"),
        (member(TRIAL, b"not JSON"), "is damaged"),
        (member(TRIAL, b"[" * 100_000), "is damaged"),
        (member(f"{RUN}/1.safetensors", b"\x80\x04K\x01."), "is damaged"),
        (member(f"{RUN}/1.safetensors", save({"t": torch.ones(2)})), "is damaged"),
        (member(f"{RUN}/1.safetensors", b"\xff" * 8), "is damaged"),
        (member(f"{RUN}/1.safetensors", b""), "is damaged"),
        (Member(TRIAL, {}, b"{}"), "has no SHA-256"),
        (Member(TRIAL, None, b"{}"), "has no SHA-256"),
        (GOOD, "is there twice"),
    ],
)
def test_a_bad_record_is_refused_and_good_ones_before_it_are_not_written(bad, message, tmp_path):
    write_pack(tmp_path / "pack", [GOOD, bad])
    refused(tmp_path, message)


def test_a_record_under_another_name_is_refused(root, tmp_path):
    data = (root / RUN / "1.safetensors").read_bytes()
    write_pack(tmp_path / "pack", [GOOD, member(f"{RUN}/2.safetensors", data)])
    refused(tmp_path, f"it was written as {RUN}/1")


@pytest.mark.parametrize("size", [10, 2**40, -1, True, 1.5, "many", None])
def test_a_declared_size_that_is_not_so_is_refused(size, tmp_path):
    entry = {"name": TRIAL, "start": 0, "size": size, "facts": {"sha256": "0" * 64}}
    facts = {"generation": 1, "of": 1, "pieces": [entry]}
    facts["shared"] = {"kind": files.KIND, "made_with": {}}
    Store(tmp_path / "pack").write("volume-1", {"0": torch.ones(3, dtype=torch.uint8)}, facts)
    refused(tmp_path, "is not complete" if size == 10 else "allowed are whole numbers up to")


def declared(shape, stop):
    """A safetensors file whose header declares more than there is."""
    entry = {"dtype": "U8", "shape": shape, "data_offsets": [0, stop]}
    header = json.dumps({"0": entry, "__metadata__": {"name": "x"}}).encode()
    return len(header).to_bytes(8, "little") + header + b"123"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        b"\x80\x04K\x01.",
        (2**62).to_bytes(8, "little") + b"{}",
        declared([2**50], 2**50),
        declared([2**50], 3),
        declared([3], 2**50),
    ],
)
def test_a_file_that_is_no_pack_is_refused(data, tmp_path):
    (tmp_path / "volume-1.safetensors").write_bytes(data)
    refused(tmp_path, "is damaged, or no pack", tmp_path / "volume-1.safetensors")
    refused(tmp_path, "is damaged, or no pack", tmp_path)


def test_a_volume_of_something_else_is_refused(tmp_path):
    write_pack(tmp_path / "pack", [GOOD], kind="tables")
    refused(tmp_path, "is no pack of a store")


def test_a_file_too_large_for_memory_is_refused_unread(tmp_path, monkeypatch):
    write_pack(tmp_path / "pack", [GOOD])
    monkeypatch.setattr(reading, "LARGEST", 100)
    refused(tmp_path, "allowed are 0 MB")


def test_every_truncation_and_every_altered_byte_is_found(packed, tmp_path):
    path = packed / "volume-2.safetensors"
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 397)]
    for place in range(0, len(whole), 131):
        damaged.append(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    for data in damaged:
        path.write_bytes(data)
        refused(tmp_path, "is damaged, or no pack", packed)


def test_a_missing_file_of_a_pack_is_named(packed, tmp_path):
    refused(tmp_path, "is one of", packed / "volume-1.safetensors")
    (packed / "volume-2.safetensors").unlink()
    refused(tmp_path, "volume-2.safetensors is missing", packed)


def test_a_file_of_another_pack_is_refused(packed, root, tmp_path):
    kept = (packed / "volume-2.safetensors").read_bytes()
    pack.pack(pack.everything_in(root), root, packed, limit=4096)
    (packed / "volume-2.safetensors").write_bytes(kept)
    refused(tmp_path, "is of another pack than", packed)


def test_a_link_out_of_the_store_is_not_followed(packed, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    for link in (RUN, "trials"):
        other = tmp_path / f"with-{link}"
        other.mkdir()
        try:
            (other / link).symlink_to(outside, target_is_directory=True)
        except OSError:
            pytest.skip("this system makes no links")
        with pytest.raises(reading.BadPack, match="is a link to another place"):
            load.load(packed, other)
        assert not list(outside.iterdir())
        assert [path.name for path in other.iterdir()] == [link]


def test_a_full_disk_is_told_before_anything_is_written(packed, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(load.shutil, "disk_usage", lambda _: full)
    with pytest.raises(OSError, match=r"there is no room for 0 MB\. Make room"):
        load.load(packed, tmp_path / "other")


@pytest.mark.parametrize("what", ["Python", "PyTorch", "the code of dlp_lib"])
def test_a_pack_of_another_version_loads_with_a_warning(what, tmp_path):
    write_pack(tmp_path / "pack", [GOOD], made_with=files.made_with() | {what: "0.1"})
    loaded = load.load(tmp_path / "pack", tmp_path / "other")
    assert loaded.written == [GOOD.name]
    (warning,) = loaded.warnings
    assert warning.startswith(f"{what} is ")


NOTEBOOK = """
from pathlib import Path
import torch
from dlp_lib import Store
store = Store(cache)
store.get_or_compute("SL-{key}/1", lambda: {{"t": torch.zeros(3)}})
store.write("SL-{key}/state", {{}}, {{}})
if store.read("AU-{key}") is None:
    store.write("AU-{key}", {{}}, {{}})
    store.write("scratch-{key}", {{}}, {{}})
store.read("LCA-{key}")
Store(out).write("SL-{key}/9", {{}}, {{}})
"""


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A notebook that computes at its first execution; it is executed in this process."""

    def execute(notebook, executed, parameters, kernel, progress_bar):
        exec(Path(notebook).read_text(), dict(parameters))

    monkeypatch.setattr(pack, "execute_notebook", execute)
    monkeypatch.setattr(pack, "kernel_for", lambda notebook: "python3")
    path = tmp_path / "notebook.ipynb"
    path.write_text(NOTEBOOK.format(key=KEY))
    return path


def test_what_a_notebook_reads_is_noted_once_it_computes_nothing(notebook, root):
    other = f"AU-{7:032x}.safetensors"
    first = f"{RUN}/1.safetensors"
    assert pack.used_by(notebook, {}, root) == {first, other, f"LCA-{KEY}.safetensors"}
    assert (root / f"scratch-{KEY}.safetensors").exists()  # computed, and not needed again


def test_the_record_of_a_trial_is_noted_packed_and_loaded(tmp_path):
    def sum_up(root):
        with ThreadPoolExecutor(1) as thread, pack._noting(tmp_path / "notes"):
            table = sweep.sweep(toy_trials.add, {"a": 1, "b": 2}, [0], root, thread)
        return table["sum"].tolist(), pack._parse_notes(tmp_path / "notes", root)

    trained = tmp_path / "trained"
    _, used = sum_up(trained)
    (name,) = used["wrote"]
    assert name.startswith("trials/toy_trials.add/")
    pack.pack([name], trained, tmp_path / "pack")
    load.load(tmp_path / "pack", tmp_path / "loaded")
    (tmp_path / "notes").unlink()
    assert sum_up(tmp_path / "loaded") == ([3], {"read": {name}, "wrote": set()})


def test_the_commands_pack_and_load(notebook, root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pack, "find_notebook", lambda name: notebook)
    monkeypatch.setattr(pack, "choose_parameters", lambda *_: {})
    places = [str(tmp_path / "pack"), "--store", str(root)]
    store_command.main(["pack", *places, "--notebooks", "notebook"])
    printed = capsys.readouterr().out
    assert "notebook: 3 records" in printed
    assert "left out of" in printed
    store_command.main(["load", str(tmp_path / "pack"), "--store", str(tmp_path / "other")])
    assert "3 records" in capsys.readouterr().out
    assert len(content(tmp_path / "other")) == 3
    store_command.main(["pack", *places, "--all"])
    assert "8 records" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        store_command.main(["load", str(notebook)])
    assert stop.value.code == 2
    assert "is damaged, or no pack of a store" in capsys.readouterr().err
