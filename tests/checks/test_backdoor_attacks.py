"""What the checks of notebook 01 say of wrong answers."""

import math

import numpy
import pytest
import torch
from torch.nn.functional import cross_entropy

from dlp_lib.checks import Wrong, backdoor_attacks


def to_uint8(pixels):
    return pixels.round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x, w, p: (1 - w) * x + w * p, "end with .to"),
        (lambda x, w, p: 3, "end with .to"),
        (lambda x, w, p: to_uint8(w * x + (1 - w) * p), "changed places"),
        (lambda x, w, p: to_uint8(x + w * p), "pattern is added"),
        (lambda x, w, p: ((1 - w) * x + w * p).to(torch.uint8), "rounded down"),
        (
            lambda x, w, p: (
                to_uint8((1 - w) * x + w * p) if w.ndim == 0 else to_uint8(p.expand(x.shape))
            ),
            "outside the mask",
        ),
        (lambda x, w, p: x.copy_(to_uint8((1 - w) * x + w * p)), "changes the tensor"),
        (lambda x, w, p: to_uint8((1 - w) * x + w * p)[:1], "the shape is"),
        (
            lambda x, w, p: (
                to_uint8(0.8 * x + 0.2 * p) if w.ndim == 0 else to_uint8((1 - w) * x + w * p)
            ),
            "with a weight of 0.6",
        ),
        (
            lambda x, w, p: (
                to_uint8((1 - w.round()) * x + w.round() * p)
                if w.ndim
                else to_uint8((1 - w) * x + w * p)
            ),
            "between 0 and 1 for every place",
        ),
    ],
)
def test_mixed(answer, message):
    with pytest.raises(Wrong, match=message):
        backdoor_attacks.mixed(answer)


def who(labels, target, clean_label):
    return (labels == target) == clean_label


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (who, "return a mask, and a share"),
        (lambda y, t, c: (who(y, t, c).nonzero()[:, 0], 0.5), "a mask is wanted"),
        (lambda y, t, c: (["yes"] * len(y), 0.5), "a mask is wanted"),
        (
            lambda y, t, c: (who(y, t, not c), 0.5),
            "poison-label attack takes images of the other classes",
        ),
        (lambda y, t, c: (y == t, 0.5), "poison-label attack takes images of the other classes"),
        (
            lambda y, t, c: (y != t, who(y, t, c).double().mean()),
            "clean-label attack takes images of the target",
        ),
        (lambda y, t, c: (who(y, t, c), who(y, t, c).sum()), "this is a number of images"),
        (lambda y, t, c: (who(y, t, c), 1.0), "share of the candidates"),
        (lambda y, t, c: (who(y, t, c), 1 / 3 if c else 2 / 3), "classes of equal size"),
        (lambda y, t, c: (who(y, t, c), (~who(y, t, c)).double().mean()), "cannot be poisoned"),
        (lambda y, t, c: candidates_in_a_loop(y, 1, c), "for the target 2"),
        (lambda y, t, c: (who(y, t, c), who(y, t, c).sum() / 12), "for other labels"),
    ],
)
def test_candidates(answer, message):
    with pytest.raises(Wrong, match=message):
        backdoor_attacks.candidates(answer)


def rows(x):
    return torch.arange(float(x.shape[-2]))[:, None]


def columns(x):
    return torch.arange(float(x.shape[-1]))


def waved(phase, finish=to_uint8):
    """An answer by the phase, in turns, of images and frequency."""
    return lambda x, d, f: finish(x + d * (2 * math.pi * phase(x, f)).sin())


def right(x, f):
    return columns(x) * f / x.shape[-1]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (waved(right, finish=torch.round), "end with .to"),
        (waved(lambda x, f: rows(x) * f / x.shape[-2]), "top to bottom"),
        (waved(lambda x, f: rows(x) * f / x.shape[-1]), "w is the width"),
        (waved(lambda x, f: (columns(x) + 1) * f / x.shape[-1]), "counted from 0"),
        (waved(lambda x, f: columns(x) * f / (x.shape[-1] - 1)), "divide by w"),
        (waved(lambda x, f: right(x, f) / (2 * math.pi)), "2π is missing"),
        (waved(lambda x, f: right(x, 1)), "frequency 1"),
        (waved(lambda x, f: right(x, f) + 0.25), "cosine"),
        (waved(lambda x, f: columns(x) * f), "no pixel has changed"),
        (lambda x, d, f: waved(right)(x, d / 255, f), "no pixel has changed"),
        (
            waved(right, finish=lambda x: (x.round() % 256).to(torch.uint8)),
            "at the other end: clamp first",
        ),
        (waved(right, finish=lambda x: (x.trunc() % 256).to(torch.uint8)), "round and clamp first"),
        (waved(right, finish=lambda x: x.clamp(0, 255).to(torch.uint8)), "rounded down"),
        (waved(lambda x, f: 2 * right(x, f)), "it should be"),
        (lambda x, d, f: waved(right)(x, 60, f), "with delta = 25"),
        (lambda x, d, f: waved(right)(x, d, 3), "with frequency = 2"),
        (waved(lambda x, f: columns(x) * f / 8), "with 11 columns"),
    ],
)
def test_wave(answer, message):
    with pytest.raises(Wrong, match=message):
        backdoor_attacks.wave(answer)


def box(x, start, epsilon):
    return x.clamp(start - epsilon, start + epsilon).clamp(0, 1)


def climb(move=torch.sign, clip=box, last=lambda x, start, epsilon: x, anew=True, most=9):
    """An answer that goes along ``move`` of the gradient, clips in every step, and at the end."""

    def answer(model, images, labels, epsilon, step, steps):
        x = images
        for _ in range(min(steps, most)):
            at = (x if anew else images).detach().requires_grad_()
            slope = torch.autograd.grad(cross_entropy(model(at), labels), at)[0]
            x = clip(x.detach() + step * move(slope), images, epsilon)
        return last(x, images, epsilon)

    return answer


def unclipped(x, start, epsilon):
    return x


def no_gradient(model, images, labels, epsilon, step, steps):
    return (
        images + step * torch.autograd.grad(cross_entropy(model(images), labels), images)[0].sign()
    )


def piled(model, images, labels, epsilon, step, steps):
    x = images.clone().requires_grad_()
    for _ in range(steps):
        cross_entropy(model(x), labels).backward()
        x.data = box(x.data + step * x.grad.sign(), images, epsilon)
    return x


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (piled, "add up: begin"),
        (no_gradient, "fails with RuntimeError"),
        (climb(move=lambda slope: -slope.sign()), "the loss falls"),
        (climb(move=lambda slope: slope), "take its sign"),
        (climb(clip=lambda x, start, e: x.clamp(start - e, start + e)), "have left 0 to 1"),
        (climb(clip=lambda x, start, e: x.clamp(0, 1)), "clip around x₀"),
        (climb(clip=unclipped), "nothing is clipped"),
        (climb(clip=unclipped, last=box), "not once at the end"),
        (climb(last=lambda x, start, e: x - start), "noise alone"),
        (climb(most=1), "this is one step"),
        (climb(anew=False), "taken once"),
        (climb(most=0), "no pixel has moved"),
        (climb(most=2), "it should be"),
        (lambda model, x, y, e, step, n: climb()(model, x, y, 0.1, 0.04, 4), "with other numbers"),
        (lambda model, *inputs: climb()(model.train(), *inputs), "batch-norm in the model"),
    ],
)
def test_hard_images(answer, message):
    with pytest.raises(Wrong, match=message):
        backdoor_attacks.hard_images(answer)


def mixed_by_the_image(images, weight, pattern):
    found = [(x.double() * (1 - weight) + pattern * weight).round() for x in images]
    return torch.stack(found).byte()


def mixed_with_numpy(images, weight, pattern):
    x, w, p = (part.numpy().astype("float32") for part in (images, weight, pattern))
    return numpy.rint((1 - w) * x + w * p).astype("uint8")


def mixed_by_lerp(images, weight, pattern):
    return torch.lerp(images.float(), pattern.expand(images.shape), weight).round().byte()


def candidates_in_a_loop(labels, target, clean_label):
    mask = []
    for label in labels.tolist():
        mask.append(label == target if clean_label else label != target)
    return [mask, sum(mask) / len(mask)]


def candidates_with_numpy(labels, target, clean_label):
    mask = numpy.equal(labels.numpy(), target)
    mask = mask if clean_label else ~mask
    return mask, mask.mean()


def candidates_as_numbers(labels, target, clean_label):
    mask = labels.eq(target) if clean_label else labels.ne(target)
    return mask.int(), mask.sum() / len(labels)


def wave_column_by_column(images, delta, frequency):
    found = images.float()
    for j in range(images.shape[-1]):
        found[..., j] += delta * math.sin(2 * math.pi * j * frequency / images.shape[-1])
    return found.round().clamp(0, 255).byte()


def wave_with_numpy(images, delta, frequency):
    x = images.numpy().astype(float)
    turns = numpy.arange(x.shape[-1]) / x.shape[-1] * frequency
    return numpy.clip(numpy.rint(x + delta * numpy.sin(2 * numpy.pi * turns)), 0, 255).astype(
        "uint8"
    )


def wave_clamped_first(images, delta, frequency):
    wave = waved(lambda x, f: columns(x) * f / x.shape[-1], finish=lambda x: x.clamp(0, 255))
    return wave(images, delta, frequency).round().to(torch.uint8)


def hard_with_a_sum(model, images, labels, epsilon, step, steps):
    x = images.clone()
    for _ in range(steps):
        x.requires_grad_()
        slope = torch.autograd.grad(cross_entropy(model(x), labels, reduction="sum"), x)[0]
        x = (images + (x + step * slope.sign() - images).clamp(-epsilon, epsilon)).clamp(0, 1)
        x = x.detach()
    return x


def hard_by_backward(model, images, labels, epsilon, step, steps):
    x = images.clone()
    for _ in range(steps):
        x = x.detach().requires_grad_()
        cross_entropy(model(x), labels).backward()
        x = box(x + step * x.grad.sign(), images, epsilon)
    return x.tolist()


def hard_in_evaluation_mode(model, images, labels, epsilon, step, steps):
    model.eval()
    return climb(most=100)(model, images, labels, epsilon, step, steps)


RIGHT_ANSWERS = {
    "mixed": [mixed_by_the_image, mixed_with_numpy, mixed_by_lerp],
    "candidates": [candidates_in_a_loop, candidates_with_numpy, candidates_as_numbers],
    "wave": [wave_column_by_column, wave_with_numpy, wave_clamped_first],
    "hard_images": [hard_with_a_sum, hard_by_backward, hard_in_evaluation_mode],
}
