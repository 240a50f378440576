"""DLP: its stages in every order, what it refuses, and which models it takes."""

import copy
import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dlp_lib import (
    DLP,
    BadNets,
    Context,
    Diverged,
    FixMatch,
    Runtime,
    Split,
    Store,
    Supervised,
    Unlearn,
    after_each,
    audit,
    evaluate,
    filter_precision,
    load,
    poison,
    supervised,
    wrn_16_1,
)
from dlp_lib.data import shapes10
from dlp_lib.defences import ORDERS, dlp
from dlp_lib.recipes import SHAPES10

QUICK = DLP(
    gamma=0.05,
    e1=2,
    e2=3,
    supervised=Supervised(lr=0.05),
    unlearn=Unlearn(reestimate=100),
    fixmatch=FixMatch(batch=8, mu=2, steps=3),
)


@pytest.fixture(scope="module")
def ran(tampered):
    """A function that runs DLP in an order, and knows the result when it is asked again."""

    @functools.cache
    def run(order):
        return replace(QUICK, order=order).run(wrn_16_1(10, Runtime(0)), tampered[0])

    return run


def test_arrays_without_mask_or_attack_become_a_model():
    """What a user has: an untrusted set of NumPy arrays, NHWC, and nothing else."""
    images, labels = shapes10.draw(200)
    model = wrn_16_1(10, Runtime())
    result = QUICK.run(model, Split.from_arrays(images.transpose(0, 2, 3, 1), labels))
    assert result.model(torch.rand(2, 3, 16, 16)).shape == (2, 10)
    assert list(result.stages) == ["SL", "AU", "ASSFT"]
    assert not result.model.training
    assert evaluate(result.model, Split.from_arrays(images, labels)).asr is None


def test_the_users_model_is_left_alone(model, tampered, same_state):
    before = copy.deepcopy(model)
    result = QUICK.run(model, tampered[0])
    assert same_state(model, before)
    assert not same_state(result.model, before)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_every_order_runs_its_stages_and_returns_the_last_ones_weights(
    order, model, ran, same_state
):
    result = ran(order)
    assert tuple(result.stages) == order
    loaded = copy.deepcopy(model)
    result.stages[order[-1]].load(loaded)
    assert same_state(result.model, loaded)


def test_runs_repeat_by_seed(model, tampered, same_state):
    runs = [QUICK.run(model, tampered[0], Context(Runtime(seed))) for seed in (0, 0, 1)]
    assert same_state(runs[0].model, runs[1].model)
    assert not same_state(runs[0].model, runs[2].model)


def test_a_compiled_model_comes_to_the_same(model, tampered, same_state):
    """The compiler that a user had is kept: here one that only traces the model."""
    stages = []
    context = Context(progress=lambda stage, *_: stages.append(stage))
    compiled = torch.compile(model, backend="eager")
    result = QUICK.run(compiled, tampered[0], context)
    assert isinstance(result.model, type(compiled))
    assert same_state(result.model, QUICK.run(model, tampered[0]).model)
    stages.clear()
    again = QUICK.run(torch.compile(model, backend="eager"), tampered[0], context)
    assert stages == []
    assert same_state(again.model, result.model)


class Wrapped(nn.Module):
    """A model of the user's own without ``features`` and ``head``, which counts as false."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def __len__(self):
        return 0

    def forward(self, x):
        return self.model(x)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_model_whose_length_is_0_comes_to_the_same(
    order, model, ran, tampered, shapes, same_state
):
    result = replace(QUICK, order=order).run(Wrapped(model), tampered[0])
    plain = ran(order)
    assert same_state(result.model, plain.model)
    assert after_each(result, shapes[1], BadNets()) == after_each(plain, shapes[1], BadNets())


def test_stored_stages_are_read_and_settings_reuse_what_they_do_not_touch(
    model, tampered, tmp_path, same_state
):
    computed = []
    context = Context(store=Store(tmp_path), progress=lambda stage, *_: computed.append(stage))
    first = QUICK.run(model, tampered[0], context)
    assert computed == ["SL"] * 2 + ["AU"] * 3 + ["ASSFT"]
    computed.clear()
    assert same_state(QUICK.run(model, tampered[0], context).model, first.model)
    assert computed == []
    replace(QUICK, gamma=0.1).run(model, tampered[0], context)
    assert "SL" not in computed
    computed.clear()
    replace(QUICK, e1=3, order=("SL",)).run(model, tampered[0], context)
    assert computed == ["SL"]  # the third epoch alone
    computed.clear()
    replace(QUICK, e2=5, order=("SL", "AU")).run(model, tampered[0], context)
    assert computed == ["AU", "AU"]


@pytest.mark.parametrize(
    ("settings", "stage"),
    [
        ({"supervised": Supervised(lr=1e6)}, "SL"),
        ({"fixmatch": FixMatch(batch=8, mu=2, steps=60, lr=1e30)}, "ASSFT"),
    ],
)
def test_a_stage_that_diverges_is_named(settings, stage, model, tampered):
    with pytest.raises(Diverged, match=f"^{stage} diverged in block .* is not finite"):
        replace(QUICK, **settings).run(model, tampered[0])


def test_the_selection_is_made_on_the_last_logits_of_stage_1(model, tampered):
    result = replace(QUICK, order=("SL",)).run(model, tampered[0])
    probabilities = result.logits.softmax(1)
    entropy = -(probabilities * probabilities.log2()).sum(1)
    highest = entropy[result.selection.suspected].max()
    assert (entropy <= highest).sum() == len(result.selection.suspected) == 15
    sizes = tampered[0].labels.bincount().tolist()
    assert list(result.selection.quotas) == [min(15, size // 2) for size in sizes]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.55])
def test_stage_3_does_not_see_the_easiest_samples(share, model, tampered, monkeypatch):
    calls = []

    class NoStage:
        def expect_finite(self):
            return self

    def catch(model, split, trusted, *rest):
        calls.append((split, trusted))
        return NoStage()

    monkeypatch.setattr(dlp, "fixmatch", catch)
    result = replace(QUICK, order=("SL", "ASSFT"), exclude_easiest=share).run(model, tampered[0])
    split, trusted = calls[0]
    selected = result.selection.trusted
    assert torch.equal(split.images[trusted], tampered[0].images[selected])
    assert torch.equal(split.labels[trusted], tampered[0].labels[selected])
    probabilities = result.logits.softmax(1)
    suspicion = (probabilities * probabilities.log2()).sum(1)
    hardest = suspicion.argsort(descending=True)[int(share * 300) :]
    stays = sorted({*hardest.tolist(), *selected.tolist()})
    assert torch.equal(split.images, tampered[0].images[stays])


@pytest.mark.parametrize(
    "setting",
    [
        {"gamma": 1.5},
        {"e1": 0},
        {"e1": 1.5},
        {"e2": -1},
        {"e2": None},
        {"order": ("AU", "SL")},
        {"order": "SL"},
        {"exclude_easiest": 1},
    ],
)
def test_bad_settings_are_refused(setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"{name}="):
        replace(QUICK, **setting)


def black(labels, size=16, classes=tuple("abcdefghij")):
    images = np.zeros((len(labels), 3, size, size), np.uint8)
    return Split.from_arrays(images, labels, classes)


TEN = list(range(10)) * 4


@pytest.mark.parametrize(
    ("settings", "tampered_set", "message"),
    [
        ({"gamma": 0.01}, black(TEN), "selects no sample of 40"),
        ({"gamma": 0.1, "quota": "total"}, black(TEN), "none of some class"),
        ({"quota": "most"}, black(TEN), "quota='most'"),
        ({}, black(list(range(9)) * 4), "holds 0 samples of class 'j'"),
        ({}, black(TEN, size=7), r"\(7, 7\) pixels: allowed are 8×8"),
        ({}, black([0, 1] * 20, classes=None), "tells 10 classes apart.*the 2 that tampered has"),
    ],
)
def test_bad_input_is_refused_before_any_training(settings, tampered_set, message, model, tmp_path):
    store = Store(tmp_path / "store")
    context = Context(store=store, progress=lambda *_: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **settings).run(model, tampered_set, context)
    assert not (tmp_path / "store").exists()


def test_dlp_removes_a_backdoor():
    """BadNets on 1,500 shapes is learned, found, unlearned, and does not come back."""
    runtime = Runtime(0)
    context = Context(runtime)
    train, test = load("shapes10", 1500, 500)
    model = wrn_16_1(10, runtime)
    tampered, truth = poison(train, BadNets(), 0.1, context)
    method = replace(SHAPES10.dlp, gamma=0.04, e1=8, fixmatch=FixMatch(mu=3, steps=100))
    result = method.run(model, tampered, context)
    after_stage_1 = audit(result.stages["SL"], model, test, BadNets(), [8])[0]
    assert after_stage_1["asr"] > 0.9
    selection = result.selection
    precision = filter_precision(selection.suspected, selection.trusted, truth)
    assert precision["suspected"] > 0.8
    metrics = evaluate(result.model, test, BadNets())
    assert metrics.asr < 0.15
    assert metrics.ca > max(0.5, after_stage_1["ca"])
    supervised(model, tampered, 10, method.supervised, context)  # the first 8 are those of stage 1
    assert evaluate(model, test, BadNets()).asr > 0.9  # training alone does not remove it
