"""SimCLR: its loss, its views, and what it leaves alone."""

import copy
from dataclasses import replace

import torch

from dlp_lib import Context, Runtime, logits_and_features
from dlp_lib.defences import SimCLR, simclr

QUICK = SimCLR(epochs=2, batch=128)


def test_nt_xent_against_loops():
    z = torch.randn(10, 7, generator=torch.Generator().manual_seed(0))
    temperature = 0.5

    def similarity(i, j):
        return (z[i] @ z[j] / (z[i].norm() * z[j].norm()) / temperature).exp()

    losses = []
    for i in range(10):
        partner = i + 5 if i < 5 else i - 5
        others = sum(similarity(i, j) for j in range(10) if j != i)
        losses.append(-(similarity(i, partner) / others).log())
    torch.testing.assert_close(simclr.nt_xent(z, temperature), torch.stack(losses).mean())


def test_views_show_a_part_of_the_image():
    images = torch.zeros(400, 3, 16, 16, dtype=torch.uint8)
    images[:, :, :, 8:] = 255  # black on the left, white on the right
    draws = simclr.draw_view(400, 0.2, torch.Generator().manual_seed(0))
    views = simclr.view(images, draws)
    assert views.dtype == torch.uint8
    assert views.shape == images.shape
    for view in views:  # no third colour, no border
        assert len(view.flatten(1).unique(dim=1).T) <= 2
    has_colour_of_left_border = (views == views[:, :, :, :1]).all(1)
    share = has_colour_of_left_border.double().mean((1, 2))
    assert share.min() < 0.3
    assert share.max() == 1
    assert 0.4 < share.mean() < 0.8


def test_views_have_new_colours(shapes):
    draws = simclr.draw_view(300, 1.0, torch.Generator().manual_seed(0))
    views = simclr.view(shapes[0].images, draws)
    brightness = views.double().mean((2, 3)) - 127.5
    assert brightness.abs().mean() < 60  # centred
    assert brightness.std() > 20  # and of every brightness


def test_labels_do_not_matter_to_the_features(model, tampered, same_state):
    split = tampered[0]
    other_labels = replace(split, labels=(split.labels + 1) % 10)
    one = copy.deepcopy(model)
    other = copy.deepcopy(model)
    simclr.simclr(one, split, QUICK, Context(Runtime(0)))  # each with a store of its own
    simclr.simclr(other, other_labels, QUICK, Context(Runtime(0)))
    assert same_state(one, other)
    assert not same_state(one, model)
    before = logits_and_features(model, split.images[:50]).features
    after = logits_and_features(one, split.images[:50]).features
    assert not torch.allclose(before, after)


def test_head_and_submodules_stay_as_they_were(model, tampered, same_state):
    """A submodule of the user's may have the name "projection"."""
    model.projection = torch.nn.Linear(2, 2)
    trained = copy.deepcopy(model)
    simclr.simclr(trained, tampered[0], QUICK, Context(Runtime(0)))
    assert same_state(trained.head, model.head)
    assert same_state(trained.projection, model.projection)
    assert list(dict(trained.named_children())) == list(dict(model.named_children()))
