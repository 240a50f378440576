"""What the checks of notebook 11 say of wrong answers."""

import math

import numpy
import pytest
import torch

from dlp_lib import Split, entropy, select
from dlp_lib.checks import Wrong, limits


def best(of_class=False, gamma_of_class=False, half=True, most=1.0, wanted="clean"):
    """An answer to the exercise, with mistakes."""

    def answer(n, classes, rate, gamma):
        members = n / classes
        clean = members - rate * (members if of_class else n)
        quota = gamma * (members if gamma_of_class else n)
        quota = min(quota, members / 2) if half else quota
        share = min(most, clean / (members if wanted == "class" else quota))
        return 1 - share if wanted == "poisoned" else share

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (best(wanted="poisoned"), "must be poisoned"),
        (best(of_class=True), "hardly one is left clean"),
        (best(of_class=True, most=9.0), "a share of the whole set, not of the class: rate"),
        (best(gamma_of_class=True), "gamma is a share of the whole set"),
        (best(wanted="class"), "clean share of the class"),
        (best(half=False), "more than half of itself"),
        (best(most=9.0), "a share is 1 at most"),
        (lambda n, classes, rate, gamma: None, "nothing yet"),
        (best(), "no share is negative"),
        (
            lambda n, c, rate, gamma: max(0, min(1, (100 - n * rate) / (n * gamma))),
            "more than half of the class",
        ),
        (lambda n, c, rate, gamma: abs(best()(n, c, rate, gamma)), "no share is negative"),
    ],
)
def test_best_case(answer, message):
    with pytest.raises(Wrong, match=message):
        limits.best_case(answer)


def bits(p):
    return sum(-x * math.log2(x) for x in p if x)


def shares(covered, others, target=0.0):
    return [1 - covered + target] + [covered / others] * (others if not target else others - 1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda c, n: bits(shares(c, n - 1)) * math.log(2), "nats"),
        (lambda c, n: -bits(shares(c, n - 1)), "never negative"),
        (lambda c, n: bits([c, 1 - c]), "not all that is open"),
        (lambda c, n: bits(shares(c, n, c / n)), "one class fewer"),
        (lambda c, n: bits(shares(c, n)), "not by all of them"),
        (lambda c, n: bits(shares(1 - c, n - 1)), "wrong way round"),
        (lambda c, n: math.log2(n), "all classes alike"),
        (lambda c, n: entropy(torch.tensor([shares(c, n - 1)])).item(), "takes logits"),
        (lambda c, n: shares(c, n - 1), "a probability of each class"),
        (
            lambda c, n: -sum(torch.tensor(p) * torch.tensor(p).log2() for p in shares(c, n - 1)),
            r"0 · log 0 counts as 0",
        ),
        (lambda c, n: -sum(p * math.log2(p) for p in shares(c, n - 1)), r"ValueError.*covered = 0"),
        (lambda c, n: bits([1 - c, *[c / 4] * 4]), "covered = 0.5 and 10 classes"),
        (lambda c, n: bits(shares(0.3 if c else 0, n - 1)), "covered = 0.5 and 10 classes"),
    ],
)
def test_doubt(answer, message):
    with pytest.raises(Wrong, match=message):
        limits.doubt(answer)


def by_class(rank):
    def answer(h, labels):
        ranks = torch.empty_like(h)
        for label in labels.unique():
            ranks[labels == label] = rank(h[labels == label])
        return ranks

    return answer


def place(h):
    return h.argsort().argsort()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda h, labels: place(h) / len(h), "ranks among all samples"),
        (lambda h, labels: place(h), "counts among all samples"),
        (by_class(lambda h: place(h).float()), "these are counts: divide by the size"),
        (by_class(lambda h: place(h) / 7), "divided by n"),
        (by_class(lambda h: h.argsort() / len(h)), "once more"),
        (by_class(lambda h: place(-h) / len(h)), "ranks from above"),
        (by_class(lambda h: (place(h) + 1) / len(h)), "one too many"),
        (by_class(lambda h: place(h) / (len(h) - 1)), "less one"),
        (lambda h, labels: h.sub_(1), "changes the tensor"),
        (by_class(torch.zeros_like), r"at \[0\] is 0, it should be 0.6"),
        (by_class(lambda h: place(h) / len(h)), "entropies are equal"),
        (by_class(lambda h: ((h <= h[:, None]).sum(1) - 1) / len(h)), "entropies are equal"),
    ],
)
def test_ranks(answer, message):
    with pytest.raises(Wrong, match=message):
        limits.ranks(answer)


def quotas(doubt=None, floor=None, least=1, half=lambda m: m // 2, share=1):
    """An answer to the exercise, with mistakes."""

    def answer(suspects, members, asked):
        classes, carried = len(members), suspects.bincount(minlength=len(members))
        doubts = carried / len(suspects) if doubt is None else doubt(carried, members)
        kept = (1 - doubts).clamp(min=1 / classes if floor is None else floor)
        return (asked / share * kept).round().clamp(min=least).minimum(half(members))

    return answer


def rounded(whole):
    """The quotas, made whole numbers by another function."""

    def answer(suspects, members, asked):
        doubts = suspects.bincount(minlength=len(members)) / len(suspects)
        kept = whole(asked * (1 - doubts).clamp(min=1 / len(members)) - 1e-6)
        return kept.clamp(min=1).minimum(members // 2)

    return answer


def test_quotas_are_those_of_the_library(capsys):
    limits.label_aware(quotas())
    assert capsys.readouterr().out.startswith("Right. ")
    labels = torch.arange(4).repeat_interleave(torch.tensor([200, 100, 60, 31]))
    suspicion = torch.zeros(391)
    suspicion[:19], suspicion[300] = 2, 1
    images = torch.zeros(391, 3, 1, 1, dtype=torch.uint8)
    selection = select(suspicion, Split.from_arrays(images, labels), 20 / 391, "label_aware")
    assert selection.quotas == (5, 20, 19, 15)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (quotas(floor=0), "without the floor"),
        (quotas(floor=0.1), "floor of a tenth"),
        (quotas(doubt=lambda carried, members: carried / members), "not of the class"),
        (quotas(half=lambda members: members), "half of its members"),
        (quotas(doubt=lambda carried, members: 1 - carried / carried.sum()), "fewer"),
        (quotas(doubt=lambda carried, members: 0 * carried), "ignores the labels"),
        (quotas(share=4), "not shared among the classes"),
        (
            lambda suspects, members, asked: suspects.bincount(minlength=4) / len(suspects),
            "these are the doubts",
        ),
        (quotas(half=lambda members: members / 2), "15 whole samples"),
        (quotas(least=0), "one sample at least"),
        (lambda s, m, asked: rounded(torch.ceil)(s, m, asked), "to the nearest whole number"),
        (lambda s, m, asked: rounded(torch.floor)(s, m, asked), "is 4, it should be 5"),
        (quotas(half=lambda m: (m / 2).ceil().int()), "whole samples|it should be 15|its members"),
        (
            lambda s, m, asked: quotas()(s, m, asked)[:4].tolist() if len(m) == 4 else [3, 5, 6],
            "2.8",
        ),
        (lambda suspects, members, asked: asked * suspects.bincount() / members, "RuntimeError"),
    ],
)
def test_label_aware(answer, message):
    with pytest.raises(Wrong, match=message):
        limits.label_aware(answer)


def doubt_in_a_loop(covered, classes):
    return bits(shares(covered, classes - 1))


def doubt_in_two_parts(covered, classes):
    p = torch.tensor([covered, 1 - covered]).clamp(min=1e-12)
    return -(p * p.log2()).sum() + covered * math.log2(classes - 1)


def doubt_with_numpy(covered, classes):
    p = numpy.array(shares(covered, classes - 1))
    return -(p * numpy.log2(numpy.where(p > 0, p, 1))).sum()


def ranks_in_a_loop(h, labels):
    found = []
    for own, label in zip(h.tolist(), labels.tolist(), strict=True):
        others = [x for x, y in zip(h.tolist(), labels.tolist(), strict=True) if y == label]
        found.append(sum(x < own for x in others) / len(others))
    return found


def ranks_at_once(h, labels):
    together = labels[:, None] == labels
    lower = together & (h < h[:, None])
    return lower.sum(1) / together.sum(1)


def ranks_with_numpy(h, labels):
    found = numpy.zeros(len(h))
    for label in numpy.unique(labels.numpy()):
        own = labels.numpy() == label
        values = h.numpy()[own]
        found[own] = numpy.searchsorted(numpy.sort(values), values) / len(values)
    return found


def quotas_in_a_loop(suspects, members, asked):
    found = []
    for label, size in enumerate(members.tolist()):
        doubt = suspects.tolist().count(label) / len(suspects)
        quota = round(asked * max(1 - doubt, 1 / len(members)))
        found.append(min(max(1, quota), size // 2))
    return found


def quotas_with_numpy(suspects, members, asked):
    counts = numpy.bincount(suspects.numpy(), minlength=len(members))
    kept = numpy.maximum(1 - counts / counts.sum(), 1 / len(members))
    return numpy.clip(numpy.rint(asked * kept), 1, members.numpy() // 2)


def best_of_images(n, classes, rate, gamma):
    """Count images: clean ones first."""
    members = round(n / classes)
    clean = members - min(members, round(n * rate))
    trusted = min(n * gamma, members / 2)
    return torch.tensor(min(clean, trusted) / trusted)


def best_of_shares(n, classes, rate, gamma):
    """The number of images cancels."""
    return numpy.clip((1 / classes - rate) / min(gamma, 1 / classes / 2), 0, 1)


RIGHT_ANSWERS = {
    "best_case": [
        best_of_images,
        best_of_shares,
        lambda n, c, rate, gamma: max(0, min(1, (n / c - n * rate) / min(n * gamma, n / c / 2))),
    ],
    "doubt": [doubt_in_a_loop, doubt_in_two_parts, doubt_with_numpy],
    "ranks": [ranks_in_a_loop, ranks_at_once, ranks_with_numpy],
    "label_aware": [quotas(), quotas_in_a_loop, quotas_with_numpy],
}
