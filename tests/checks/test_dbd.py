"""What the checks of notebook 12 say of wrong answers."""

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
    ],
)
def test_harmless(answer, message):
    with pytest.raises(Wrong, match=message):
        dbd.harmless(answer)


def power(p, exponent, dim=1):
    return p**exponent / (p**exponent).sum(dim, keepdim=True)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda p, t: p.mean(0), "sharpening is missing"),
        (lambda p, t: power(p.mean(0), t), "softer"),
        (lambda p, t: p.mean(0) ** (1 / t), "do not sum to one"),
        (lambda p, t: power(p, 1 / t, 2).mean(0), "first the mean"),
        (lambda p, t: (p.mean(0) / t).softmax(1), "a probability already"),
        (lambda p, t: power(p.mean(0), 1 / t, 0), "sum over the samples"),
        (lambda p, t: one_hot(p.mean(0).argmax(1), 4), "a hard label"),
        (lambda p, t: power(p.mean(1), 1 / t), r"shape is \(2, 4\), it should be \(3, 4\)"),
    ],
)
def test_guess(answer, message):
    with pytest.raises(Wrong, match=message):
        dbd.guess(answer)


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
    ],
)
def test_contrast(answer, message):
    with pytest.raises(Wrong, match=message):
        dbd.contrast(answer)
