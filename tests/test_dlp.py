import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from dlp_lib import (
    DLP,
    BadNets,
    Context,
    FixMatch,
    Runtime,
    Split,
    Store,
    Supervised,
    Unlearn,
    after_each,
    audit,
    evaluate,
    wrn_16_1,
)
from dlp_lib.data import shapes10
from dlp_lib.defences import dlp as pipeline
from dlp_lib.defences.dlp import ORDERS
from dlp_lib.recipes import SHAPES10

QUICK = DLP(
    gamma=0.05,
    e1=2,
    e2=3,
    supervised=Supervised(lr=0.05),
    unlearn=Unlearn(reestimate=100),
    fixmatch=FixMatch(batch=8, mu=2, steps=3),
)


def test_arrays_without_mask_or_attack_become_a_model():
    """The door for a user's own untrusted set: NumPy arrays, NHWC, nothing else known."""
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
def test_every_order_runs_its_stages_and_shares_the_first(order, model, tampered, same_state):
    result = replace(QUICK, order=order).run(model, tampered[0])
    assert tuple(result.stages) == order
    left = copy.deepcopy(model)
    last = result.stages[order[-1]]
    last.checkpoints.load(left, last.selected_block, reestimated=order[-1] == "AU")
    assert same_state(result.model, left)


def test_runs_repeat_by_seed(model, tampered, same_state):
    runs = [QUICK.run(model, tampered[0], Context(Runtime(seed))) for seed in (0, 0, 1)]
    assert same_state(runs[0].model, runs[1].model)
    assert not same_state(runs[0].model, runs[2].model)


def test_stored_stages_are_read_and_knobs_reuse_what_they_do_not_touch(
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


def test_the_selection_is_made_on_the_last_logits_of_stage_1(model, tampered):
    result = replace(QUICK, order=("SL",)).run(model, tampered[0])
    probabilities = result.logits.softmax(1)
    entropy = -(probabilities * probabilities.log2()).sum(1)
    cut = entropy[result.selection.suspected].max()
    assert (entropy <= cut).sum() == len(result.selection.suspected) == 15
    sizes = tampered[0].labels.bincount().tolist()
    assert list(result.selection.quotas) == [min(15, size // 2) for size in sizes]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_stage_3_does_not_see_what_is_set_aside(share, model, tampered, monkeypatch):
    seen = []
    monkeypatch.setattr(
        pipeline, "fixmatch", lambda _, split, trusted, *rest: seen.append((split, trusted))
    )
    result = replace(QUICK, order=("SL", "ASSFT"), exclude_easiest=share).run(model, tampered[0])
    (split, trusted), ours = seen[0], result.selection.trusted
    assert torch.equal(split.images[trusted], tampered[0].images[ours])
    assert torch.equal(split.labels[trusted], tampered[0].labels[ours])
    probabilities = result.logits.softmax(1)
    order = (probabilities * probabilities.log2()).sum(1).argsort(descending=True)
    kept = sorted({*order[int(share * 300) :].tolist(), *ours.tolist()})
    assert torch.equal(split.images, tampered[0].images[kept])
    with pytest.raises(ValueError, match="exclude_easiest=1: allowed"):
        replace(QUICK, exclude_easiest=1)


def test_audit_sees_every_recorded_block_and_both_sides_of_unlearning(model, tampered, shapes):
    result = QUICK.run(model, tampered[0])
    rows = audit(result.stages["AU"], model, shapes[1], BadNets(), [1, 3])
    assert [(row["block"], row["reestimated"]) for row in rows] == [
        (1, False),
        (1, True),
        (3, False),
        (3, True),
    ]
    assert all(0 <= row["ca"] <= 1 and row["n_triggered"] == 180 for row in rows)
    assert audit(result.stages["AU"], model, shapes[1], BadNets(), [1, 3], views=(True,)) == [
        rows[1],
        rows[3],
    ]
    final = audit(result.stages["ASSFT"], model, shapes[1], BadNets(), [1])[0]
    assert final["ca"] == evaluate(result.model, shapes[1]).ca


def test_after_each_judges_what_every_stage_left(model, tampered, shapes):
    result = QUICK.run(model, tampered[0])
    measured = after_each(result, shapes[1], BadNets())
    assert list(measured) == ["SL", "AU", "ASSFT"]
    assert measured["ASSFT"] == evaluate(result.model, shapes[1], BadNets())
    for order in (("SL",), ("SL", "AU")):
        part = replace(QUICK, order=order).run(model, tampered[0])
        assert measured[order[-1]] == evaluate(part.model, shapes[1], BadNets())
    nothing = replace(QUICK, e2=0, order=("SL", "AU")).run(model, tampered[0])
    assert after_each(nothing, shapes[1])["AU"] == after_each(nothing, shapes[1])["SL"]


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
    ],
)
def test_bad_settings_are_refused(setting):
    [(name, _)] = setting.items()
    with pytest.raises(ValueError, match=f"{name}="):
        replace(QUICK, **setting)


def small(labels, size=16):
    images = np.zeros((len(labels), 3, size, size), np.uint8)
    return Split.from_arrays(images, labels, tuple("abcdefghij"))


@pytest.mark.parametrize(
    ("dlp", "tampered_set", "message"),
    [
        (replace(QUICK, gamma=0.01), small(list(range(10)) * 4), "selects no sample of 40"),
        (
            replace(QUICK, gamma=0.1, quota="total"),
            small(list(range(10)) * 4),
            "none of some class",
        ),
        (replace(QUICK, quota="most"), small(list(range(10)) * 4), "quota='most'"),
        (QUICK, small(list(range(9)) * 4), "holds 0 samples of class 'j'"),
        (QUICK, small(list(range(10)) * 4, size=7), r"\(7, 7\) pixels: allowed are 8×8"),
        (
            QUICK,
            Split.from_arrays(np.zeros((40, 3, 16, 16), np.uint8), [0, 1] * 20),
            "tells 10 classes apart.*has 2",
        ),
    ],
)
def test_bad_input_is_refused_before_any_training(dlp, tampered_set, message, model, tmp_path):
    context = Context(
        store=Store(tmp_path / "store"), progress=lambda *_: pytest.fail("it trained")
    )
    with pytest.raises(ValueError, match=message):
        dlp.run(model, tampered_set, context)
    assert not (tmp_path / "store").exists()


def test_dlp_removes_a_backdoor():
    """The real thing, small: BadNets on 1,500 shapes is learned, found, unlearned, and stays away."""
    from dlp_lib import filter_precision, load, poison, supervised

    runtime = Runtime(0)
    train, test = load("shapes10", 1500, 500)
    model, context = wrn_16_1(10, runtime), Context(runtime)
    tampered, truth = poison(train, BadNets(), 0.1, context)
    dlp = replace(SHAPES10, gamma=0.04, e1=8, fixmatch=FixMatch(mu=3, steps=100))
    result = dlp.run(model, tampered, context)
    attacked = audit(result.stages["SL"], model, test, BadNets(), [8])[0]
    assert attacked["asr"] > 0.9
    assert (
        filter_precision(result.selection.suspected, result.selection.trusted, truth)["suspected"]
        > 0.8
    )
    defended = evaluate(result.model, test, BadNets())
    assert defended.asr < 0.15
    assert defended.ca > max(0.5, attacked["ca"])
    supervised(model, tampered, 16, dlp.supervised, context)
    assert evaluate(model, test, BadNets()).asr > 0.9  # which training alone does not do
