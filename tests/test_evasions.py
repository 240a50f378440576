"""Attacks of which each image gets another form: what the record "evasions" is measured with."""

import pytest
import torch

from dlp_lib import Context, poison
from dlp_lib.attacks.badnets import checkerboard
from dlp_lib.defences import estimate_trigger
from dlp_lib.experiments.record.beyond import EVASIONS
from dlp_lib.experiments.record.evasions import RandomPhase, RandomPlace, TwoTriggers


@pytest.fixture
def images(shapes):
    return shapes[0].images[:200]


def test_the_patch_lies_at_many_places_and_nothing_else_changes(images):
    stamped = RandomPlace().trigger(images)
    windows = stamped.unfold(2, 3, 1).unfold(3, 3, 1)  # (n, 3, 14, 14, 3, 3)
    is_board = (windows == checkerboard(3, images.device)).all(5).all(4).all(1)
    assert is_board.flatten(1).any(1).all()
    assert len(is_board.float().flatten(1).argmax(1).unique()) > 50
    assert ((stamped != images).any(1).flatten(1).sum(1) <= 9).all()


def test_one_of_two_triggers_is_on_each_image(images):
    stamped = TwoTriggers().trigger(images)
    has_patch = (stamped[:, :, -3:, -3:] == checkerboard(3, images.device)).flatten(1).all(1)
    assert 50 < has_patch.sum() < 150
    assert torch.equal(stamped[has_patch][..., :10, :], images[has_patch][..., :10, :])
    assert (stamped[~has_patch] != images[~has_patch]).flatten(1).any(1).all()


def test_waves_of_random_phase_leave_no_shift(images):
    grey = torch.full_like(images, 100)
    grey[:, 0, 0, 0] = torch.arange(200) % 256  # another phase in each
    changes = RandomPhase(delta=60).trigger(grey).float() - grey.float()
    assert changes.abs().mean() > 30
    assert changes[..., 1:, :].mean(0).abs().max() < 8


@pytest.mark.parametrize("name", EVASIONS)
def test_each_poisons_and_is_the_same_whenever_it_is_asked(name, shapes):
    attack, rate = EVASIONS[name]
    images = shapes[0].images
    assert torch.equal(attack.trigger(images), attack.trigger(images.clone()))
    tampered, truth = poison(shapes[0], attack, rate, Context())
    suspected = truth.poisoned.nonzero()[:, 0]
    assert (estimate_trigger(tampered, suspected).scale <= 1).all()
