"""What the checks of notebook 11 say of wrong answers."""

import math

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
        (lambda suspects, members, asked: asked * suspects.bincount() / members, "RuntimeError"),
    ],
)
def test_label_aware(answer, message):
    with pytest.raises(Wrong, match=message):
        limits.label_aware(answer)
