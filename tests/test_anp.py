"""Adversarial neuron pruning: masks, the adversary, and what is pruned."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from dlp_lib import Context, logits_and_features
from dlp_lib.defences import ANP, Training, anp
from dlp_lib.models.interface import to_float


def test_every_scale_and_shift_is_perturbed(case):
    model = copy.deepcopy(case.trained).eval()
    masks = anp.Masks(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for mask in masks.masks:
            mask.uniform_(0, 1, generator=generator)
    noise = []
    for mask in [*masks.masks, *masks.masks]:
        noise.append(torch.rand(mask.shape, generator=generator) - 0.5)
    images = to_float(case.clean.images)
    found = torch.func.functional_call(model, anp.perturbed(model, masks, noise), (images,))
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for i, layer in enumerate(layers):
            layer.weight.mul_(masks.masks[i] + noise[i])
            layer.bias.mul_(1 + noise[len(layers) + i])
    assert torch.allclose(found, model(images), atol=1e-5)


def test_the_adversary_stays_in_its_bound_and_does_harm():
    torch.manual_seed(0)
    like = [torch.ones(50), torch.ones(20)]
    weights = [torch.randn_like(part) for part in like]

    def loss(noise):
        products = [(weight * part).sum() for weight, part in zip(weights, noise, strict=True)]
        return sum(products)

    noise = anp.adversary(loss, like, 0.4, 1)
    for weight, part in zip(weights, noise, strict=True):
        assert part.abs().max() <= 0.4
        assert not part.requires_grad
        # One full step in the direction of the sign, clipped at the bound
        assert (part * weight.sign() >= 0).all()
    noise = anp.adversary(loss, like, 0.4, 5)
    assert loss(noise) > 0
    assert all(part.abs().max() <= 0.4 for part in noise)


def test_masks_stay_between_0_and_1_and_the_models_statistics_as_they_were(case, monkeypatch):
    lowest = []
    highest = []
    original = anp.perturbed

    def spy(model, masks, noise):
        lowest.append(min(mask.min().item() for mask in masks.masks))
        highest.append(max(mask.max().item() for mask in masks.masks))
        return original(model, masks, noise)

    monkeypatch.setattr(anp, "perturbed", spy)
    method = ANP(training=Training(lr=50.0, batch=16, epochs=2), allowed=0.99)
    result = method.run(case.trained, case.clean, Context())
    assert len(lowest) == 3 * 2 * 3  # batches, epochs, passes
    assert min(lowest) == 0  # at that rate some masks reach it
    assert max(highest) <= 1
    statistics = dict(case.trained.named_buffers())
    for name, buffer in result.model.named_buffers():
        assert torch.equal(statistics[name], buffer)


def test_what_the_masks_say_is_pruned_as_far_as_validation_allows(case):
    model = copy.deepcopy(case.trained)
    masks = anp.Masks(model)
    with torch.no_grad():
        masks.masks[0][:2] = 0.1
        masks.masks[-1][:] = 0.5
    # By its own answers the model has an accuracy of 100 %
    answers = logits_and_features(model, case.test.images).logits.argmax(1)
    assert len(answers.unique()) > 1
    validation = replace(case.test, labels=answers)
    generous = anp.prune(model, masks, validation, 0.999)
    assert (generous.get_submodule(masks.names[0]).weight[:2] == 0).all()
    assert (generous.get_submodule(masks.names[-1]).weight == 0).all()
    # Without its last layer the model tells nothing apart
    strict = anp.prune(model, masks, validation, 1e-9)
    assert (strict.get_submodule(masks.names[-1]).weight != 0).all()


def test_the_highest_threshold_that_is_allowed_need_not_follow_the_others():
    accuracies = [0.9] * 20
    accuracies[5:12] = [0.2] * 7
    accuracies[16:] = [0.2] * 4
    assert anp.highest_threshold(accuracies, 0.9) == 0.75
    assert anp.highest_threshold(accuracies, 0.91) is None


def test_a_model_without_batch_norm_is_refused():
    with pytest.raises(ValueError, match="Linear has no batch-norm layer"):
        anp.Masks(nn.Linear(3, 2))
