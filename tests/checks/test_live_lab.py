"""What the checks of notebook 07 say of wrong answers."""

import functools

import numpy
import pytest
import torch

from dlp_lib.checks import Wrong, live_lab
from dlp_lib.live.setting import LabSetting


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda g, r: r / g, "above 1"),
        (lambda g, r: g / r, r"highest \*recall\*"),
        (lambda g, r: min(1, g / r), r"highest \*recall\*"),
        (lambda g, r: min(g, r), r"share of \*all\* samples"),
        (lambda g, r: 100 * min(1, r / g), "not per cent"),
        (lambda g, r: 1, "20 are suspects, and 10 poisoned"),
        (lambda g, r: max(1, g / r), "wrong way round"),
        (lambda g, r: 1 if g < r else 0.5, "5 %, rate = 2 % is 0.5"),
        (lambda g, r: min(1, r / g) if g != r else 0, "at gamma = rate = 5 %"),
        (lambda g, r: min(1, r / g) if r < 0.06 or r > 0.09 else 1, "gamma = 8 %, rate = 6 %"),
    ],
)
def test_ceiling(answer, message):
    with pytest.raises(Wrong, match=message):
        live_lab.ceiling(answer)


def common(labels):
    return labels.bincount().argmax()


def share(labels, label=0):
    return (labels == label).double().mean()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda s, y, p: (y[s].mode()[0], 0.8), "return three numbers"),
        (lambda s, y, p: (common(y), 0, 0), r"label of \*all\* samples"),
        (lambda s, y, p: (y[s].bincount().max(), 0, 0), "how often the commonest label occurs"),
        (lambda s, y, p: (0, (y[s] == 0).sum(), 0), "this is a count"),
        (lambda s, y, p: (0, (y[s] == 0).sum() / len(y), 0), "a share of all samples"),
        (lambda s, y, p: (0, share(y), 0), "count the suspects alone"),
        (
            lambda s, y, p: (0, (y[s] == 0).sum() / (y == 0).sum(), 0),
            "share of the class that is suspected",
        ),
        (lambda s, y, p: (0, share(y[s]), share(y[s])), "the agreement again"),
        (lambda s, y, p: (0, share(y[s]), p[s].sum() / p.sum()), "this is recall"),
        (lambda s, y, p: (0, share(y[s]), p.double().mean()), "this is the poisoning rate"),
        (
            lambda s, y, p: (0, share(y[s]), p[s][y[s] == 0].double().mean()),
            "not of those with the commonest label",
        ),
        (lambda s, y, p: (0, share(y[s]), 0.4), "for 4 of 8 samples"),
        (lambda s, y, p: (common(y[s]), share(y[s], common(y[s])), p[s].sum() / 5), "for 4 of 8"),
    ],
)
def test_view(answer, message):
    with pytest.raises(Wrong, match=message):
        live_lab.view(answer)


def rule(
    before,
    after,
    first=("dataset", "attack", "poisoning_rate", "seed"),
    second=("e1", "gamma", "lr"),
):
    changed = {name for name, value in vars(after).items() if value != getattr(before, name)}
    if changed & set(first):
        return ["SL", "AU", "ASSFT"]
    if changed & set(second):
        return ["AU", "ASSFT"]
    return ["ASSFT"] if changed else []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda b, a: "AU", "this is 'AU'"),
        (lambda b, a: [["AU"]], "return a list of names"),
        (lambda b, a: ["ascent"], r"this is \['ascent'\]"),
        (lambda b, a: rule(b, a) or ["ASSFT"], "nothing. ASSFT is in the list, but it is recorded"),
        (
            lambda b, a: rule(b, a, ("e1", "seed")),
            "e1. SL is in the list, but of its recorded epochs E1 picks one",
        ),
        (
            lambda b, a: rule(b, a, ("gamma",)),
            "gamma. SL is in the list, but .* of gamma, E2 and the lr",
        ),
        (
            lambda b, a: rule(b, a, second=("e1", "lr")),
            "gamma. AU is not in the list, but the ascent .* gamma",
        ),
        (
            lambda b, a: rule(b, a, second=("e1", "gamma")),
            "lr. AU is not in the list, but .* at this lr",
        ),
        (
            lambda b, a: rule(b, a, second=("e1", "gamma", "lr", "e2")),
            "e2. AU is in the list, but .* a point on it",
        ),
        (
            lambda b, a: [s for s in rule(b, a) if s != "ASSFT"],
            "e1. ASSFT is not in the list, but stage 3 starts",
        ),
        (
            lambda b, a: rule(b, a, ("dataset", "attack", "poisoning_rate")),
            "seed. SL is not in the list, but another",
        ),
        (
            lambda b, a: rule(b, a) if len(rule(b, a)) != 2 or a.e2 == b.e2 else ["AU"],
            "changed: e2, gamma. ASSFT is",
        ),
        (lambda b, a: rule(LabSetting(), a), "changed: "),
        (lambda b, a: [*rule(b, a), *rule(b, a)], "a stage is named twice"),
    ],
)
def test_training(answer, message):
    with pytest.raises(Wrong, match=message):
        live_lab.training(answer)


def lab(
    first=1,
    second=1,
    keep=lambda e1, gamma, e2: (e1, gamma),
    scores=None,
    ascents=None,
    clear=False,
    trains=None,
):
    """Return an answer to exercise 4 that is right but for the arguments that are given.

    Args:
        first: the entry that it takes for epoch 1 of the training, as the number before it.
        second: likewise of the ascent.
        keep: under what an ascent is kept.
        scores: where trainings are kept; None: in the lab.
        ascents: where ascents are kept; None: in the lab.
        clear: whether a new ascent replaces all others.
        trains: under what a training is kept; None: there is one.
    """

    def my_lab(train, climb):
        stages = {} if scores is None else scores
        recorded = {} if ascents is None else ascents

        def look(e1, gamma, e2):
            stage = trains(e1, gamma, e2) if trains else 0
            if stage not in stages:
                stages[stage] = train()
            key = keep(e1, gamma, e2)
            if key not in recorded:
                if clear:
                    recorded.clear()
                recorded[key] = climb(stages[stage][e1 - first], gamma)
            return recorded[key][e2 - second]

        return look

    return my_lab


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda train, climb: None, "nothing yet"),
        (lambda train, climb: climb(train()[1], 0.01), "a function is wanted, this is list"),
        (lab(first=0), "E1 = 2 has given epoch 3"),
        (lab(second=0), "given the ascent's second epoch"),
        (lab(first=0, second=0), "one too late"),
        (
            lambda train, climb: lambda e1, gamma, e2: climb(train()[e1 - 1], gamma)[0],
            "E2 has moved",
        ),
        (
            lambda train, climb: lambda e1, gamma, e2: climb(train()[e1 - 1], gamma)[e2 - 1],
            "trained stage 1 again",
        ),
        (lab(keep=lambda e1, gamma, e2: (e1, gamma, e2)), "another E2 has climbed again"),
        (lab(keep=lambda e1, gamma, e2: e1), "gamma is new"),
        (lab(keep=lambda e1, gamma, e2: gamma), "E1 is new"),
        (lab(trains=lambda e1, gamma, e2: e1), "for another gamma or E1"),
        (lab(clear=True), "coming back to a setting climbs again"),
        (lab(scores={}), "a second lab"),
        (lab(ascents={}), "a second lab"),
        (lambda train, climb: lambda e1, gamma, e2: 211, "E2 has moved, and the answer has not"),
    ],
)
def test_remembering(answer, message):
    with pytest.raises(Wrong, match=message):
        live_lab.remembering(answer)


def test_right_answers(capsys):
    live_lab.training(rule)
    live_lab.training(lambda b, a: rule(b, a) or None)
    live_lab.remembering(lab())
    assert capsys.readouterr().out.count("Right. ") == 3


def view_in_a_loop(suspected, labels, poisoned):
    own = [int(labels[i]) for i in suspected]
    commonest = max(own, key=own.count)
    hits = sum(bool(poisoned[i]) for i in suspected)
    return [commonest, own.count(commonest) / len(own), hits / len(own)]


def view_with_numpy(suspected, labels, poisoned):
    values, counts = numpy.unique(labels.numpy()[suspected.numpy()], return_counts=True)
    best = counts.argmax()
    return values[best], counts[best] / counts.sum(), poisoned.numpy()[suspected.numpy()].mean()


def view_by_mode(suspected, labels, poisoned):
    label = labels[suspected].mode().values
    found = label, share(labels[suspected], label), share(poisoned[suspected], True)
    return torch.stack([number.double() for number in found])


def lab_of_a_class(train, climb):
    class Look:
        def __init__(self):
            self.trained = train()
            self.ascents = {}

        def __call__(self, e1, gamma, e2):
            ascent = self.ascents.get((e1, gamma))
            if ascent is None:
                ascent = self.ascents[e1, gamma] = climb(self.trained[e1 - 1], gamma)
            return ascent[e2 - 1]

    return Look()


def lab_of_caches(train, climb):
    trained = functools.cache(train)
    ascent = functools.cache(lambda e1, gamma: climb(trained()[e1 - 1], gamma))
    return lambda e1, gamma, e2: torch.tensor(ascent(e1, gamma)[e2 - 1])


def by_keys(before, after):
    return {stage for stage, key in live_lab.KEYS.items() if key(before) != key(after)}


RIGHT_ANSWERS = {
    "ceiling": [
        lambda g, r: r / max(g, r),
        lambda g, r: numpy.minimum(1, r / g),
        lambda g, r: torch.tensor(r / g).clamp(max=1),
        lambda g, r: 1 if r >= g else r / g,
    ],
    "view": [view_in_a_loop, view_with_numpy, view_by_mode],
    "training": [rule, lambda b, a: rule(b, a) or None, by_keys, lambda b, a: tuple(rule(b, a))],
    "remembering": [lab(), lab_of_a_class, lab_of_caches],
}
