import copy
import threading
import time
from dataclasses import replace

import pytest
import torch

from dlp_lib import (
    BadNets,
    Context,
    Diverged,
    FixMatch,
    Runtime,
    Store,
    Supervised,
    Unlearn,
    entropy,
    evaluate,
    filter_precision,
    fixmatch,
    load,
    poison,
    select,
    supervised,
    unlearn,
    wrn_16_1,
)
from dlp_lib.live.background import LatestJob, Superseded
from dlp_lib.live.controller import Lab
from dlp_lib.live.setting import LabSetting
from dlp_lib.recipes import RECIPES, SHAPES10
from dlp_lib.training import Checkpoints

SETTING = LabSetting(e1=2, gamma=0.05, e2=2)


def never():
    """A job that nothing stops."""


def forbid_training(monkeypatch):
    """Let every block that is trained, not read, fail the test."""
    monkeypatch.setattr(Checkpoints, "write", lambda *_: pytest.fail("it trained"))


def small(store):
    return Lab(Context(Runtime(0), store), n_train=300, n_test=120, epochs=3, steps=20)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def worked(store):
    lab = small(store)
    lab.work(SETTING, never, never)
    return lab


def test_nothing_is_known_at_first():
    answer = small(Store()).look(SETTING)
    assert answer.gap == {}
    assert answer.entropy is None
    assert answer.selection is None
    assert answer.ascent == []
    assert answer.stages == {}


def test_answers_are_what_the_library_says(worked):
    """The same by hand: stage 1, the filter, the ascent, and CA and ASR at every epoch of it."""
    context = Context(Runtime(0))
    clean, test = load("shapes10", 300)
    test = test.subset(slice(120))
    tampered, truth = poison(clean, BadNets(), 0.1, context)
    model = wrn_16_1(10, context.runtime)
    stage = supervised(model, tampered, 2, Supervised(), context)
    answer = worked.look(SETTING)
    logits = stage.logits(2)
    assert torch.equal(answer.entropy, entropy(logits))
    selection = select(-entropy(logits), tampered, 0.05)
    assert torch.equal(answer.selection.suspected, selection.suspected)
    assert answer.precision == filter_precision(selection.suspected, selection.trusted, truth)
    # It goes on to the longest E1
    assert len(answer.gap["poisoned"]) == len(answer.gap["all"]) == 3
    assert answer.gap["all"][1] == stage.history[1]["accuracy"]
    labels = tampered.labels[selection.suspected]
    assert answer.agreement.share == (labels == labels.mode().values).double().mean().item()
    assert answer.stages["SL"]["asr"] == evaluate(model, test, BadNets()).asr
    config = Unlearn(lr=0.005, reestimate=1000, stop=False)
    start = copy.deepcopy(model)
    ascent = unlearn(start, tampered, selection.suspected, 3, config, context)
    for row, ours in zip(ascent.history, answer.ascent, strict=True):
        ascent.load(model, row["block"])
        metrics = evaluate(model, test, BadNets())
        assert (ours["ca"], ours["asr"]) == (metrics.ca, metrics.asr)
        assert ours["accuracy"] == row["accuracy"]
    assert answer.stages["AU"] == answer.ascent[1]
    ascent.load(model, 2)
    told = []
    worked.finetune(SETTING, never, lambda: told.append(worked.doing))
    fixmatch(model, tampered, selection.trusted, FixMatch(mu=3, steps=20), context)
    assert worked.look(SETTING).stages["ASSFT"]["ca"] == evaluate(model, test, BadNets()).ca
    stages = [doing.stage for doing in told]
    assert stages == sorted(stages, key=["data", "SL", "AU", "ASSFT"].index)
    assert [(doing.block, doing.blocks) for doing in told if doing.ca is not None] == [(1, 1)] * 2


def test_e2_only_points_into_the_ascent(worked):
    for e2 in (0, 1, 3):
        answer = worked.look(LabSetting(e1=2, gamma=0.05, e2=e2))
        assert answer.stages.get("AU") == (answer.ascent[e2 - 1] if e2 else None)


def test_a_second_lab_trains_nothing(worked, store, monkeypatch):
    forbid_training(monkeypatch)
    lab = small(store)
    lab.work(SETTING, never, never)
    assert lab.look(SETTING).ascent == worked.look(SETTING).ascent
    assert lab.look(SETTING).gap == worked.look(SETTING).gap


def test_a_job_that_is_stopped_goes_on_later_and_nothing_is_double(worked):
    lab = small(Store())
    calls = []

    def stop():
        calls.append(1)
        if len(calls) in (2, 4):
            raise Superseded

    for _ in range(2):
        with pytest.raises(Superseded):
            lab.work(SETTING, stop, never)
    lab.work(SETTING, never, never)
    assert lab.look(SETTING).gap == worked.look(SETTING).gap
    assert [row["block"] for row in lab.look(SETTING).ascent] == [1, 2, 3]


def test_beyond_what_is_trained_it_trains_on(worked, store):
    lab = Lab(Context(Runtime(0), store), n_train=300, n_test=120, epochs=4, steps=20)
    epochs = []
    setting = LabSetting(e1=4, gamma=0.05, e2=1)
    lab.work(setting, never, lambda: epochs.append(len(lab.look(setting).gap.get("all", ()))))
    assert lab.look(setting).entropy is not None
    assert lab.look(setting).gap["all"][:3] == worked.look(SETTING).gap["all"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attack": "Badnet"}, "attack='Badnet': allowed are BadNets, TrojanNN"),
        ({"gamma": 1.5}, "gamma=1.5"),
        ({"poisoning_rate": 0}, "poisoning_rate=0"),
        ({"e1": 0}, "e1=0"),
        ({"e2": -1}, "e2=-1"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"seed": 0.5}, "seed=0.5"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LabSetting(**settings)


def test_settings_come_from_the_recipe_and_fit_the_lab():
    setting = LabSetting()
    assert (setting.poisoning_rate, setting.e1, setting.gamma, setting.lr) == (0.1, 4, 0.02, 0.005)
    other = LabSetting("cifar10", "SIG")
    assert (other.poisoning_rate, other.e1, other.gamma, other.lr) == (0.08, 10, 0.01, 0.01)
    recommended = small(Store()).recommended("cifar10", seed=2)
    assert (recommended.e1, recommended.e2, recommended.seed) == (3, 3, 2)


def test_supervised_learning_that_diverges_says_so(monkeypatch):
    recipe = replace(SHAPES10, dlp=replace(SHAPES10.dlp, supervised=Supervised(lr=1e6)))
    monkeypatch.setitem(RECIPES, "shapes10", recipe)
    lab = small(Store())
    with pytest.raises(Diverged, match="SL diverged"):
        lab.work(SETTING, never, never)
    assert lab.look(SETTING).selection is None


def test_what_the_data_cannot_give_is_refused():
    lab = small(Store())
    with pytest.raises(ValueError, match=r"largest possible rate is 0\.1"):
        lab.work(LabSetting(attack="SIG", poisoning_rate=0.3), never, never)


def test_the_newest_job_replaces_the_others():
    done = []
    errors = []
    started = threading.Event()
    jobs = LatestJob(errors.append)

    def endless(check):
        started.set()
        while True:
            check()
            time.sleep(0.01)

    jobs.submit(endless)
    started.wait(5)
    for name in "abc":
        jobs.submit(lambda check, name=name: (check(), done.append(name)))
    jobs.wait()
    assert done[-1] == "c"
    assert "a" not in done or done == ["a", "b", "c"]  # those in between may never run
    assert not errors


def test_a_job_can_be_stopped_and_its_errors_are_told():
    errors = []
    ended = []
    jobs = LatestJob(errors.append)

    def job(check):
        try:
            while True:
                check()
                time.sleep(0.01)
        finally:
            ended.append(True)

    jobs.submit(job)
    time.sleep(0.05)
    jobs.submit(None)
    jobs.wait()
    assert ended == [True]
    jobs.submit(lambda check: 1 / 0)
    jobs.wait()
    assert [type(error) for error in errors] == [ZeroDivisionError]
