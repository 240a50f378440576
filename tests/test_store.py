import json
import os

import numpy as np
import pytest
import torch

from dlp_lib import SGD, BadNets, Blended, Store
from dlp_lib.store import digest

TENSORS = {
    "a": torch.arange(6.0).view(2, 3),
    "b": torch.tensor([1, 2]),
    "bit": torch.tensor([True]),
}
FACTS = {"loss": 0.5, "diverged": False, "text": "é", "none": None}


@pytest.fixture(params=["disk", "memory"])
def store(request, tmp_path):
    return Store(tmp_path / "store" if request.param == "disk" else None)


def test_a_record_comes_back_as_it_was(store):
    store.write("SL-1/00001", TENSORS, FACTS)
    tensors, facts = store.read("SL-1/00001")
    assert facts == FACTS
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert store.read("SL-1/00002") is None


def test_a_record_survives_changes_of_what_was_written(store):
    tensor = torch.zeros(3)
    store.write("x", {"t": tensor}, {})
    tensor += 1
    assert store.read("x").tensors["t"].sum() == 0


def test_channels_last_tensors_can_be_written(store):
    tensor = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    store.write("x", {"t": tensor}, {})
    assert torch.equal(store.read("x").tensors["t"], tensor)


def test_numbers_that_json_does_not_know_are_refused(store):
    with pytest.raises(ValueError, match="JSON"):
        store.write("x", {}, {"loss": float("nan")})
    assert store.read("x") is None


def test_every_altered_byte_and_every_truncation_is_found(tmp_path):
    store = Store(tmp_path)
    store.write("x", TENSORS, FACTS)
    path = tmp_path / "x.safetensors"
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 37)]
    for place in range(0, len(whole), 11):
        damaged.append(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    for data in damaged:
        path.write_bytes(data)
        with pytest.warns(UserWarning, match="record x is damaged"):
            assert store.read("x") is None


def test_a_write_that_is_cut_short_leaves_the_old_record(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write("x", TENSORS, {"version": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.write("x", TENSORS, {"version": 2})
    assert store.read("x").facts == {"version": 1}


def test_digest_tells_apart_what_differs():
    different = [
        1, 1.0, "1", True, None, (1,), ((1,),), (1, 2), ("12",),
        {"a": 1}, {"b": 1}, {"a": 1, "b": 2},
        torch.ones(2), torch.ones(2, 1), torch.ones(2, dtype=torch.int32), torch.zeros(2),
        SGD(), SGD(lr=0.1), BadNets(), BadNets(target=1), Blended(),
    ]  # fmt: skip
    assert len({digest(part) for part in different}) == len(different)
    assert digest("a", "b") != digest("ab")


def test_digest_does_not_depend_on_layout_or_order():
    image = torch.rand(1, 3, 4, 4)
    assert digest(image) == digest(image.to(memory_format=torch.channels_last))
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) == digest((1, 2))


def test_digest_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="ndarray"):
        digest(np.ones(2))


def test_facts_are_plain_json_in_the_file(tmp_path):
    Store(tmp_path).write("x", {}, FACTS)
    data = (tmp_path / "x.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert json.loads(header["__metadata__"]["facts"]) == FACTS


def test_a_record_that_was_copied_onto_anothers_name_is_found(tmp_path):
    store = Store(tmp_path)
    for epoch in (1, 3):
        store.write(f"SL-1/{epoch}", {"t": torch.full((2,), float(epoch))}, {"block": epoch})
    first, third = (tmp_path / "SL-1" / f"{epoch}.safetensors" for epoch in (1, 3))
    third.write_bytes(first.read_bytes())
    with pytest.warns(UserWarning, match=r"SL-1/3 is damaged \(it was written as SL-1/1\)"):
        assert store.read("SL-1/3") is None
    assert store.read("SL-1/1").facts == {"block": 1}


def test_tied_tensors_and_views_of_one_memory_can_be_written(store):
    shared = torch.arange(6.0)
    store.write("x", {"one": shared, "same": shared, "part": shared[2:4]}, {})
    tensors = store.read("x").tensors
    assert torch.equal(tensors["one"], shared)
    assert torch.equal(tensors["same"], shared)
    assert torch.equal(tensors["part"], shared[2:4])


def test_a_home_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    Store("~/kept").write("x", TENSORS, FACTS)
    assert (tmp_path / "kept" / "x.safetensors").is_file()
