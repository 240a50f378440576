"""What the checks of notebook 03 say of wrong answers."""

import pytest
import torch

from dlp_lib.checks import Wrong, entropy_filtering


def p(logits):
    return logits.softmax(1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z: -(z.log_softmax(1).exp() * z.log_softmax(1)).sum(1), "nats"),
        (lambda z: (z.log_softmax(1).exp() * z.log_softmax(1)).sum(1) / 0.69315, "sign"),
        (lambda z: -(z.log_softmax(1).exp() * z.log_softmax(1)).mean(1) / 0.69315, "mean"),
        (lambda z: -(p(z) * p(z).log2()).sum(1), "log_softmax"),
        (lambda z: -(p(z) * p(z).log2()).sum(0), r"shape is \(4,\)"),
        (lambda z: None, "nothing yet"),
        (lambda z: z.nope(), "AttributeError"),
        (lambda z: z.sub_(1).sum(1), "changes the tensor"),
        (torch.zeros(3), "function is wanted, this is Tensor"),
    ],
)
def test_entropy(answer, message):
    with pytest.raises(Wrong, match=message):
        entropy_filtering.entropy(answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda h, y, g: h.argsort()[:2], "return two tensors"),
        (lambda h, y, g: (h.argsort()[-2:], h.argsort()[:2]), "poison is what the model is"),
        (lambda h, y, g: (h.argsort()[:3], h.argsort()[-2:]), "two of lowest entropy"),
        (lambda h, y, g: (h.argsort()[:2], h.argsort()[-2:]), "class by class"),
        (lambda h, y, g: (h.argsort()[:2], torch.tensor([1, 3, 4, 7])), "poison is there"),
        (lambda h, y, g: (h.argsort()[:2], torch.tensor([2, 5])), "two of every class"),
    ],
)
def test_cuts(answer, message):
    with pytest.raises(Wrong, match=message):
        entropy_filtering.cuts(answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda s, p: p[s].double().mean(), "return two numbers"),
        (
            lambda s, p: (p[s].sum() / p.sum(), p[s].double().mean()),
            "precision is a share of the suspects",
        ),
        (lambda s, p: (p[s].double().mean(), p[s].sum() / len(p)), "recall is a share"),
    ],
)
def test_precision_and_recall(answer, message):
    with pytest.raises(Wrong, match=message):
        entropy_filtering.precision_recall(answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda c: (~c).sum(0), "all epochs at which a sample is wrong"),
        (lambda c: (c[:-1] ^ c[1:]).sum(0), "every change"),
        (lambda c: (~c[:-1] & c[1:]).sum(0), "was learned"),
        (lambda c: c[0], r"at \[0\] is 0, it should be 1"),
    ],
)
def test_forgetting(answer, message):
    with pytest.raises(Wrong, match=message):
        entropy_filtering.forgetting(answer)
