"""Notebook 04: a step up, steps and epochs, collapse, a bounded climb, batch-norm re-estimated."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from .base import Wrong, again, call, expect, right, same
from .controls import random_suspects as random_suspects


def step(answer: Callable) -> None:
    """Check ``answer(w, x, labels, lr)``: weights (d, classes) after one step up.

    The step raises the mean cross-entropy of x @ w.
    """
    w, lr = torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 0.0]]), 0.5
    x, labels = (
        torch.tensor([[1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]]),
        torch.tensor([0, 1, 0, 2]),
    )

    def slope(loss: Callable[[Tensor], Tensor], x: Tensor = x, w: Tensor = w) -> Tensor:
        leaf = w.clone().requires_grad_()
        return torch.autograd.grad(loss(x @ leaf), leaf)[0]

    up = slope(lambda z: cross_entropy(z, labels))
    mistakes = {
        "this is a step *down*: it learns the suspects": w - lr * up,
        "this is the slope, the weights after the step are wanted": up,
        "this is the step alone: add it to the weights": lr * up,
        "the learning rate is missing": w + up,
        "this is the sum over the samples, Eq. 6 has their mean": w + lr * len(x) * up,
        "softmax twice: cross_entropy takes logits": w
        + lr * slope(lambda z: cross_entropy(z.softmax(1), labels)),
        "the slope in the logits is p - y; y is missing": w
        + lr * x.T @ (x @ w).softmax(1) / len(x),
    }
    same("the new weights", call(answer, w, x, labels, lr), w + lr * up, mistakes)
    w, x, labels = torch.tensor([[0.5, -0.5]] * 3), torch.eye(3)[:2] * 2, torch.tensor([1, 0])
    up = slope(lambda z: cross_entropy(z, labels), x, w)
    draws = {"with lr = 3, for 2 samples of 2 classes": ((w, x, labels, 3.0), w + 3 * up)}
    again("the new weights", answer, draws)
    right(
        "One sign is all that tells unlearning from learning. "
        "All that is hard about it is when to end."
    )


def class_mean(answer: Callable) -> None:
    """Check ``answer(predictions, labels)``: the mean of the accuracies of the classes."""
    labels, predictions = torch.tensor([0] * 7 + [1, 1, 3]), torch.tensor([0] * 6 + [1, 1, 0, 0])
    mistakes = {
        "this is the share of all images: a label that is frequent, as poison makes one, "
        "counts more than others": 0.7,
        "these are the images *predicted* as a class: take the images *of* a class": 0.625,
        "0 / 0, some class is empty: take the classes that occur among the labels, "
        "and of each its images": torch.nan,
        "class 2 has no image here: divide by the number of classes that occur": 19 / 56,
    }
    same("the mean accuracy", call(answer, predictions, labels), 19 / 42, mistakes)
    labels, predictions = torch.tensor([2, 2, 5, 5, 5, 5]), torch.tensor([2, 5, 5, 5, 5, 1])
    draws = {
        "for the classes 2 and 5": ((predictions, labels), 5 / 8),
        "for one class": ((predictions[2:], labels[2:]), 3 / 4),
    }
    again("the mean accuracy", answer, draws)
    right(
        "One answer for everything comes to 0.33 with these three classes: a collapse, "
        "with 7 of 10 right."
    )


def bounded(answer: Callable) -> None:
    """Check ``answer(logits, labels, c)``: what to minimise to climb on the mean of min(L, c)."""
    logits = torch.tensor([[4.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-3.0, 0.0, 0.0]], requires_grad=True)
    labels, c, z = torch.tensor([0, 0, 0]), 1.5, logits.detach()
    each, twice = (
        cross_entropy(part, labels, reduction="none").double() for part in (z, z.softmax(1))
    )
    wanted = -each.clamp(max=c).mean()
    mistakes = {
        "an optimiser makes this smaller, and thereby *learns* the suspects: "
        "the sign is wrong": -wanted,
        "the mean is bounded, not each sample: a few large losses then end the climb for all": -min(
            each.mean(), c
        ),
        "the mean is bounded, not each sample; and an optimiser makes this smaller": min(
            each.mean(), c
        ),
        "nothing is bounded: this is minus the loss": -each.mean(),
        "this is max(L, c): it leaves the large losses, and stops the small ones": -each.clamp(
            min=c
        ).mean(),
        "this is the sum, Eq. 6 has the mean": 3 * wanted,
        "softmax twice: cross_entropy takes logits": -twice.clamp(max=c).mean(),
        "a sample beyond c counts with c, here it counts with 0": -(each * (each < c)).mean(),
        "samples beyond c count with c, here they are left out": -each[each < c].mean(),
    }
    loss = call(answer, logits, labels, c)
    same("the loss", loss, wanted, mistakes)
    expect(
        getattr(loss, "requires_grad", False),
        "the number is right and has no gradient: no item(), no detach()",
    )
    (slope,) = torch.autograd.grad(loss, logits, allow_unused=True)
    expect(slope is not None, "the gradient does not lead back to the logits that were given")
    climbs = [bool(part.any()) for part in slope]
    expect(
        climbs == [True, True, False],
        f"samples below c should climb, those beyond it not; here it is {climbs}",
    )
    draws = {
        "with c = 0.5": ((z[:2], labels[:2], 0.5), -each[:2].clamp(max=0.5).mean()),
        "with c = 9, which bounds nothing here": ((z, labels, 9.0), -each.mean()),
    }
    again("the loss", answer, draws)
    right(
        "A suspect beyond c pulls no more, one below still does. With c on the mean, "
        "a few would end it for all."
    )


def reestimate(answer: Callable) -> None:
    """Check ``answer(model, images)``: a copy whose batch-norm has the statistics of the images.

    It is in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1, bias=False)).eval()
    nn.init.constant_(model[0].running_mean, 10)
    expected, images = copy.deepcopy(model), torch.tensor([-1.0, 0.0, 1.0, 4.0]).view(4, 1, 1, 1)
    update_bn([images], expected)
    reestimated = _reestimated(answer, model, images)
    mistakes = {
        "the mean is still that of the suspects: in evaluation mode nothing moves the statistics": [
            10.0
        ],
        "one pass moved the mean a tenth of the way: reset the statistics, "
        "or set the layers' momentum to 1": [9.1],
        "the statistics were reset, then one pass moved them a tenth of the way: "
        "set their momentum to None": [0.1],
    }
    mean, variance = reestimated[0].running_mean, reestimated[0].running_var
    same("the running mean", mean, [1.0], mistakes, tolerance=0.01)  # many passes do as well
    wanted = expected[0].running_var
    mistakes = {
        "this is the standard deviation, batch-norm keeps the variance": wanted.sqrt(),
        "batch-norm divides by n - 1 for the variance that it keeps, this is divided by n": wanted
        * 0.75,
    }
    same("the running variance", variance, wanted, mistakes, tolerance=0.01)
    _expect_the_rest(reestimated, expected)
    try:
        _check_deeper(answer)
    except Wrong as wrong:
        raise Wrong(f"for two layers of batch-norm, handed in in training mode: {wrong}") from None
    right(
        "No weight has moved. What was only hidden in the statistics is back, "
        "what the weights forgot stays gone."
    )


def _reestimated(answer: Callable, model: nn.Module, images: Tensor) -> nn.Module:
    """Return the answer for a model, which has to stay as it is."""
    before, mode = copy.deepcopy(model.state_dict()), model.training
    momenta = [layer.momentum for layer in _batch_norms(model)]
    found = call(answer, model, images)
    expect(
        isinstance(found, nn.Sequential) and len(found) == len(model),
        f"a changed copy of the model is wanted, this is {type(found).__name__}",
    )
    untouched = found is not model and model.training == mode
    untouched = untouched and momenta == [layer.momentum for layer in _batch_norms(model)]
    pairs = zip(model.state_dict().values(), before.values(), strict=True)
    untouched = untouched and all(torch.equal(now, old) for now, old in pairs)
    expect(untouched, "the model that was given has changed: work on copy.deepcopy(model)")
    return found


def _batch_norms(model: nn.Module) -> list[nn.Module]:
    return [
        layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    ]


def _expect_the_rest(reestimated: nn.Module, expected: nn.Module) -> None:
    """Check all that should be as it was: weights, momentum and evaluation mode."""
    pairs = zip(reestimated.parameters(), expected.parameters(), strict=True)
    expect(
        all(torch.equal(a, b) for a, b in pairs),
        "the weights have changed: only the statistics may",
    )
    layers = zip(_batch_norms(reestimated), _batch_norms(expected), strict=True)
    for layer, wanted in layers:
        expect(
            layer.momentum == wanted.momentum,
            f"momentum is left at {layer.momentum}: put {wanted.momentum} back, "
            "for stage 3 trains on",
        )
    expect(
        not any(part.training for part in reestimated.modules()),
        "the model is in training mode, and takes the statistics of each batch: end with eval()",
    )


def _check_deeper(answer: Callable) -> None:
    """Check a model with two layers of batch-norm, of which one has a momentum of its own."""
    layers = nn.BatchNorm2d(2), nn.ReLU(), nn.Sequential(nn.BatchNorm2d(2, momentum=0.3))
    model = nn.Sequential(*layers).train()
    images = torch.arange(24.0).remainder(7).view(3, 2, 2, 2)
    expected = copy.deepcopy(model)
    update_bn([images], expected)
    reestimated = _reestimated(answer, model, images)
    found = zip(_batch_norms(reestimated), _batch_norms(expected), strict=True)
    for number, (layer, wanted) in enumerate(found, 1):
        name = f"of layer {number}"
        same(f"the running mean {name}", layer.running_mean, wanted.running_mean, None, 0.01)
        same(f"the running variance {name}", layer.running_var, wanted.running_var, None, 0.01)
    _expect_the_rest(reestimated, expected)
