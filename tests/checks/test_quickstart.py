"""What the checks of notebook 00 say of wrong answers."""

from fractions import Fraction

import numpy
import pytest
import torch
from stand_ins import STAND_INS
from torch.nn.functional import cross_entropy

from dlp_lib.checks import Wrong, quickstart


def both(share):
    """ASR and RA, each by the function of hits (n,) and of who counts (n,)."""
    return lambda a, y, t: (share(a == t, y != t), share(a == y, y != t))


def asr(share):
    """A right RA beside an ASR of (answers, labels, target)."""
    return lambda a, y, t: (share(a, y, t), (a == y)[y != t].double().mean())


def ra(share):
    return lambda a, y, t: ((a == t)[y != t].double().mean(), share(a, y, t))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda a, y, t: (a == t).double().mean(), "return two numbers"),
        (both(lambda hits, who: hits.double().mean()), "target's own images count"),
        (both(lambda hits, who: (hits & who).double().mean()), "divided by all images"),
        (asr(lambda a, y, t: (a == y)[y != t].double().mean()), "this is RA"),
        (
            asr(lambda a, y, t: (y != t)[a == t].double().mean()),
            "share of the images taken for the target",
        ),
        (asr(lambda a, y, t: (a == 0)[y != 0].double().mean()), "class 0 is not always"),
        (ra(lambda a, y, t: (a == y).double().mean()), "target's own images count"),
        (ra(lambda a, y, t: ((a == y) & (y != t)).double().mean()), "divided by all images"),
        (ra(lambda a, y, t: (a != t)[y != t].double().mean()), "not 1 − ASR"),
        (asr(lambda a, y, t: 0.9), "ASR is 0.9, it should be 0.5"),
        (lambda a, y, t: rates_in_a_loop(a, y, 1), "for the target 2, among 7 images"),
        (lambda a, y, t: (0.5, 0.375), "for the target 2"),
        (lambda a, y, t: (0.5, 0.375, 0.125), "return two numbers"),
    ],
)
def test_asr_and_ra(answer, message):
    with pytest.raises(Wrong, match=message):
        quickstart.asr_and_ra(answer)


RIGHT = {"A": "backdoored", "B": "collapsed", "C": "benign", "D": "collapsed", "E": "disturbed"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "dictionary is wanted"),
        ("backdoored", "dictionary is wanted"),
        ({"A": "backdoored"}, "no verdict on B, C, D, E"),
        (RIGHT | {"C": "good"}, "C is 'good': the words are backdoored, benign"),
        (RIGHT | {"A": None}, "A is None: the words are"),
        (RIGHT | {"A": "benign"}, "A is not benign: what does it answer to clean"),
        (RIGHT | {"B": "benign"}, "no defence by itself"),
        (RIGHT | {"B": "disturbed"}, "B is not disturbed: an ASR"),
        (RIGHT | {"C": "disturbed"}, "mere error"),
        (RIGHT | {"D": "backdoored"}, "does it need the trigger"),
        (RIGHT | {"E": "benign"}, "CA and RA together"),
    ],
)
def test_verdicts(answer, message):
    with pytest.raises(Wrong, match=message):
        quickstart.verdicts(answer)


DRAWN = STAND_INS["00_quickstart"]["clean"], STAND_INS["00_quickstart"]["poisoned"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"learned": None, "gap": None}, "learned: nothing yet"),
        ({"learned": 3}, "a dictionary is wanted"),
        ({"learned": 2, "gap": 47}, "epochs are counted from 1"),
        ({"learned": 4, "gap": 47}, "learned: 4 is too high"),
        ({"learned": "never", "gap": 47}, "does come to 90 %: where"),
        ({"learned": "soon", "gap": 47}, "an epoch is wanted, or “never”"),
        ({"learned": 3, "gap": 0.47}, "in points"),
        ({"learned": 3, "gap": 53}, "this is the clean curve's height"),
        ({"learned": 3, "gap": 99}, "this is the poisoned curve's height"),
        ({"learned": 3, "gap": -47}, "not the other way round"),
        ({"learned": 3, "gap": 70}, "gap: 70 is too high. Follow the curve"),
        ({"learned": 3, "gap": 30}, "gap: 30 is too low"),
        ({"learned": 3, "gap": [47, 48]}, "one number is wanted"),
    ],
)
def test_gap_figure(answer, message):
    with pytest.raises(Wrong, match=message):
        quickstart.gap_figure(answer, *DRAWN)


def test_a_figure_may_be_read_otherwise_where_a_curve_passes_its_limit(capsys):
    quickstart.gap_figure({"learned": 2, "gap": 70}, [0.1, 0.2, 0.3], [0.5, 0.89, 1.0])
    quickstart.gap_figure({"learned": 3, "gap": 70}, [0.1, 0.2, 0.3], [0.5, 0.89, 1.0])
    quickstart.gap_figure({"learned": "Never", "gap": 0}, [0.1, 0.5], [0.1, 0.5])
    assert capsys.readouterr().out.count("Right. ") == 3
    with pytest.raises(Wrong, match="at no epoch"):
        quickstart.gap_figure({"learned": 2, "gap": 0}, [0.1, 0.5], [0.1, 0.5])
    with pytest.raises(Wrong, match="this is the clean curve"):
        quickstart.gap_figure({"learned": 3, "gap": 0}, [0.1, 0.5, 0.95], [0.95, 0.97, 0.97])


def first(reached):
    """A stop at the first True, or the last epoch."""
    return int(reached.nonzero()[0]) + 1 if reached.any() else len(reached)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda a, c: first(a <= 1 / c) - 1, "epochs from 0"),
        (lambda a, c: first(a < 1 / c), "chance is enough"),
        (lambda a, c: int((a > 1 / c).nonzero()[-1]) + 2, "all stay at chance"),
        (lambda a, c: first(a <= 0.1), "1/4 and not 1/10"),
        (lambda a, c: int(a.argmin()) + 1, "lowest accuracy"),
        (lambda a, c: int((a <= 1 / c).nonzero()[-1]) + 1, "last epoch at chance"),
        (lambda a, c: int((a <= 1 / c).int().argmax()) + 1, "argmax of nothing but False"),
        (lambda a, c: int((a <= 1 / c).nonzero()[0]) + 1, "IndexError.*never come to chance"),
        (
            lambda a, c: first(a <= 1 / c) if (a <= 1 / c).any() else None,
            "nothing yet .for suspects that never",
        ),
        (lambda a, c: (a <= 1 / c).nonzero()[0] + 1, "a tensor of one number"),
        (lambda a, c: a <= 1 / c, "the shape is"),
        (lambda a, c: first(a <= 0.25), "among 8 classes"),
        (lambda a, c: first(a <= 1 / c) if (a <= 1 / c).any() else 3, "five epochs never come"),
        (lambda a, c: max(2, first(a <= 1 / c)), "from the first epoch on"),
    ],
)
def test_stop(answer, message):
    with pytest.raises(Wrong, match=message):
        quickstart.stop(answer)


def losses(weak, strong):
    """The confidence of every guess, and its loss."""
    confidence, guess = weak.softmax(1).max(1)
    return confidence, cross_entropy(strong, guess, reduction="none")


def masked(share):
    """An answer by a function of the losses and of who is confident."""
    return lambda w, s, tau: share(losses(w, s)[1], losses(w, s)[0] >= tau)


def over_samples(weak, strong, tau):
    confidence, guess = weak.softmax(0).max(1)
    return (cross_entropy(strong, guess, reduction="none") * (confidence >= tau)).mean()


def confident(loss):
    """An answer by the losses of (weak, strong), masked and averaged as they should be."""
    return lambda w, s, tau: (loss(w, s) * (losses(w, s)[0] >= tau)).mean()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (masked(lambda loss, mask: loss[mask].mean()), "mean of the confident samples alone"),
        (masked(lambda loss, mask: loss.mean()), "every guess counts"),
        (masked(lambda loss, mask: (loss * ~mask).mean()), "turn the mask round"),
        (masked(lambda loss, mask: loss * mask), "their mean is wanted"),
        (masked(lambda loss, mask: (loss * mask).sum()), "this is a sum"),
        (lambda w, s, tau: (losses(w, s)[1] * (w.amax(1) >= tau)).mean(), "tau is a probability"),
        (lambda w, s, tau: (losses(s, w)[1] * (losses(s, w)[0] >= tau)).mean(), "changed places"),
        (over_samples, "over the samples"),
        (confident(lambda w, s: losses(s, s)[1]), "the strong view's own"),
        (confident(lambda w, s: losses(w, s.softmax(1))[1]), "softmax twice"),
        (
            confident(lambda w, s: cross_entropy(s, w.softmax(1), reduction="none")),
            "one class, not all of p",
        ),
        (confident(lambda w, s: losses(w, s)[1] + 1), "it should be"),
        (lambda w, s, tau: loss_in_a_loop(w, s, 0.9), "with tau = 0.6, which is not fixed"),
        (
            lambda w, s, tau: (losses(w, s)[1] * (losses(w, s)[0] > tau)).mean(),
            "a confidence is tau, and that is enough",
        ),
        (lambda w, s, tau: loss_in_a_loop(w, s, tau) * len(w) / 4, "a confidence is tau"),
    ],
)
def test_unlabelled_loss(answer, message):
    with pytest.raises(Wrong, match=message):
        quickstart.unlabelled_loss(answer)


def rates_in_a_loop(answers, labels, target):
    taken, right, others = 0, 0, 0
    for answer, label in zip(answers.tolist(), labels.tolist(), strict=True):
        if label != target:
            others += 1
            taken += answer == target
            right += answer == label
    return [taken / others, right / others]


def rates_with_numpy(answers, labels, target):
    answers, labels = answers.numpy(), labels.numpy()
    others = labels != target
    return numpy.array([(answers == target)[others].mean(), (answers == labels)[others].mean()])


def rates_as_fractions(answers, labels, target):
    others = labels != target
    counts = ((answers == target) & others).sum(), ((answers == labels) & others).sum()
    return tuple(Fraction(int(count), int(others.sum())) for count in counts)


def stop_in_a_loop(accuracies, n_classes):
    for epoch, accuracy in enumerate(accuracies, 1):
        if accuracy <= 1 / n_classes:
            return epoch
    return epoch


def stop_by_a_sum(accuracies, n_classes):
    above = (accuracies > 1 / n_classes).int().cumprod(0).sum()
    return (above + 1).clamp(max=len(accuracies))


def stop_with_numpy(accuracies, n_classes):
    at_chance = numpy.flatnonzero(accuracies.numpy() * n_classes <= 1)
    return at_chance[0] + 1 if at_chance.size else accuracies.numpy().size


def loss_in_a_loop(weak, strong, tau):
    total = 0.0
    for w, s in zip(weak, strong, strict=True):
        p = w.softmax(0)
        if p.max() >= tau:
            total -= s.log_softmax(0)[p.argmax()].item()
    return total / len(weak)


def loss_of_the_confident(weak, strong, tau):
    confidence, guess = weak.softmax(1).max(1)
    sure = confidence >= tau
    return cross_entropy(strong[sure], guess[sure], reduction="sum") / len(weak)


def loss_with_numpy(weak, strong, tau):
    p = numpy.exp(weak.numpy().astype(float))
    p /= p.sum(1, keepdims=True)
    q = numpy.exp(strong.numpy().astype(float))
    q /= q.sum(1, keepdims=True)
    losses = -numpy.log(q[range(len(q)), p.argmax(1)])
    return numpy.where(p.max(1) >= tau, losses, 0).mean()


RIGHT_ANSWERS = {
    "asr_and_ra": [rates_in_a_loop, rates_with_numpy, rates_as_fractions],
    "verdicts": [
        RIGHT,
        {model: word.upper() for model, word in RIGHT.items()},
        dict(reversed(RIGHT.items())) | {"F": "another one"},
    ],
    "gap_figure": [
        {"learned": 3, "gap": 47},
        {"learned": torch.tensor(3), "gap": numpy.float32(50.5)},
        {"learned": 3.0, "gap": Fraction(87, 2), "seen by": "eye"},
    ],
    "stop": [stop_in_a_loop, stop_by_a_sum, stop_with_numpy],
    "unlabelled_loss": [loss_in_a_loop, loss_of_the_confident, loss_with_numpy],
}
