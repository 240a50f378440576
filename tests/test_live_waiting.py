"""Two pages on one store: who waits is told, keeps its rows, and can give up."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dlp_lib import Context, Runtime, Store
from dlp_lib.live.background import Superseded
from dlp_lib.live.controller import Lab
from dlp_lib.live.doing import Doing, Report
from dlp_lib.live.follow import follow
from dlp_lib.live.setting import LabSetting
from dlp_lib.training import Checkpoints

SETTING = LabSetting(e1=2, gamma=0.05, e2=1)


def never():
    """A job that nothing stops, and nobody is told of."""


def until(condition, seconds=20):
    """Wait until a condition holds, or some seconds have passed."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def small(folder, steps=2):
    return Lab(Context(Runtime(0), Store(folder)), n_train=200, n_test=40, epochs=2, steps=steps)


class Holder:
    """Holds a lock in a thread, as another process would, until it is told to end."""

    def __init__(self, lock):
        self._lock = lock
        self._held = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)

    def _hold(self):
        with self._lock:
            self._held.set()
            self._end.wait(30)

    def __enter__(self):
        self._thread.start()
        assert self._held.wait(10)
        return self

    def __exit__(self, *_):
        self.release()

    def release(self):
        self._end.set()
        self._thread.join(10)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("dlp_lib.store.PATIENCE", 0.02)


def test_two_pages_on_an_empty_store_train_once_and_both_have_all_rows(tmp_path, monkeypatch):
    written = []
    write = Checkpoints.write

    def counted(self, block, *arguments):
        written.append((self.name, block))
        until(lambda: waits)  # the other page waits
        if len(written) > 1:
            until(lambda: 1 in waits)  # and has seen the first row
        write(self, block, *arguments)

    monkeypatch.setattr(Checkpoints, "write", counted)
    labs = [small(tmp_path), small(tmp_path)]
    waits = []  # rows that a page had while it was waiting

    def job(lab):
        def tell():
            if lab.doing.waits:
                waits.append(len(lab.look(SETTING).gap.get("all", ())))

        lab.work(SETTING, never, tell)
        lab.finetune(SETTING, never, tell)
        return lab.look(SETTING)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(job, labs)
    assert len(written) == len(set(written)) == 2 + 2 + 1
    assert first.gap == second.gap
    assert first.ascent == second.ascent
    assert first.stages == second.stages
    assert len(first.stages) == 3
    assert 1 in waits  # a row came while its page was waiting


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """Under which names the stages of SETTING are locked."""
    locked = []

    def lock(self, name):
        locked.append(name)
        return contextlib.nullcontext()

    lab = small(tmp_path_factory.mktemp("names"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "lock", lock)
        lab.work(SETTING, never, never)
        lab.finetune(SETTING, never, never)
    return {name.split("-")[0]: name for name in locked}


@pytest.mark.parametrize("stage", ["SL", "AU", "ASSFT"])
def test_a_wait_for_another_process_says_so_and_can_be_cancelled(stage, names, tmp_path):
    lab = small(tmp_path)
    told = []

    def check():
        if told and told[-1].waits:
            raise Superseded

    def tell():
        told.append(lab.doing)

    with Holder(Store(tmp_path).lock(names[stage])) as holder:
        with pytest.raises(Superseded):
            lab.work(SETTING, check, tell)
            lab.finetune(SETTING, check, tell)
        assert (told[-1].stage, told[-1].waits) == (stage, True)
        holder.release()
    lab.work(SETTING, never, never)  # and nothing is left behind
    lab.finetune(SETTING, never, never)
    assert set(lab.look(SETTING).stages) == {"SL", "AU", "ASSFT"}


def test_the_wait_for_a_trojan_pattern_can_be_cancelled(tmp_path):
    """What an attack prepares is computed once for all processes, too."""
    store = Store(tmp_path)
    setting = LabSetting(attack="TrojanNN", e1=2, gamma=0.05, e2=1)
    names = []

    def lock(self, name):
        names.append(name)
        raise Superseded

    lab = small(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "lock", lock)
        with pytest.raises(Superseded):
            lab.work(setting, never, never)

    def check():
        if lab.doing.waits:
            raise Superseded

    with Holder(store.lock(names[0])), pytest.raises(Superseded):
        lab.work(setting, check, never)
    assert lab.doing == Doing("data", waits=True)


def test_a_job_that_waits_for_another_of_its_lab_can_be_cancelled(tmp_path):
    lab = small(tmp_path)

    def stop():
        raise Superseded

    with Holder(lab._lock), pytest.raises(Superseded):
        lab.work(SETTING, stop, never)


def test_nobody_waits_for_blocks_that_are_not_needed():
    """The other process has two blocks by and by, which is all that is needed, and trains on."""
    rows = []
    recorded = []

    def read(block):
        return recorded[block - 1] if block <= len(recorded) else None

    def train(progress, while_waiting):
        for name in ("one", "two", "three"):
            recorded.append(name)
            while_waiting()
        pytest.fail("it waited to the end")

    follow(rows, "SL", 2, read, train, Report(never, never))
    assert rows == ["one", "two"]


def test_a_report_says_how_long_it_takes(monkeypatch):
    clock = iter([0.0, 0.0, 3.0, 6.0])
    monkeypatch.setattr("dlp_lib.live.doing.time.monotonic", lambda: next(clock))
    told = []
    report = Report(never, lambda: told.append(report.doing))
    report.begin("SL", 2, 6)  # two epochs were recorded already
    report.advance(3)
    report.advance(4, waits=True)
    assert [doing.seconds_left for doing in told] == [None, 9.0, 6.0]
    assert [doing.waits for doing in told] == [False, False, True]
