"""Notebook 01: mask and blend, candidates and the largest rate, a wave, adversarial noise."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..attacks import SIG, BadNets, Blended
from .base import again, as_mask, call, expect, right, same, several
from .controls import clean_model as clean_model

_ROUNDED_DOWN = "this is rounded down, as .to(torch.uint8) does: round to the nearest first"


def _expect_uint8(answer: Any) -> None:
    dtype = str(getattr(answer, "dtype", None)).removeprefix("torch.")
    expect(dtype == "uint8", "pixels are whole numbers: end with .to(torch.uint8)")


def mixed(answer: Callable) -> None:
    """Check ``answer(images, weight, pattern)``: (1 - weight)·images + weight·pattern, as uint8."""
    images = (torch.arange(96) * 2).view(2, 3, 4, 4).to(torch.uint8)
    pattern = Blended().pattern(images)
    x = images.float()
    blended = call(answer, images, torch.tensor(0.2), pattern)
    _expect_uint8(blended)
    mistakes = {
        "the weights have changed places: w belongs to the pattern": (
            0.2 * x + 0.8 * pattern
        ).round(),
        "the pattern is added: the image has to give way, and keeps 1 − w of itself": (
            x + 0.2 * pattern
        ).round(),
        _ROUNDED_DOWN: (0.8 * x + 0.2 * pattern).floor(),
    }
    same("the blended image", blended, Blended(alpha=0.2).trigger(images), mistakes)
    mask = torch.zeros(4, 4)
    mask[2:, 2:] = 1
    stamped = BadNets(patch=2).trigger(images)
    pattern = stamped[0].float().where(mask.bool(), 77.0)
    everywhere = pattern.expand(images.shape)
    mistakes = {"the pattern shows outside the mask, too, where w is 0": everywhere}
    same("the image with a mask", call(answer, images, mask, pattern), stamped, mistakes)
    wide = (torch.arange(90) * 53 % 256).view(1, 3, 5, 6).to(torch.uint8)
    flat = torch.full((3, 5, 6), 200.0)
    shades = torch.tensor([0.0, 0.4, 1.0]).repeat(5, 2)
    blended = (1 - shades) * wide.float() + shades * flat
    draws = {
        "with a weight of 0.6": (
            (wide, torch.tensor(0.6), flat),
            (0.4 * wide + 0.6 * flat).round(),
        ),
        "with a weight between 0 and 1 for every place": ((wide, shades, flat), blended.round()),
    }
    again("the image", answer, draws)
    right(
        "Under a mask nothing of the image is left; with a small w nearly all of it is, everywhere."
    )


def candidates(answer: Callable) -> None:
    """Check ``answer(labels, target, clean_label)``: who can be poisoned, and the largest rate.

    The first is a mask (n,), the second a share of the whole set.
    """
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2])
    sizes = "these have 3, 2 and 7 images"
    _check_candidates(
        call(answer, labels, 1, False),
        labels != 1,
        f"a poison-label attack takes images of the other classes; {sizes}",
        with_equal_classes=2 / 3,
    )
    _check_candidates(
        call(answer, labels, 1, True),
        labels == 1,
        f"a clean-label attack takes images of the target class; {sizes}",
        with_equal_classes=1 / 3,
    )
    again(
        ("the mask", "the largest rate"),
        answer,
        {
            "for the target 2": ((labels, 2, False), (labels != 2, 5 / 12)),
            "for the target 0 and clean labels": ((labels, 0, True), (labels == 0, 3 / 12)),
            "for other labels": ((labels[3:], 1, True), (labels[3:] == 1, 2 / 9)),
        },
    )
    right(
        "In ten equal classes that is 90 % against 10 %: "
        "a clean-label attack at 9 % leaves one true image in ten."
    )


def _check_candidates(answer: Any, mask: Tensor, hint: str, with_equal_classes: float) -> None:
    answered_mask, rate = several(answer, 2, "return a mask, and a share")
    form = "a mask is wanted: True or False for each image"
    answered_mask = as_mask(answered_mask, len(mask), form)
    mistakes = {f"these are those that it does not take: {hint}": ~mask}
    same("the mask", answered_mask, mask, mistakes)
    mistakes = {
        "this is a number of images: a rate is a share": mask.sum(),
        "this is a share of the candidates: a poisoning rate is one of the *whole* set": 1,
        "that is right for classes of equal size only: these have 3, 2 and 7 images": (
            with_equal_classes
        ),
        "this is the share of those who cannot be poisoned": (~mask).double().mean(),
    }
    same("the largest rate", rate, mask.double().mean(), mistakes)


def wave(answer: Callable) -> None:
    """Check ``answer(images, delta, frequency)``: uint8 images with SIG's wave."""
    images = (torch.arange(240) * 37 % 256).view(2, 3, 5, 8).to(torch.uint8)
    rows = torch.arange(5.0)[:, None]
    columns = torch.arange(8.0)
    waved = call(answer, images, 60, 3)
    _expect_uint8(waved)

    def unrounded(phase: Tensor) -> Tensor:
        return images + 60 * (2 * math.pi * phase).sin()

    good = unrounded(columns * 3 / 8)
    wrong_phases = {
        "the wave runs from top to bottom: j is the column": rows * 3 / 5,
        "the wave runs from top to bottom: j is the column, as w is the width": rows * 3 / 8,
        "columns are counted from 0 here": (columns + 1) * 3 / 8,
        "divide by w, although the last column is number w − 1": columns * 3 / 7,
        "2π is missing: the sine takes radians": columns * 3 / 8 / (2 * math.pi),
        "this is a wave of frequency 1: the other one is not used": columns / 8,
        "the cosine begins at its crest, the sine at 0": columns * 3 / 8 + 0.25,
    }
    mistakes = {}
    for message, phase in wrong_phases.items():
        mistakes[message] = unrounded(phase).round().clamp(0, 255)
    mistakes |= {
        "no pixel has changed: delta is on the scale 0 to 255 already, "
        "and j·f has to be divided by w": images,
        "beyond 0 and 255, numbers of 8 bits start again at the other end: clamp first": (
            good.round() % 256
        ),
        "beyond 0 and 255, numbers of 8 bits start again: round and clamp first": (
            good.trunc() % 256
        ),
        _ROUNDED_DOWN: good.clamp(0, 255).floor(),
    }
    same("the image", waved, SIG(delta=60, frequency=3).trigger(images), mistakes)
    wide = (torch.arange(132) * 29 % 256).view(1, 3, 4, 11).to(torch.uint8)
    draws = {
        "with delta = 25": ((images, 25, 3), SIG(delta=25, frequency=3).trigger(images)),
        "with frequency = 2": ((images, 60, 2), SIG(delta=60, frequency=2).trigger(images)),
        "with 11 columns": ((wide, 40, 5), SIG(delta=40, frequency=5).trigger(wide)),
    }
    again("the image", answer, draws)
    right(
        "Clipping cuts the crests off in very bright and very dark places; "
        "the rest of the wave is left to learn."
    )


class _Evidence(nn.Module):
    """Two logits, of which one is a sum of squares of pixels, and the other 0."""

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.tensor([-1.0, 1.0]).repeat(6).view(3, 2, 2)
        evidence = (weight * (x - 0.5).square()).sum((1, 2, 3))
        return torch.stack([evidence, torch.zeros_like(evidence)], 1)


def hard_images(answer: Callable) -> None:
    """Check ``answer(model, images, labels, epsilon, step, steps)``: images of a large loss.

    They are within epsilon of the images, and within 0 and 1.
    """
    images = torch.linspace(0.01, 0.97, 24).view(2, 3, 2, 2)
    labels = torch.tensor([0, 1])
    model = _Evidence().eval()

    def ascend(
        steps: int = 4,
        step: float = 0.04,
        direction: Callable[[Tensor], Tensor] = Tensor.sign,
        epsilon: float = 0.1,
        low: float = 0.0,
        high: float = 1.0,
        gradient_anew: bool = True,
        momentum: float = 0,
    ) -> Tensor:
        x = images
        gradient = 0
        for _ in range(steps):
            x = x.detach()
            at = (x if gradient_anew else images).detach().requires_grad_()
            loss = cross_entropy(model(at), labels)
            gradient = torch.autograd.grad(loss, at)[0] + momentum * gradient
            x = x + step * direction(gradient)
            x = x.clamp(images - epsilon, images + epsilon).clamp(low, high)
        return x

    good = ascend()
    unclipped = ascend(epsilon=9, low=-9, high=9)
    clipped_once = unclipped.clamp(images - 0.1, images + 0.1).clamp(0, 1)
    mistakes = {
        "the loss falls: go *up* its slope, the images are to be harder": ascend(step=-0.04),
        "the step is along the gradient: take its sign": ascend(direction=Tensor.clone),
        "pixels have left 0 to 1: clip those, too": ascend(low=-9, high=9),
        "pixels are further than ε from where they began: "
        "clip around x₀, not around the last x": ascend(epsilon=9),
        "nothing is clipped: to at most ε from x₀, and to 0 to 1": unclipped,
        "clip in every step, not once at the end": clipped_once,
        "this is the noise alone: return the images with it": good - images,
        "this is one step: go on from there": ascend(steps=1),
        "the gradient is taken once, at x₀: take it anew where each step begins": (
            ascend(gradient_anew=False)
        ),
        "gradients of earlier steps are still in x.grad, and add up: "
        "begin each step with a new x": ascend(momentum=1),
        "no pixel has moved": images,
    }
    hard = call(answer, model, images.clone(), labels, 0.1, 0.04, 4)
    same("the hard image", hard, good, mistakes)
    further = ascend(steps=5, step=0.05, epsilon=0.2)
    draws = {"with other numbers": ((model, images.clone(), labels, 0.2, 0.05, 5), further)}
    again("the hard image", answer, draws)
    _check_with_batch_norm(answer, images)
    right("The sign makes all pixels go equally far, however flat the loss is along them.")


def _check_with_batch_norm(answer: Callable, images: Tensor) -> None:
    """Check one step on a real model, which the answer has to leave as it is."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 3)).eval()
    nn.init.normal_(model[2].weight, generator=generator)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = images.flip(0)
    x = images.clone().requires_grad_()
    labels = torch.tensor([2, 0])
    gradient = torch.autograd.grad(cross_entropy(model(x), labels), x)[0]
    expected = (images + 0.03 * gradient.sign()).clamp(0, 1)
    arguments = model, images.clone(), labels, 0.05, 0.03, 1
    again("the hard image", answer, {"with batch-norm in the model": (arguments, expected)})
    expect(not model.training, "the model was in evaluation mode, and is left in training mode")
    for name, value in model.state_dict().items():
        expect(torch.equal(value, before[name]), f"{name} of the model has changed: leave it")
