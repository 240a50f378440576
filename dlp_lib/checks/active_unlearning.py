"""Notebook 04: a step up, steps and epochs, collapse, a bounded climb, batch-norm re-estimated."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from .base import call, expect, right, same


def step(answer: Callable) -> None:
    """Check ``answer(w, x, labels, lr)``: weights (d, classes) after one step up.

    The step raises the mean cross-entropy of x @ w.
    """
    w, lr = torch.tensor([[1.0, 0.0, -1.0], [0.5, 0.5, 0.0]]), 0.5
    x, labels = (
        torch.tensor([[1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]]),
        torch.tensor([0, 1, 0, 2]),
    )

    def slope(loss: Callable[[Tensor], Tensor]) -> Tensor:
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
    right(
        "One sign is all that tells unlearning from learning. "
        "All that is hard about it is when to end."
    )


def epochs(answer: Callable) -> None:
    """Check ``answer(suspects, batch, steps)``: how many epochs make at least so many steps."""
    mistakes = {
        "rounded down, there are fewer steps than asked for": 6,
        "the last batch of an epoch, which is smaller, is left out: "
        "600 suspects in batches of 128 make 5 steps": 9,
        "these are the steps of one epoch": 5,
        "one step an epoch is right for a single batch only, 600 suspects make several": 33,
        "more suspects make *more* steps an epoch, so they need fewer epochs: divide": 165,
        "a step takes a batch, not a single suspect": 1,
        "epochs are whole, and so are the steps of an epoch: round up both": 33 * 128 / 600,
        "an epoch's last batch is smaller, and is a step all the same: round up twice, "
        "not at the end alone": 8,
    }
    same("the number of epochs", call(answer, 600, 128, 33), 7, mistakes)
    same("the number of epochs for 10 suspects, 12 steps", call(answer, 10, 128, 12), 12)
    right(
        "Twenty epochs are 20 steps for 100 suspects and 80 for 500. The ascent counts steps; "
        "so should you."
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
    (slope,) = torch.autograd.grad(loss, logits)
    climbs = [bool(part.any()) for part in slope]
    expect(
        climbs == [True, True, False],
        f"samples below c should climb, those beyond it not; here it is {climbs}",
    )
    right(
        "A suspect beyond c pulls no more, one below still does. With c on the mean, "
        "a few would end it for all."
    )


def reestimate(answer: Callable) -> None:
    """Check ``answer(model, images)``: a copy whose batch-norm has the statistics of the images.

    It is in evaluation mode.
    """
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1, bias=False)).eval()
    nn.init.constant_(model[0].running_mean, 10)
    expected, images = copy.deepcopy(model), torch.tensor([[-1.0], [0.0], [1.0], [4.0]])
    reestimated = call(answer, model, images)
    expect(
        isinstance(reestimated, nn.Sequential),
        f"a changed copy of the model is wanted, this is {type(reestimated).__name__}",
    )
    pairs = zip(model.state_dict().values(), expected.state_dict().values(), strict=True)
    untouched = (
        reestimated is not model and not model.training and all(torch.equal(a, b) for a, b in pairs)
    )
    expect(untouched, "the model that was given has changed: work on copy.deepcopy(model)")
    update_bn([images], expected)
    mistakes = {
        "the mean is still that of the suspects: in evaluation mode nothing moves the statistics": [
            10.0
        ],
        "one pass moved the mean a tenth of the way: reset the statistics, "
        "or set the layers' momentum to 1": [9.1],
        "the statistics were reset, then one pass moved them a tenth of the way: "
        "set their momentum to None": [0.1],
    }
    same(
        "the running mean", reestimated[0].running_mean, [1.0], mistakes, tolerance=0.01
    )  # many passes do as well
    mistakes = {
        "this is the standard deviation, batch-norm keeps the variance": expected[
            0
        ].running_var.sqrt(),
        "batch-norm divides by n - 1 for the variance that it keeps, "
        "this is divided by n": expected[0].running_var * 0.75,
    }
    same(
        "the running variance",
        reestimated[0].running_var,
        expected[0].running_var,
        mistakes,
        tolerance=0.01,
    )
    pairs = zip(reestimated.parameters(), expected.parameters(), strict=True)
    expect(
        all(torch.equal(a, b) for a, b in pairs),
        "the weights have changed: only the statistics may",
    )
    expect(
        reestimated[0].momentum == 0.1,
        f"momentum is left at {reestimated[0].momentum}: put 0.1 back, for stage 3 trains on",
    )
    expect(
        not reestimated.training,
        "the model is in training mode, and takes the statistics of each batch: end with eval()",
    )
    right(
        "No weight has moved. What was only hidden in the statistics is back, "
        "what the weights forgot stays gone."
    )
