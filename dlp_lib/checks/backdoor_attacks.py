"""Notebook 01: mask and blend, candidates and the largest rate, a wave, adversarial noise."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..attacks import SIG, BadNets, Blended
from .base import call, expect, right, same


def mixed(answer: Callable) -> None:
    """``answer(images, weight, pattern)``: uint8 images to (1 - weight)·images + weight·pattern, rounded."""
    images = (torch.arange(96) * 2).view(2, 3, 4, 4).to(torch.uint8)
    pattern, x = Blended().pattern(images), images.float()
    given = call(answer, images, torch.tensor(0.2), pattern)
    expect(
        getattr(given, "dtype", None) == torch.uint8,
        "pixels are whole numbers: end with .to(torch.uint8)",
    )
    mistakes = {
        "the weights have changed places: w belongs to the pattern": (
            0.2 * x + 0.8 * pattern
        ).round(),
        "the pattern is added: the image has to give way, and keeps 1 − w of itself": (
            x + 0.2 * pattern
        ).round(),
        "this is rounded down, as .to(torch.uint8) does: round to the nearest first": (
            0.8 * x + 0.2 * pattern
        ).floor(),
    }
    same("the blended image", given, Blended(alpha=0.2).trigger(images), mistakes)
    mask, stamped = torch.zeros(4, 4), BadNets(patch=2).trigger(images)
    mask[2:, 2:] = 1
    around = stamped.float().where(mask.bool(), 77.0)
    mistakes = {"the pattern shows outside the mask, too, where w is 0": around}
    same("the image with a mask", call(answer, images, mask, around), stamped, mistakes)
    right(
        "Under a mask nothing of the image is left; with a small w nearly all of it is, everywhere."
    )


def candidates(answer: Callable) -> None:
    """``answer(labels, target, clean_label)``: who can be poisoned, as a mask (n,), and the largest poisoning rate."""
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2])
    for kind, clean_label, mask in (("poison", False, labels != 1), ("clean", True, labels == 1)):
        given = call(answer, labels, 1, clean_label)
        expect(isinstance(given, tuple) and len(given) == 2, "return a mask, and a share")
        expect(
            getattr(given[0], "dtype", None) == torch.bool,
            "a mask is wanted: True or False for each image",
        )
        pool = f"a {kind}-label attack takes images of {'the target class' if clean_label else 'the other classes'}"
        same("the mask", given[0], mask, {f"these are those that it does not take: {pool}": ~mask})
        mistakes = {
            "this is a number of images: a rate is a share": mask.sum(),
            "this is a share of the candidates: a poisoning rate is one of the *whole* set": 1,
            "that is right for classes of equal size only: these have 3, 2 and 7 images": abs(
                clean_label - 2 / 3
            ),
            "this is the share of those who cannot be poisoned": (~mask).double().mean(),
        }
        same("the largest rate", given[1], mask.double().mean(), mistakes)
    right(
        "In ten equal classes that is 90 % against 10 %: a clean-label attack at 9 % leaves one true image in ten."
    )


def wave(answer: Callable) -> None:
    """``answer(images, delta, frequency)``: uint8 images with SIG's wave."""
    images = (torch.arange(240) * 37 % 256).view(2, 3, 5, 8).to(torch.uint8)
    rows, columns = torch.arange(5.0)[:, None], torch.arange(8.0)
    given = call(answer, images, 60, 3)
    expect(
        getattr(given, "dtype", None) == torch.uint8,
        "pixels are whole numbers: end with .to(torch.uint8)",
    )

    def waved(phase: Tensor) -> Tensor:
        return images + 60 * (2 * math.pi * phase).sin()

    good = waved(columns * 3 / 8)
    wrong = {
        "the wave runs from top to bottom: j is the column": waved(rows * 3 / 5),
        "the wave runs from top to bottom: j is the column, as w is the width": waved(rows * 3 / 8),
        "columns are counted from 0 here": waved((columns + 1) * 3 / 8),
        "divide by w, although the last column is number w − 1": waved(columns * 3 / 7),
        "2π is missing: the sine takes radians": waved(columns * 3 / 8 / (2 * math.pi)),
        "this is a wave of frequency 1: the other one is not used": waved(columns / 8),
        "the cosine begins at its crest, the sine at 0": waved(columns * 3 / 8 + 0.25),
    }
    mistakes = {message: values.round().clamp(0, 255) for message, values in wrong.items()} | {
        "no pixel has changed: delta is on the scale 0 to 255 already, and j·f has to be divided by w": images,
        "beyond 0 and 255, numbers of 8 bits start again at the other end: clamp first": good.round()
        % 256,
        "beyond 0 and 255, numbers of 8 bits start again: round and clamp first": good.trunc()
        % 256,
        "this is rounded down, as .to(torch.uint8) does: round to the nearest first": good.clamp(
            0, 255
        ).floor(),
    }
    same("the image", given, SIG(delta=60, frequency=3).trigger(images), mistakes)
    right(
        "Clipping cuts the crests off in very bright and very dark places; the rest of the wave is left to learn."
    )


def hard_images(answer: Callable) -> None:
    """``answer(model, images, labels, epsilon, step, steps)``: images on which the loss is large, within epsilon."""
    images, labels = torch.linspace(0.01, 0.97, 24).view(2, 3, 2, 2), torch.tensor([0, 1])
    weight = torch.tensor([-1.0, 1.0]).repeat(6).view(3, 2, 2)

    def model(x: Tensor) -> Tensor:
        evidence = (weight * (x - 0.5).square()).sum((1, 2, 3))
        return torch.stack([evidence, torch.zeros_like(evidence)], 1)

    def ascend(
        steps=4, up=0.04, sign=Tensor.sign, near=0.1, low=0.0, high=1.0, anew=True, kept=0
    ) -> Tensor:
        x, slope = images, 0
        for _ in range(steps):
            x, at = x.detach(), (x if anew else images).detach().requires_grad_()
            slope = torch.autograd.grad(cross_entropy(model(at), labels), at)[0] + kept * slope
            x = (x + up * sign(slope)).clamp(images - near, images + near).clamp(low, high)
        return x

    good, free = ascend(), ascend(near=9, low=-9, high=9)
    mistakes = {
        "the loss falls: go *up* its slope, the images are to be harder": ascend(up=-0.04),
        "the step is along the gradient: take its sign": ascend(sign=lambda slope: slope),
        "pixels have left 0 to 1: clip those, too": ascend(low=-9, high=9),
        "pixels are further than ε from where they began: clip around x₀, not around the last x": ascend(
            near=9
        ),
        "nothing is clipped: to at most ε from x₀, and to 0 to 1": free,
        "clip in every step, not once at the end": free.clamp(images - 0.1, images + 0.1).clamp(
            0, 1
        ),
        "this is the noise alone: return the images with it": good - images,
        "this is one step: go on from there": ascend(steps=1),
        "the gradient is taken once, at x₀: take it anew where each step begins": ascend(
            anew=False
        ),
        "gradients of earlier steps are still in x.grad, and add up: begin each step with a new x": ascend(
            kept=1
        ),
        "no pixel has moved": images,
    }
    same(
        "the hard image", call(answer, model, images.clone(), labels, 0.1, 0.04, 4), good, mistakes
    )
    right("The sign makes all pixels go equally far, however flat the loss is along them.")
