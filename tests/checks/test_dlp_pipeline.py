"""What the checks of notebook 06 say of wrong answers, and that they want what the library does."""

import itertools

import numpy
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
        (lambda a, c, u: ((a <= 0.1) & (c >= u - 0.02)).all(1), "10 % is not .below. 10 %"),
        (lambda a, c, u: ((a < 0.2) & (c >= u - 0.02)).all(1), "10 % is not .below. 10 %"),
        (lambda a, c, u: ((a < 0.05) & (c >= u - 0.02)).all(1), "9.5 % is below 10 %"),
        (lambda a, c, u: ((a < 0.1) & (c >= u - 0.01)).all(1), "1.9 points of CA is allowed"),
        (lambda a, c, u: ((a < 0.1) & (c >= u - 0.03)).all(1), "2.1 points of CA is too much"),
        (lambda a, c, u: ((a < 0.1) & (c >= u - 0.02))[:, :3].all(1), "2.1 points"),
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
        (lambda y, c, t, f: e1_in_a_loop(y, c, 0.9, f), "a threshold of 0.8|is the threshold"),
        (
            lambda y, c, t, f: e1_in_a_loop(y, c, t + 1e-9, f),
            "is the threshold, and that is enough",
        ),
        (lambda y, c, t, f: e1_in_a_loop(y, 3, t, f), "with 5 classes"),
        (lambda y, c, t, f: e1_in_a_loop(y, c, t, 6), "fewer than three epochs"),
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
        (lambda d: chance_in_a_loop(d) if len(d) in (3, 8) else 0.5, "for five seeds"),
        (lambda d: chance_in_a_loop(d) * 2 ** len(d) / 256, "three seeds is"),
    ],
)
def test_chance(answer, message):
    with pytest.raises(Wrong, match=message):
        dlp_pipeline.chance(answer)


def verdicts_in_a_loop(asr, ca, undefended):
    found = []
    for attack in range(len(asr)):
        seeds = zip(asr[attack], ca[attack], undefended[attack], strict=True)
        found.append(all(a < 0.1 and u - c <= 0.02 + 1e-6 for a, c, u in seeds))
    return found


def verdicts_with_numpy(asr, ca, undefended):
    fine = (asr.numpy() < 0.1) & (ca.numpy() + 0.02 >= undefended.numpy())
    return fine.all(axis=1)


def verdicts_by_the_worst(asr, ca, undefended):
    return (asr.amax(1) < 0.1) & ((undefended - ca).amax(1) < 0.0201)


def e1_in_a_loop(labels, classes, threshold, fallback):
    rows = labels.tolist()
    for epoch in range(len(rows)):
        for label in range(classes):
            found = sum(row.count(label) for row in rows[max(0, epoch - 2) : epoch + 1])
            if found / (3 * len(rows[0])) >= threshold:
                return epoch + 1
    return fallback


def e1_by_convolution(labels, classes, threshold, fallback):
    shares = one_hot(labels, classes).double().mean(1).T[:, None]
    means = (
        torch.nn.functional.conv1d(shares, torch.ones(1, 1, 3).double(), padding=2)[..., :-2] / 3
    )
    reached = (means.amax((0, 1)) >= threshold - 1e-9).nonzero()
    return reached[0, 0] + 1 if len(reached) else fallback


def e1_with_numpy(labels, classes, threshold, fallback):
    shares = (labels.numpy()[..., None] == numpy.arange(classes)).mean(1)
    sums = numpy.cumsum(numpy.vstack([numpy.zeros((3, classes)), shares]), axis=0)
    reached = (sums[3:] - sums[:-3]).max(1) >= 3 * threshold - 1e-9
    return numpy.flatnonzero(reached)[0] + 1 if reached.any() else fallback


def chance_in_a_loop(differences):
    differences = differences.tolist()
    hits = 0
    for signs in itertools.product((1, -1), repeat=len(differences)):
        total = sum(sign * d for sign, d in zip(signs, differences, strict=True))
        hits += abs(total) >= abs(sum(differences))
    return hits / 2 ** len(differences)


def chance_by_bits(differences):
    n = len(differences)
    bits = torch.arange(2**n)[:, None] >> torch.arange(n) & 1
    sums = (1 - 2 * bits).double() @ differences.double()
    return (sums.abs() >= differences.sum().abs() - 1e-6).double().mean()


def chance_with_numpy(differences):
    d = differences.numpy().astype(float)
    signs = numpy.array(list(itertools.product((-1, 1), repeat=len(d))))
    return numpy.mean(abs(signs @ d) >= abs(d.sum()) - 1e-9)


RIGHT_ANSWERS = {
    "defended": [verdicts_in_a_loop, verdicts_with_numpy, verdicts_by_the_worst],
    "failures": [
        RUNS,
        {run: f" {word.upper()} " for run, word in RUNS.items()},
        dict(reversed(RUNS.items())),
    ],
    "e1": [e1_in_a_loop, e1_by_convolution, e1_with_numpy],
    "chance": [chance_in_a_loop, chance_by_bits, chance_with_numpy],
}
