"""What the checks of notebook 03 say of wrong answers."""

import math

import numpy
import pytest
import torch
from stand_ins import STAND_INS

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
        (
            lambda z: (
                torch.special.entr(p(z)).sum(1) / math.log(4) * 2 if z.shape[1] == 4 else p(z)[:, 0]
            ),
            "for 2 classes",
        ),
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
        (lambda h, y, g: [[*part, *part] for part in cuts_by_sorting(h, y, g)], "is there twice"),
        (lambda h, y, g: cuts_by_sorting(h, y, 2 / len(h)), "gamma = 0.1, the suspects"),
        (
            lambda h, y, g: (cuts_by_sorting(h, y, g)[0], cuts_by_sorting(h, y, 0.25)[1]),
            "gamma = 0.1 and 3 classes",
        ),
        (lambda h, y, g: (h[h.argsort()[:2]], h[h.argsort()[2:]]), "two tensors of indices"),
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
        (lambda s, p: (p[s].sum() / 4, p[s].sum() / p.sum()), "for 5 suspects and 4 poisoned"),
        (lambda s, p: (p[s].double().mean(), p[s].sum() / 6), "for 5 suspects and 4 poisoned"),
        (lambda s, p: (p[s].double().mean(), p[s].double().mean()), "recall is 0.75"),
    ],
)
def test_precision_recall(answer, message):
    with pytest.raises(Wrong, match=message):
        entropy_filtering.precision_recall(answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda c: (~c).sum(0), "all epochs at which a sample is wrong"),
        (lambda c: (c[:-1] ^ c[1:]).sum(0), "every change"),
        (lambda c: (~c[:-1] & c[1:]).sum(0), "was learned"),
        (lambda c: c[0], r"at \[0\] is 0, it should be 1"),
        (lambda c: (c[:-1] & ~c[1:])[:3].sum(0), "for six epochs"),
        (lambda c: (c & ~c.roll(-1, 0)).sum(0).clamp(max=2), r"at \[3\] is 1, it should be 0|is 2"),
    ],
)
def test_forgetting(answer, message):
    with pytest.raises(Wrong, match=message):
        entropy_filtering.forgetting(answer)


READ = {"BadNets": (3, 98), "Blended": (5, 7), "SIG": ("never", None)}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "a dictionary is wanted"),
        ({"BadNets": (3, 98)}, "a dictionary is wanted"),
        (READ | {"BadNets": (None, None)}, "BadNets, the epoch: nothing yet"),
        (READ | {"BadNets": 3}, "BadNets: a dictionary is wanted, of .epoch, per cent."),
        (READ | {"BadNets": (2, 100)}, "a defender cannot see that curve|counted from 1"),
        (READ | {"BadNets": (4, 100)}, "BadNets, the epoch: 4 is too high"),
        (READ | {"Blended": (5, 92)}, "this is the agreement: how many are .poisoned.?"),
        (READ | {"Blended": (5, 40)}, "Blended, poisoned suspects .%.: 40 is too high"),
        (READ | {"Blended": ("never", None)}, "Blended, the epoch: the curve does come to 90 %"),
        (READ | {"SIG": (3, 100)}, "SIG, the epoch: the curve comes to 90 % at no epoch"),
        (READ | {"SIG": ("perhaps", None)}, "an epoch is wanted, or “never”"),
        (READ | {"BadNets": (3, 0.98)}, "0.98 is too low"),
    ],
)
def test_alarms(answer, message):
    with pytest.raises(Wrong, match=message):
        entropy_filtering.alarms(answer, *STAND_INS["03_entropy_filtering"].values())


def entropy_in_a_loop(logits):
    found = []
    for z in logits.tolist():
        total = sum(math.exp(value - max(z)) for value in z)
        p = [math.exp(value - max(z)) / total for value in z]
        found.append(-sum(x * math.log2(x) for x in p if x > 0))
    return found


def entropy_by_entr(logits):
    return torch.special.entr(logits.double().softmax(1)).sum(1) / math.log(2)


def entropy_with_numpy(logits):
    z = logits.numpy().astype(float)
    log_p = z - numpy.logaddexp.reduce(z, axis=1, keepdims=True)
    return -(numpy.exp(log_p) * log_p).sum(1) / numpy.log(2)


def cuts_by_sorting(h, labels, gamma):
    k = round(len(h) * gamma)
    rows = sorted(range(len(h)), key=lambda i: h[i])
    trusted = []
    for label in sorted({int(label) for label in labels}):
        trusted += [i for i in rows if labels[i] == label][-k:]
    return rows[:k], trusted


def cuts_by_topk(h, labels, gamma):
    k = round(len(h) * gamma)
    trusted = set()
    for label in labels.unique():
        own = (labels == label).nonzero()[:, 0]
        trusted |= {int(i) for i in own[h[own].topk(k).indices]}
    return [{int(i) for i in h.topk(k, largest=False).indices}, trusted]


def cuts_with_numpy(h, labels, gamma):
    h, labels, k = h.numpy(), labels.numpy(), round(len(h) * gamma)
    order = numpy.argsort(-h)
    trusted = [order[labels[order] == label][:k] for label in numpy.unique(labels)]
    return order[::-1][:k].copy(), numpy.concatenate(trusted)


def shares_of_sets(suspected, poisoned):
    suspects = {int(i) for i in suspected}
    poison = {i for i, is_poisoned in enumerate(poisoned.tolist()) if is_poisoned}
    return [len(suspects & poison) / len(suspects), len(suspects & poison) / len(poison)]


def shares_of_masks(suspected, poisoned):
    suspects = torch.zeros_like(poisoned).index_fill(0, suspected, True)
    found = (suspects & poisoned).sum()
    return torch.stack([found / suspects.sum(), found / poisoned.sum()])


def shares_with_numpy(suspected, poisoned):
    hits = poisoned.numpy()[suspected.numpy()]
    return hits.mean(), hits.sum() / poisoned.numpy().sum()


def forgetting_in_a_loop(correct):
    counts = [0] * correct.shape[1]
    for before, after in zip(correct.tolist(), correct.tolist()[1:], strict=False):
        for sample, (was, now) in enumerate(zip(before, after, strict=True)):
            counts[sample] += was and not now
    return counts


def forgetting_by_differences(correct):
    return (correct.int().diff(dim=0) == -1).sum(0)


def forgetting_with_numpy(correct):
    return numpy.clip(-numpy.diff(correct.numpy().astype(int), axis=0), 0, None).sum(0)


RIGHT_ANSWERS = {
    "alarms": [
        READ,
        READ | {"BadNets": [torch.tensor(3), 100], "Blended": (5, 2), "SIG": ("Never", 50)},
        READ | {"BadNets": numpy.array([3, 94]), "LCA": (1, 1)},
    ],
    "entropy": [entropy_in_a_loop, entropy_by_entr, entropy_with_numpy],
    "cuts": [cuts_by_sorting, cuts_by_topk, cuts_with_numpy],
    "precision_recall": [shares_of_sets, shares_of_masks, shares_with_numpy],
    "forgetting": [forgetting_in_a_loop, forgetting_by_differences, forgetting_with_numpy],
}
