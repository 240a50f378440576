"""What the checks of notebook 00 say of wrong answers."""

import pytest
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
    ],
)
def test_unlabelled_loss(answer, message):
    with pytest.raises(Wrong, match=message):
        quickstart.unlabelled_loss(answer)
