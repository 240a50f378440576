from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from dlp_lib import BadNets, Blended, Runtime, attacks, poison

ATTACKS = [BadNets(), BadNets(target=3, patch=5), Blended(), Blended(alpha=0.9, pattern_seed=1)]


@dataclass(frozen=True)
class Mark:
    """A clean-label attack, the plainest there is."""

    target: int = 0
    clean_label: ClassVar[bool] = True

    def trigger(self, images):
        images = images.clone()
        images[:, :, 0, 0] = 255
        return images


@pytest.mark.parametrize("attack", [*ATTACKS, Mark()], ids=repr)
def test_poisoning_changes_what_it_says_and_nothing_else(attack, shapes):
    clean = shapes[0]
    before = clean.digest, clean.images.clone()
    tampered, truth = poison(clean, attack, 0.05, Runtime(0))
    assert truth.poisoned.sum() == 15
    assert torch.equal(tampered.images[~truth.poisoned], clean.images[~truth.poisoned])
    assert torch.equal(tampered.images[truth.poisoned], attack.trigger(clean.images[truth.poisoned]))
    assert torch.equal(truth.labels, clean.labels)
    assert torch.equal(tampered.labels, torch.where(truth.poisoned, attack.target, clean.labels))
    assert ((clean.labels[truth.poisoned] == attack.target) == attack.clean_label).all()
    assert tampered.images.dtype == torch.uint8
    assert (tampered.images[truth.poisoned] != clean.images[truth.poisoned]).flatten(1).any(1).all()
    assert torch.equal(clean.images, before[1])


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_poisoning_repeats_by_seed(attack, shapes):
    one, other, same = (poison(shapes[0], attack, 0.1, Runtime(seed)) for seed in (0, 1, 0))
    assert torch.equal(one[1].poisoned, same[1].poisoned)
    assert not torch.equal(one[1].poisoned, other[1].poisoned)
    assert one[0].digest == same[0].digest


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
@pytest.mark.parametrize("value", [0, 255])
def test_triggers_never_wrap_around(attack, value):
    images = torch.full((1, 3, 16, 16), value, dtype=torch.uint8)
    triggered = attack.trigger(images).int()
    if isinstance(attack, Blended):  # it moves towards the pattern, never beyond
        assert ((triggered - attack.pattern(images)).abs() <= (value - attack.pattern(images)).abs() + 0.5).all()
    else:
        assert set(triggered[..., -attack.patch :, -attack.patch :].unique().tolist()) == {0, 255}
        assert (triggered == 255 - value).sum() == 3 * (attack.patch**2 // 2 + (value == 0))


def test_badnets_stamps_a_checkerboard_in_the_corner(shapes):
    images = shapes[0].images[:2]
    triggered = BadNets(patch=3).trigger(images)
    board = [[255, 0, 255], [0, 255, 0], [255, 0, 255]]
    assert triggered[0, 0, -3:, -3:].tolist() == board == triggered[1, 2, -3:, -3:].tolist()
    triggered[:, :, -3:, -3:] = images[:, :, -3:, -3:]
    assert torch.equal(triggered, images)


def test_blended_against_a_plain_reference(shapes):
    images, attack = shapes[0].images[:5], Blended(alpha=0.2)
    pattern = attack.pattern(images).numpy()
    plain = np.clip(np.round(0.8 * images.numpy() + 0.2 * pattern), 0, 255)
    assert (abs(attack.trigger(images).numpy() - plain) <= 1).all()
    assert (attack.trigger(images).numpy() == plain).mean() > 0.999  # but for ties in rounding
    assert pattern.min() >= 0
    assert pattern.max() <= 255


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, "0.1"])
def test_rates_outside_0_and_1_are_refused(rate, shapes):
    with pytest.raises(ValueError, match="poisoning_rate="):
        poison(shapes[0], BadNets(), rate, Runtime())


def test_rates_that_cannot_be_reached_name_the_largest(shapes):
    with pytest.raises(ValueError, match=r"selects 0 of 300"):
        poison(shapes[0], BadNets(), 0.001, Runtime())
    with pytest.raises(ValueError, match=r"selects 60 of 300 images; it can be 1 to 30, so.*rate is 0\.1$"):
        poison(shapes[0], Mark(), 0.2, Runtime())
    assert poison(shapes[0], Mark(), 0.1, Runtime())[1].poisoned.sum() == 30


@pytest.mark.parametrize("target", [-1, 10, 1.5])
def test_targets_outside_the_classes_are_refused(target, shapes):
    with pytest.raises(ValueError, match=f"target={target}: allowed are the classes 0 to 9"):
        poison(shapes[0], BadNets(target=target), 0.1, Runtime())


def test_bad_settings_are_refused(shapes):
    with pytest.raises(ValueError, match="alpha=0"):
        Blended(alpha=0)
    with pytest.raises(ValueError, match="patch=17"):
        BadNets(patch=17).trigger(shapes[0].images)


def test_attacks_by_name():
    assert attacks.ATTACKS["Blended"](target=4) == Blended(target=4)
