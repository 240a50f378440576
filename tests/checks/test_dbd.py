"""What the checks of notebook 12 say of wrong answers."""

import numpy
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize, one_hot

from dlp_lib.checks import Wrong, dbd
from dlp_lib.defences.simclr import nt_xent


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda ca, recall, classes: ca, "this is CA"),
        (lambda ca, recall, classes: ca * classes / (classes - 1), "still in it"),
        (lambda ca, recall, classes: (ca * classes - recall) / classes, "left to average over"),
        (lambda ca, recall, classes: (ca - recall) / (classes - 1), "times their number"),
        (lambda ca, recall, classes: 100 * (ca * classes - recall) / (classes - 1), "per cent"),
        (lambda ca, recall, classes: ..., "nothing yet"),
        (lambda ca, recall, classes: (5 * ca - recall) / 4, "10 classes"),
        (lambda ca, recall, classes: 0.935, "for a CA of 0.95"),
    ],
)
def test_harmless(answer, message):
    with pytest.raises(Wrong, match=message):
        dbd.harmless(answer)


def sce(z, y, alpha, beta, floor=-4.0, sign=1, twice=False, unit=1.0, log=torch.log_softmax):
    """An answer to the exercise, with mistakes."""
    p, q = z.softmax(1), one_hot(y, z.shape[1])
    ce = -(q * log(p if twice else z, 1)).sum(1) / unit
    return alpha * ce - sign * beta * (p * torch.where(q == 1, 0.0, floor)).sum(1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z, y, alpha, beta: sce(z, y, beta, alpha), "alpha and beta are swapped"),
        (lambda z, y, alpha, beta: sce(z, y, alpha, 0), "cross-entropy alone"),
        (lambda z, y, alpha, beta: sce(z, y, 0, beta), "reverse term alone"),
        (lambda *inputs: sce(*inputs, floor=torch.tensor(1e-4).log()), "log 0 is to be -4"),
        (lambda *inputs: sce(*inputs, sign=-1), "wrong sign"),
        (lambda z, y, alpha, beta: sce(z, y, alpha, -beta) + 4 * beta, "of the .other. classes"),
        (lambda *inputs: sce(*inputs, twice=True), "softmax twice"),
        (lambda *inputs: sce(*inputs, unit=torch.tensor(2.0).log()), "bits"),
        (lambda *inputs: sce(*inputs).mean(), "one loss a sample"),
        (lambda *inputs: sce(*inputs, floor=-torch.inf), "left infinite"),
        (
            lambda z, y, alpha, beta: alpha * -z.softmax(1)[range(3), y].log() + sce(z, y, 0, beta),
            "take log_softmax",
        ),
        (lambda *inputs: sce(*inputs) * torch.nan, "nan or infinite"),
        (lambda z, y, alpha, beta: sce(z, y, 0.3, beta), "alpha = 1, beta = 0"),
        (lambda z, y, alpha, beta: sce(z, y, alpha, 0.5), "alpha = 1, beta = 0"),
    ],
)
def test_symmetric(answer, message):
    with pytest.raises(Wrong, match=message):
        dbd.symmetric(answer)


def mix(
    own=lambda share: torch.maximum(share, 1 - share),
    shape=(-1, 1, 1, 1),
    images=True,
    labels=True,
    other=None,
):
    """An answer to the exercise, with mistakes."""

    def answer(x, y, order, share):
        mine, theirs = own(share), (other or own)(share)[:, None]
        mixed = x[order].lerp(x, mine.view(shape).expand_as(x)) if images else x
        return mixed, theirs * y + (1 - theirs) * y[order] if labels else y

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x, y, order, share: x, "return two tensors"),
        (mix(own=lambda share: share), "the larger of share"),
        (mix(own=lambda share: torch.minimum(share, 1 - share)), "smaller"),
        (mix(images=False), "the images are not mixed"),
        (mix(shape=(-1,)), "met the columns"),
        (mix(shape=(-1, 1, 1)), "met the channels"),
        (mix(labels=False), "the labels are not mixed"),
        (mix(other=lambda share: share), "another share"),
        (lambda x, y, order, share: mix()(x.mul_(0.5), y, order, share), "changes the tensor"),
        (lambda x, y, order, share: (x, share * y), "RuntimeError"),
        (
            lambda x, y, order, share: mix()(x, y, torch.tensor([2, 0, 1])[: len(x)], share),
            "a half and 0|IndexError",
        ),
    ],
)
def test_mixed(answer, message):
    with pytest.raises(Wrong, match=message):
        dbd.mixed(answer)


def loss(z, temperature, unit=True, diagonal=-torch.inf, twins=None, rows=6, reduction="mean"):
    """An answer to the exercise, with mistakes."""
    z = normalize(z) if unit else z
    near = (z @ z.T / temperature).masked_fill(torch.eye(6).bool(), diagonal)
    twins = torch.arange(6).roll(3) if twins is None else twins
    return cross_entropy(near[:rows], twins[:rows], reduction=reduction)


def without_partner(z, temperature):
    near = (normalize(z) @ normalize(z).T / temperature).exp()
    near.fill_diagonal_(0)
    i, twins = torch.arange(6), torch.arange(6).roll(3)
    ours = near[i, twins]
    return -(ours / (near.sum(1) - ours)).log().mean()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z, t: loss(z, t, diagonal=1 / t), "compared with itself"),
        (lambda z, t: loss(z, t, diagonal=0), "still counts as exp"),
        (lambda z, t: loss(z, t, unit=False), "no unit length"),
        (lambda z, t: loss(z, 1), "temperature is missing"),
        (lambda z, t: loss(z, 1 / t), "do not multiply"),
        (lambda z, t: loss(z, t, twins=torch.tensor([1, 0, 3, 2, 5, 4])), "not its neighbour"),
        (lambda z, t: loss(z, t, rows=3), "first n rows"),
        (lambda z, t: loss(z, t, reduction="sum"), "sum over the views"),
        (lambda z, t: loss(z, t, reduction="none"), "one loss a view"),
        (without_partner, "the partner stays in it"),
        (lambda z, t: -nt_xent(z, t), "sign is wrong"),
        (lambda z, t: loss(z, 0.5), "a temperature of 0.1"),
        (lambda z, t: nt_xent(z, t) * len(z) / 6, "for two images"),
    ],
)
def test_contrast(answer, message):
    with pytest.raises(Wrong, match=message):
        dbd.contrast(answer)


def ra_in_a_loop(ca, recall, classes):
    total = ca * classes  # the sum of all recalls
    return (total - recall) / len(range(1, classes))


def symmetric_in_a_loop(logits, labels, alpha, beta):
    found = []
    for z, label in zip(logits, labels.tolist(), strict=True):
        log_p = z.log_softmax(0)
        reverse = sum(4 * float(log_p[k].exp()) for k in range(len(z)) if k != label)
        found.append(-alpha * float(log_p[label]) + beta * reverse)
    return found


def symmetric_with_numpy(logits, labels, alpha, beta):
    z = logits.numpy().astype(float)
    ce = numpy.logaddexp.reduce(z, axis=1) - z[range(len(z)), labels.numpy()]
    return alpha * ce + beta * 4 * -numpy.expm1(-ce)


def mixed_in_a_loop(images, labels, order, share):
    found_images, found_labels = [], []
    for i, other in enumerate(order.tolist()):
        own = max(share[i].item(), 1 - share[i].item())
        found_images.append(own * images[i] + (1 - own) * images[other])
        found_labels.append(own * labels[i] + (1 - own) * labels[other])
    return [found_images, found_labels]


def mixed_with_numpy(images, labels, order, share):
    x, y, s = images.numpy(), labels.numpy(), share.numpy()
    own = numpy.maximum(s, 1 - s)
    tall = own.reshape(-1, 1, 1, 1)
    rows = order.numpy()
    return tall * x + (1 - tall) * x[rows], own[:, None] * y + (1 - own[:, None]) * y[rows]


def contrast_in_a_loop(z, temperature):
    z = normalize(z)
    n = len(z) // 2
    total = 0
    for i in range(2 * n):
        near = (z @ z[i] / temperature).exp()
        total -= (near[(i + n) % (2 * n)] / (near.sum() - near[i])).log()
    return total / (2 * n)


def contrast_with_numpy(z, temperature):
    z = z.numpy() / numpy.linalg.norm(z.numpy(), axis=1, keepdims=True)
    near = z @ z.T / temperature
    numpy.fill_diagonal(near, -numpy.inf)
    partners = numpy.roll(numpy.arange(len(z)), len(z) // 2)
    return (numpy.log(numpy.exp(near).sum(1)) - near[range(len(z)), partners]).mean()


RIGHT_ANSWERS = {
    "harmless": [
        ra_in_a_loop,
        lambda ca, recall, classes: torch.tensor(ca + (ca - recall) / (classes - 1)),
        lambda ca, recall, classes: numpy.float64(classes * ca - recall) / (classes - 1),
    ],
    "symmetric": [symmetric_in_a_loop, symmetric_with_numpy, sce],
    "mixed": [mixed_in_a_loop, mixed_with_numpy, mix()],
    "contrast": [contrast_in_a_loop, contrast_with_numpy, nt_xent],
}
