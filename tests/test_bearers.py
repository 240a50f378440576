"""Bearers: samples that show what the suspects have in common, and when that is a trigger."""

import copy
import importlib
from dataclasses import replace

import pytest
import torch

from dlp_lib import DLP, SIG, BadNets, Blended, Context, FixMatch, Runtime, Split, Store, poison
from dlp_lib.data import shapes10
from dlp_lib.defences import Bearers, PixelCovariance, bearers, find_bearers, revealed_e1
from dlp_lib.training import Checkpoints, Stage


@pytest.fixture(scope="module")
def many():
    """1,500 images of 8×8: nearly eight for each of their 192 values."""
    images, labels = shapes10.draw(1500, 8)
    return Split.from_arrays(images, labels, shapes10.CLASSES)


@pytest.mark.parametrize("attack", [BadNets(patch=2), Blended(), SIG(delta=60, frequency=3)])
@pytest.mark.parametrize("pure", [1.0, 0.8])
def test_a_few_suspects_find_all_poison_and_nothing_else(attack, pure, many):
    rate = 0.08 if attack.clean_label else 0.1
    tampered, truth = poison(many, attack, rate, Context())
    poisoned = truth.poisoned.nonzero()[:, 0]
    clean = (~truth.poisoned & (tampered.labels == 0)).nonzero()[:, 0]
    count = int(40 * pure)
    suspected = torch.cat([poisoned[:count], clean[: 40 - count]])
    found = find_bearers(tampered, suspected)
    assert found.is_clear
    assert torch.equal(found.samples, poisoned)
    assert torch.equal(found.usable(tampered), poisoned)


@pytest.mark.parametrize("label", [0, 3, 8])
def test_suspects_of_one_clean_class_are_no_sign(label, many):
    suspected = (many.labels == label).nonzero()[:40, 0]
    found = find_bearers(many, suspected)
    assert not found.is_clear
    assert len(found.usable(many)) == 0


def test_the_discriminant_against_a_plain_reference(many):
    mask = torch.zeros(len(many), dtype=torch.bool)
    mask[:60] = True
    x = many.images.double().flatten(1)
    within = torch.cat([x[mask] - x[mask].mean(0), x[~mask] - x[~mask].mean(0)])
    covariance = within.T @ within / len(x) + 64 * torch.eye(192, dtype=torch.float64)
    difference = x[mask].mean(0) - x[~mask].mean(0)
    direction = covariance.inverse() @ difference
    middle = (x[mask].mean(0) + x[~mask].mean(0)) / 2
    scores, distance = PixelCovariance(many.images).discriminant(mask)
    torch.testing.assert_close(scores, (x - middle) @ direction)
    assert distance == pytest.approx((difference @ direction).item())


@pytest.mark.parametrize(
    ("n", "size", "side"), [(1500, 8, 8), (600, 8, 6), (60, 8, 2), (2, 8, 2), (60_000, 64, 32)]
)
def test_images_are_averaged_where_samples_are_few(n, size, side):
    images = torch.zeros(1, 3, size, size, dtype=torch.uint8).expand(n, -1, -1, -1)
    assert bearers.side_for(images) == side


@pytest.mark.parametrize("suspected", [torch.tensor([3]), torch.arange(1499)])
def test_too_few_suspects_or_others_are_refused(suspected, many):
    with pytest.raises(ValueError, match="samples; allowed are 2 to 1498"):
        find_bearers(many, suspected)


def test_bearers_are_not_used_where_a_class_would_be_lost(many):
    whole = (many.labels == 2).nonzero()[:, 0]
    assert len(Bearers(whole, 1e4).usable(many)) == 0
    assert len(Bearers(whole[2:], 1e4).usable(many)) == len(whole) - 2
    assert len(Bearers(whole[2:], 10.0).usable(many)) == 0


def stage_of(suspicions, tampered):
    """A stage after whose epochs those samples are the surest that are named."""
    checkpoints = Checkpoints(Store(), "SL")
    history = []
    for block, surest in enumerate(suspicions, 1):
        logits = torch.zeros(len(tampered), 10)
        logits[surest, 0] = 9.0
        row = {"block": block, "diverged": False}
        checkpoints.write(block, {"logits": logits}, row)
        history.append(row)
    return Stage("SL", checkpoints, history, len(history))


def test_e1_is_the_first_epoch_whose_suspects_show_a_trigger(many):
    tampered, truth = poison(many, BadNets(patch=2), 0.1, Context())
    poisoned = truth.poisoned.nonzero()[:40, 0]
    clean = (~truth.poisoned & (many.labels == 3)).nonzero()[:40, 0]
    stage = stage_of([clean, clean, poisoned, clean, poisoned], tampered)
    gamma = 40 / 1500
    assert revealed_e1(stage, tampered, gamma) == 3
    assert revealed_e1(stage, tampered, gamma, first=4) == 5
    assert revealed_e1(stage_of([clean], tampered), tampered, gamma) is None
    with pytest.raises(ValueError, match="first=0: allowed are whole numbers"):
        revealed_e1(stage, tampered, gamma, first=0)


QUICK = DLP(
    gamma=0.03,
    e1=1,
    order=("SL", "ASSFT"),
    fixmatch=FixMatch(batch=8, mu=2, steps=2, immunise=0.5),
    exclude_bearers=True,
)


def test_dlp_trusts_no_bearer_and_fine_tunes_without_them(many, model, monkeypatch):
    tampered, truth = poison(many, BadNets(patch=2), 0.1, Context())
    seen = []

    def spy(model, data, trusted, config, context, trigger):
        seen.append((data, trusted, trigger))
        return fixmatch(model, data, trusted, config, context, trigger)

    module = importlib.import_module("dlp_lib.defences.dlp")
    fixmatch = module.fixmatch
    monkeypatch.setattr(module, "fixmatch", spy)
    poisoned = truth.poisoned.nonzero()[:, 0]
    monkeypatch.setattr(module, "find_bearers", lambda *_: Bearers(poisoned, 1e4))
    result = QUICK.run(model, tampered)
    assert torch.equal(result.bearers, poisoned)
    assert not truth.poisoned[result.selection.trusted].any()
    ((data, trusted, _),) = seen
    assert len(data) == len(tampered) - len(poisoned)
    counts = data.labels[trusted].bincount(minlength=10)
    assert counts.min() == counts.max()  # of each class as many


def test_without_a_sign_dlp_is_as_it_is_without_looking(many, model, same_state, monkeypatch):
    plain = replace(QUICK, exclude_bearers=False).run(copy.deepcopy(model), many)
    looked = QUICK.run(model, many, Context(Runtime(0)))
    assert len(looked.bearers) == 0
    assert plain.bearers is None
    assert same_state(plain.model, looked.model)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_what_is_no_flag_is_refused(value):
    with pytest.raises(ValueError, match=r"exclude_bearers=.*: allowed are True and False"):
        DLP(exclude_bearers=value)
