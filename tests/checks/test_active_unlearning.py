"""What the checks of notebook 04 say of wrong answers."""

import copy

import numpy
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from torch.optim.swa_utils import update_bn

from dlp_lib.checks import Wrong, active_unlearning


def slope(w, x, y):
    """Of the mean cross-entropy, in the weights."""
    return x.T @ ((x @ w).softmax(1) - one_hot(y, w.shape[1])) / len(x)


def twice(w, x, y, lr):
    leaf = w.clone().requires_grad_()
    return w + lr * torch.autograd.grad(cross_entropy((x @ leaf).softmax(1), y), leaf)[0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda w, x, y, lr: w - lr * slope(w, x, y), "step .down"),
        (lambda w, x, y, lr: slope(w, x, y), "this is the slope"),
        (lambda w, x, y, lr: lr * slope(w, x, y), "step alone"),
        (lambda w, x, y, lr: w + slope(w, x, y), "learning rate is missing"),
        (lambda w, x, y, lr: w + lr * slope(w, x, y) * len(x), "sum over the samples"),
        (twice, "softmax twice"),
        (lambda w, x, y, lr: w + lr * x.T @ (x @ w).softmax(1) / len(x), "y is missing"),
        (lambda w, x, y, lr: w.add_(lr * slope(w, x, y)), "work on a copy"),
        (lambda w, x, y, lr: (x @ w).softmax(1), r"shape is \(4, 3\)"),
        (lambda w, x, y, lr: ..., "nothing yet"),
        (lambda w, x, y, lr: w + 0.5 * slope(w, x, y), "with lr = 3"),
        (lambda w, x, y, lr: w + lr * slope(w, x, y) * len(x) / 4, "2 samples of 2 classes"),
    ],
)
def test_step(answer, message):
    with pytest.raises(Wrong, match=message):
        active_unlearning.step(answer)


def shares(of, hits, classes):
    return torch.stack([hits[of == label].double().mean() for label in classes])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda p, y: (p == y).double().mean(), "share of all images"),
        (lambda p, y: shares(p, p == y, p.unique()).mean(), "predicted. as a class"),
        (lambda p, y: shares(y, p == y, range(4)).mean(), "0 / 0"),
        (lambda p, y: shares(y, p == y, range(4)).nansum() / 4, "class 2 has no image"),
        (lambda p, y: shares(y, p == y, y.unique()), r"shape is \(3,\)"),
        (lambda p, y: shares(y, p == y, y.unique()).sum() / 3, "the classes 2 and 5"),
        (lambda p, y: shares(y, p == y, [0, 1, 3]).mean(), "the classes 2 and 5"),
    ],
)
def test_class_mean(answer, message):
    with pytest.raises(Wrong, match=message):
        active_unlearning.class_mean(answer)


def losses(z, y):
    return cross_entropy(z, y, reduction="none")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z, y, c: losses(z, y).clamp(max=c).mean(), "the sign is wrong"),
        (lambda z, y, c: -cross_entropy(z, y).clamp(max=c), "bounded, not each sample: a few"),
        (lambda z, y, c: cross_entropy(z, y).clamp(max=c), "bounded, not each sample; and"),
        (lambda z, y, c: -cross_entropy(z, y), "nothing is bounded"),
        (lambda z, y, c: -losses(z, y).clamp(min=c).mean(), "stops the small ones"),
        (lambda z, y, c: -losses(z, y).clamp(max=c).sum(), "this is the sum"),
        (lambda z, y, c: -losses(z.softmax(1), y).clamp(max=c).mean(), "softmax twice"),
        (lambda z, y, c: -(losses(z, y) * (losses(z, y) < c)).mean(), "counts with 0"),
        (lambda z, y, c: -losses(z, y)[losses(z, y) < c].mean(), "left out"),
        (lambda z, y, c: -losses(z, y).clamp(max=c).mean().item(), "no gradient"),
        (
            lambda z, y, c: ((losses(z, y) - c).clamp(min=0).detach() - losses(z, y)).mean(),
            r"\[True, True, True\]",
        ),
        (lambda z, y, c: -losses(z, y).clamp(max=1.5).mean(), "with c = 0.5"),
        (lambda z, y, c: -losses(z, y).clamp(max=c).sum() / 3, "with c = 0.5"),
        (lambda z, y, c: -losses(z.detach().requires_grad_(), y).clamp(max=c).mean(), "lead back"),
    ],
)
def test_bounded(answer, message):
    with pytest.raises(Wrong, match=message):
        active_unlearning.bounded(answer)


def passed(model, images, momentum=0.1, reset=False, train=True):
    """A copy after one pass."""
    model = copy.deepcopy(model).train(train)
    if reset:
        model[0].reset_running_stats()
    model[0].momentum = momentum
    with torch.no_grad():
        model(images)
    return model.eval()


PLACES = (0, 2, 3)  # what batch-norm takes a mean over


def put(model, images, **changes):
    """A copy with the right mean, and other changes."""
    model = copy.deepcopy(model)
    for name, value in {
        "running_mean": images.mean(PLACES),
        "running_var": images.var(PLACES),
        **changes,
    }.items():
        setattr(model[0], name, value)
    return model


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda m, x: m(x), "copy of the model is wanted, this is Tensor"),
        (lambda m, x: update_bn([x], m) or m, "has changed: work on"),
        (lambda m, x: passed(m, x) and m.train(), "has changed: work on"),
        (lambda m, x: m, "has changed: work on"),
        (lambda m, x: passed(m, x, train=False), "still that of the suspects"),
        (passed, "tenth of the way: reset"),
        (lambda m, x: passed(m, x, reset=True), "were reset, then one pass"),
        (lambda m, x: put(m, x, running_var=x.std(PLACES)), "standard deviation"),
        (lambda m, x: put(m, x, running_var=x.var(PLACES, correction=0)), "n - 1"),
        (lambda m, x: put(m, x, weight=nn.Parameter(torch.tensor([2.0]))), "weights have changed"),
        (lambda m, x: passed(m, x, momentum=None, reset=True), "momentum is left at None"),
        (lambda m, x: put(m, x).train(), "in training mode"),
        (lambda m, x: put(m, x), "for two layers of batch-norm"),
        (lambda m, x: setattr(m, "training", True) or copy.deepcopy(m), "has changed: work on"),
        (lambda m, x: reestimated_by_update_bn(m, x[1:]), "the running mean"),
    ],
)
def test_reestimate(answer, message):
    with pytest.raises(Wrong, match=message):
        active_unlearning.reestimate(answer)


def step_by_hand(w, x, labels, lr):
    p = (x @ w).softmax(1)
    p[range(len(labels)), labels] -= 1
    return w + lr * x.T @ p / len(x)


def step_by_an_optimiser(w, x, labels, lr):
    layer = nn.Parameter(w.clone())
    optimiser = torch.optim.SGD([layer], lr=lr, maximize=True)
    cross_entropy(x @ layer, labels).backward()
    optimiser.step()
    return layer


def step_with_numpy(w, x, labels, lr):
    w, x = w.numpy(), x.numpy()
    p = numpy.exp(x @ w)
    p /= p.sum(1, keepdims=True)
    return (w + lr * x.T @ (p - numpy.eye(w.shape[1])[labels.numpy()]) / len(x)).tolist()


def mean_in_a_loop(predictions, labels):
    hits = {}
    for answer, label in zip(predictions.tolist(), labels.tolist(), strict=True):
        hits.setdefault(label, []).append(answer == label)
    return sum(sum(row) / len(row) for row in hits.values()) / len(hits)


def mean_by_counts(predictions, labels):
    sizes = labels.bincount().double()
    right = labels[predictions == labels].bincount(minlength=len(sizes))
    return (right / sizes)[sizes > 0].mean()


def mean_with_numpy(predictions, labels):
    p, y = predictions.numpy(), labels.numpy()
    return numpy.mean([(p[y == label] == label).mean() for label in numpy.unique(y)])


def bounded_by_the_minimum(logits, labels, c):
    return -torch.minimum(losses(logits, labels), torch.tensor(c)).mean()


def bounded_by_where(logits, labels, c):
    each = losses(logits, labels)
    return torch.where(each < c, -each, -c).sum() / len(labels)


def bounded_in_a_loop(logits, labels, c):
    total = 0
    for z, label in zip(logits, labels, strict=True):
        loss = -z.log_softmax(0)[label]
        total = total + (loss if loss < c else torch.tensor(c))
    return -total / len(labels)


def reset_statistics(model):
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()


def reestimated_by_update_bn(model, images):
    copied = copy.deepcopy(model)
    update_bn([images], copied)
    return copied.eval()


def reestimated_by_many_passes(model, images):
    copied = copy.deepcopy(model).train()
    reset_statistics(copied)
    with torch.no_grad():
        for _ in range(200):
            copied(images)
    return copied.eval()


def reestimated_without_momentum(model, images):
    copied = copy.deepcopy(model)
    layers = [part for part in copied.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    reset_statistics(copied)
    for layer in layers:
        layer.momentum = None
    copied.train()
    with torch.no_grad():
        copied(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return copied.eval()


RIGHT_ANSWERS = {
    "step": [step_by_hand, step_by_an_optimiser, step_with_numpy],
    "class_mean": [mean_in_a_loop, mean_by_counts, mean_with_numpy],
    "bounded": [bounded_by_the_minimum, bounded_by_where, bounded_in_a_loop],
    "reestimate": [
        reestimated_by_update_bn,
        reestimated_by_many_passes,
        reestimated_without_momentum,
    ],
}
