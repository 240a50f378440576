"""A full disk, a kill and a read-only folder: what is left, and what the error says."""

import errno
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import toy_trials

from dlp_lib import Store, files
from dlp_lib.experiments import sweep
from dlp_lib.experiments.record import files as tables
from dlp_lib.store import lock

ERRORS = {
    errno.ENOSPC: "Make room",
    errno.EROFS: "that you own",
    errno.EACCES: "that you own",
    errno.EIO: "Take another folder",
}


def to_store(folder):
    Store(folder).write("x", {"t": torch.zeros(3)}, {})


def to_table(folder):
    tables.write("x", [{"a": 1}], {}, folder)


def to_trial(folder):
    with ThreadPoolExecutor(1) as executor:
        sweep.sweep(toy_trials.add, {"a": 1, "b": 2}, [0], folder, executor)


def to_locked(folder):
    with lock(folder / "x.lock"):
        files.write_atomically(folder / "x", b"1")


WRITERS = [to_store, to_table, to_trial, to_locked]


def leftovers(folder):
    return list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("write", WRITERS)
def test_a_write_that_fails_leaves_nothing_and_says_where_and_what_to_do(
    tmp_path, monkeypatch, write, code
):
    def fail(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(files.CannotWrite) as failure:
        write(tmp_path)
    sentence = str(failure.value)
    assert f"cannot write into {tmp_path}" in sentence
    assert os.strerror(code) in sentence
    assert ERRORS[code] in sentence
    assert sentence.endswith("run it again to go on.")
    assert failure.value.errno == code
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_where_the_folder_should_be_is_named(tmp_path, write):
    (tmp_path / "file").write_text("mine")
    assert Store(tmp_path / "file").read("x") is None
    with pytest.raises(files.CannotWrite, match="A file lies where a folder should be"):
        write(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("write", WRITERS)
def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch, write):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("write", [to_store, to_table, to_locked])
def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path, monkeypatch, write):
    monkeypatch.setattr(files, "_tidied", set())
    old = tmp_path / "x.0123.tmp"
    new = tmp_path / "x.4567.tmp"  # of a process that may be writing it now
    for path in (old, new):
        path.write_bytes(b"half")
    yesterday = time.time() - 24 * 60 * 60
    os.utime(old, (yesterday, yesterday))
    write(tmp_path)
    assert leftovers(tmp_path) == [new]


def test_the_error_travels_between_processes():
    error = files.CannotWrite(errno.ENOSPC, "cannot write into x: no room")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.errno) == (files.CannotWrite, str(error), errno.ENOSPC)


def test_a_full_disk_is_no_failure_of_the_trial(tmp_path):
    """What a trial cannot store stops the sweep, and leaves no record of a failure."""
    with ThreadPoolExecutor(1) as executor, pytest.raises(files.CannotWrite, match="no room here"):
        sweep.sweep(toy_trials.fills_the_disk, {}, [0], tmp_path, executor)
    assert not list(tmp_path.rglob("*.json"))


def test_use_is_noted_where_the_environment_asks_for_it(tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    files.write_atomically(tmp_path / "before", b"")
    monkeypatch.setenv(files.USE, str(notes))
    files.write_atomically(tmp_path / "one", b"")
    files.note_use("read", tmp_path / "two")
    folder = tmp_path.resolve()
    assert notes.read_text("utf-8").splitlines() == [
        f"wrote {folder / 'one'}",
        f"read {folder / 'two'}",
    ]


def test_a_place_for_notes_that_is_gone_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv(files.USE, str(tmp_path / "gone" / "notes"))
    files.write_atomically(tmp_path / "one", b"data")
    assert (tmp_path / "one").read_bytes() == b"data"
