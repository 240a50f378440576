"""What the checks of notebook 06 say of wrong answers, and that they want what the library does."""

import itertools

import pytest
import torch
from torch.nn.functional import one_hot

from dlp_lib import Split
from dlp_lib.checks import Wrong, dlp_pipeline
from dlp_lib.defences import agreement


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda a, c, u: ((a < 0.1) & (c >= u - 0.02)).all(0), "verdict on each .seed"),
        (lambda a, c, u: (a < 0.1) & (c >= u - 0.02), "each seed of each attack"),
        (lambda a, c, u: bool((a < 0.1).all()), r"the shape \(\)"),
        (
            lambda a, c, u: ((a > 0.1) & (c >= u - 0.02)).all(1),
            "row 0 is not defended .*: it holds",
        ),
        (
            lambda a, c, u: (a.mean(1) < 0.1) & (c >= u - 0.02).all(1),
            "row 1 is defended .* one seed of three",
        ),
        (lambda a, c, u: ((a < 0.1) & (c >= u - 0.02)).any(1), "row 1 is defended"),
        (
            lambda a, c, u: ((a < 0.1) & ((c - u).abs() <= 0.02)).all(1),
            "row 2 is not defended .* no loss",
        ),
        (
            lambda a, c, u: (a < 0.1).all(1) & (c.mean(1) >= u.mean(1) - 0.02),
            "row 3 is defended .* by seed",
        ),
        (
            lambda a, c, u: torch.tensor([True, False, True, False, True, False]),
            "row 4 .* backdoor is there",
        ),
        (
            lambda a, c, u: (a < 0.1).all(1) & (c > 0.94).all(1) | (c < 0.5).all(1),
            "row 5 .* CA with it",
        ),
    ],
)
def test_defended(answer, message):
    with pytest.raises(Wrong, match=message):
        dlp_pipeline.defended(answer)


RUNS = {"A": "suspects", "B": "trusted", "C": "unlearning", "D": "nothing", "E": "fine-tuning"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "nothing yet"),
        ("suspects", "a dictionary"),
        ({"A": "suspects", "B": "trusted"}, "nothing is said of C, D, E"),
        (RUNS | {"A": "filter", "B": None}, "None, filter: the words"),
        (RUNS | {"A": "unlearning"}, "run A, unlearning: .* given to unlearn"),
        (RUNS | {"A": "trusted"}, "run A, trusted: .* before it is used"),
        (RUNS | {"A": "fine-tuning"}, "run A, fine-tuning: .* stronger than after SL"),
        (RUNS | {"A": "nothing"}, "run A, nothing: .* 95 / 30"),
        (RUNS | {"B": "suspects"}, "run B, suspects: .* purpose was reached"),
        (RUNS | {"B": "unlearning"}, "run B, unlearning: ASR is 1"),
        (RUNS | {"B": "fine-tuning"}, "run B, fine-tuning: .* given with labels"),
        (RUNS | {"C": "fine-tuning"}, "run C, fine-tuning: .* should have removed"),
        (RUNS | {"C": "suspects"}, "run C, suspects: both cuts are pure"),
        (RUNS | {"D": "unlearning"}, "run D, unlearning: .* 97 / 1"),
        (RUNS | {"E": "nothing"}, "run E, nothing: .* no good model"),
        (RUNS | {"E": "unlearning"}, "run E, unlearning: .* bring it back"),
    ],
)
def test_failures(answer, message):
    with pytest.raises(Wrong, match=message):
        dlp_pipeline.failures(answer)


def first(lasting, labels, otherwise):
    """The first epoch of which ``lasting`` holds, given the classes' shares and the epoch."""
    shares = one_hot(labels, 3).double().mean(1)
    return next((epoch for epoch in range(1, len(labels) + 1) if lasting(shares, epoch)), otherwise)


def mean(shares, epoch, window=3):
    return shares[max(0, epoch - window) : epoch].sum(0).max() / window >= 0.9


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda y, c, t, f: first(lambda s, e: s[e - 1].max() >= t, y, f), "does not last"),
        (lambda y, c, t, f: first(lambda s, e: mean(s, e, 2), y, f), "for two epochs"),
        (
            lambda y, c, t, f: first(lambda s, e: e > 2 and s[e - 3 : e].amax(1).mean() >= t, y, f),
            "not on the same",
        ),
        (lambda y, c, t, f: first(mean, y, f) - 1, "index from 0"),
        (lambda y, c, t, f: first(lambda s, e: e == len(s) and mean(s, e), y, f), "the last epoch"),
        (lambda y, c, t, f: first(lambda s, e: mean(s, e + 2), y, f), "the window begins there"),
        (
            lambda y, c, t, f: first(lambda s, e: s[max(0, e - 3) : e].mean(0).max() >= t, y, f),
            "counts as 0",
        ),
        (lambda y, c, t, f: first(mean, y, None), "agreement never lasts: return the fallback"),
        (lambda y, c, t, f: first(mean, y, 1), "argmax"),
    ],
)
def test_e1(answer, message):
    with pytest.raises(Wrong, match=message):
        dlp_pipeline.e1(answer)


def test_e1_is_what_agreement_says(capsys):
    def by_agreement(labels, classes, threshold, fallback):
        names = tuple("abcde"[:classes])
        images = torch.zeros(60, 3, 8, 8, dtype=torch.uint8)
        members = Split(images, torch.arange(60) % classes, names)
        scores = []
        for wanted in labels:
            scores.append(torch.zeros(60))
            for label, count in enumerate(wanted.bincount().tolist()):
                scores[-1][(members.labels == label).nonzero()[:count, 0]] = 1
        lasting = agreement(scores, members, labels.shape[1] / 60) >= threshold
        return int(lasting.double().argmax()) + 1 if lasting.any() else fallback

    dlp_pipeline.e1(by_agreement)
    assert capsys.readouterr().out.startswith("Right.")


def far(d, count):
    """The share of sign patterns whose mean ``count`` says yes to, given the one that was seen."""
    signs = torch.tensor(list(itertools.product((1.0, -1.0), repeat=len(d))))
    return count((signs * d).mean(1), d.mean()).double().mean()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda d: far(d, lambda means, seen: means.abs() > seen.abs()), "not >, but"),
        (lambda d: far(d, lambda means, seen: means >= seen), "below. 0: compare"),
        (lambda d: far(d, lambda means, seen: means > seen), "only one side"),
        (lambda d: far(d, lambda means, seen: means.abs() < seen.abs()), "nearer. to 0"),
        (lambda d: 1.0, "another order"),
        (lambda d: far(d.sign(), lambda means, seen: means.abs() >= seen), "only the signs"),
        (
            lambda d: 2 ** len(d) * far(d, lambda means, seen: means.abs() >= seen),
            "number of patterns",
        ),
        (lambda d: far(d, lambda means, seen: means.abs() >= seen), "below 0 itself"),
        (lambda d: 0.5, "the share is 0.5, it should be 0.5391"),
    ],
)
def test_chance(answer, message):
    with pytest.raises(Wrong, match=message):
        dlp_pipeline.chance(answer)
