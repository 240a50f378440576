"""Notebook 06: which attacks are defended, what went wrong first, E1, and chance."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy
import torch

from .base import Wrong, again, as_mask, call, expect, right, same
from .controls import equal_cost as equal_cost


def defended(answer: Callable) -> None:
    """Check ``answer(asr, ca, undefended)``: a verdict on each attack, (attacks,) booleans.

    All three are tables (attacks, seeds).
    """
    few, usual = [0.01, 0.02, 0.01], [0.98, 0.98, 0.98]
    rows = [
        (True, few, [0.97, 0.98, 0.97], usual, "it holds on every seed"),
        (False, [0.25, 0.01, 0.01], usual, usual, "the backdoor is there on one seed of three"),
        (
            True,
            few,
            [0.97, 0.98, 0.97],
            [0.89, 0.98, 0.92],
            "a CA *above* the undefended one is no loss",
        ),
        (
            False,
            few,
            [0.92, 0.99, 0.99],
            [0.98, 0.96, 0.96],
            "the first seed lost six points of CA: compare by seed",
        ),
        (False, [0.99, 0.97, 0.98], usual, usual, "CA is well, but the backdoor is there"),
        (False, few, [0.31, 0.28, 0.24], usual, "the backdoor is gone, and CA with it"),
    ]
    tables = (torch.tensor([row[column] for row in rows]) for column in (1, 2, 3))
    verdicts = call(answer, *tables)
    if isinstance(verdicts, (list, tuple)):
        verdicts = numpy.array(verdicts, dtype=object)
    shape = tuple(getattr(verdicts, "shape", ()))
    expect(shape != (3,), "this is a verdict on each *seed*: reduce over the second dimension")
    expect(
        shape != (6, 3),
        "this is a verdict on each seed of each attack: all seeds of an attack must hold",
    )
    expect(
        shape == (6,),
        f"a tensor of six verdicts is wanted, one for each attack; this has the shape {shape}",
    )
    verdicts = as_mask(verdicts.tolist(), 6, "a verdict is True or False")
    for number, (row, answered) in enumerate(zip(rows, verdicts.tolist(), strict=True)):
        verdict = "defended" if answered else "not defended"
        expect(bool(answered) == row[0], f"row {number} is {verdict} by your rule: {row[-1]}")
    _check_thresholds(answer)
    right(
        "By their means, two more of the made-up attacks would have passed. A defender has one "
        "run, not the mean of three. Now count those of the recorded attacks."
    )


def _check_thresholds(answer: Callable) -> None:
    """Check attacks that are near the limits, on one seed of four, and one just at a limit."""
    few, usual = [0.0] * 4, [0.9] * 4
    rows = [
        (True, [0.0, 0.095, 0.0, 0.0], usual, "an ASR of 9.5 % is below 10 %"),
        (False, [0.0, 0.1, 0.0, 0.0], usual, "an ASR of 10 % is not *below* 10 %"),
        (False, [0.105, 0.0, 0.0, 0.0], usual, "an ASR of 10.5 % is too high"),
        (True, few, [0.9, 0.9, 0.881, 0.9], "a loss of 1.9 points of CA is allowed"),
        (False, few, [0.9, 0.9, 0.9, 0.879], "a loss of 2.1 points of CA is too much"),
    ]
    asr = torch.tensor([row[1] for row in rows])
    ca = torch.tensor([row[2] for row in rows])
    verdicts = call(answer, asr, ca, torch.tensor([usual] * 5))
    verdicts = as_mask(verdicts, 5, "five attacks with four seeds: five verdicts are wanted")
    for row, answered in zip(rows, verdicts.tolist(), strict=True):
        verdict = "defended" if answered else "not defended"
        expect(answered == row[0], f"{row[3]}, and your rule says {verdict}")


def failures(answer: Any) -> None:
    """Check ``answer``: what went wrong first in each of the five runs A to E."""
    wanted = {
        "A": "suspects",
        "B": "trusted",
        "C": "unlearning",
        "D": "nothing",
        "E": "fine-tuning",
    }
    expect(answer is not None and answer is not ..., "what went wrong: nothing yet")
    expect(isinstance(answer, dict), 'a dictionary is wanted: {"A": "…", "B": "…", and so on}')
    answer = {str(run): str(word).strip() for run, word in answer.items()}
    answer = {run: word if word == "None" else word.lower() for run, word in answer.items()}
    missing = sorted(wanted.keys() - answer.keys())
    unknown = set(answer.values()) - set(wanted.values())
    expect(not missing, f"nothing is said of {', '.join(missing)} yet")
    expect(not unknown, f"{', '.join(sorted(unknown))}: the words are {', '.join(wanted.values())}")
    hints = {
        ("A", "unlearning"): "the ascent does what it is told. What was it given to unlearn?",
        ("A", "trusted"): "that cut is bad as well, but ASR rises before it is used",
        ("A", "fine-tuning"): "the backdoor was there when it began, and stronger than after SL",
        ("B", "suspects"): "that cut is pure, and its purpose was reached: ASR is 1 after AU",
        ("B", "unlearning"): "ASR is 1 after it",
        (
            "B",
            "fine-tuning",
        ): "the backdoor comes back in it, but from what? Look at what it is given with labels",
        ("C", "fine-tuning"): "the backdoor was there when it began: what should have removed it?",
        ("E", "nothing"): "the backdoor is gone, but a CA of 41 is no good model",
        (
            "E",
            "unlearning",
        ): "ASR is 1, and a CA of 30 is usual at this point: who should bring it back?",
    }
    ends = {"A": "95 / 30", "B": "94 / 100", "C": "97 / 93", "D": "97 / 1", "E": "41 / 3"}
    for run, word in wanted.items():
        is_cut = answer[run] in ("suspects", "trusted")
        hint = (
            "both cuts are pure, or nearly so"
            if is_cut
            else f"in the end, CA / ASR are {ends[run]}"
        )
        expect(
            answer[run] == word, f"run {run}, {answer[run]}: {hints.get((run, answer[run]), hint)}"
        )
    right(
        "What fails first decides, for all that follows builds on it. "
        "A defender sees none of these numbers."
    )


def e1(answer: Callable) -> None:
    """Check ``answer(labels, classes, threshold, fallback)``: E1.

    The labels (epochs, k) are those of the suspects at every epoch.
    """
    mixed, one = [1, 1, 2, 0], lambda label: [label] * 4
    labels = torch.tensor([mixed, one(2), one(2), one(1), one(0), one(0), one(0), one(0)])
    mistakes = {
        "all suspects agree there, but it does not last: take the mean over three epochs": 2,
        "agreement has lasted for two epochs there: take three": 3,
        "each epoch agrees on *some* class there, not on the same: take every class's mean, "
        "then the largest": 4,
        "epochs count from 1, this is the index from 0": 6,
        "this is the last epoch at which agreement lasts, the first is wanted": 8,
        "the window begins there: it has to end there, as nobody knows the epochs after it": 5,
    }
    same("E1", call(answer, labels, 3, 0.9, 4), 7, mistakes)
    early = "an epoch before the first counts as 0: agreement cannot have lasted before the third"
    same("E1 where all agree from the start", call(answer, labels[4:], 3, 0.9, 4), 3, {early: 1})
    try:
        never = call(answer, labels[:4], 3, 0.9, 6)
    except Wrong as wrong:
        raise Wrong(f"{wrong}, where agreement never lasts: return the fallback") from None
    same(
        "E1 where agreement never lasts",
        never,
        6,
        {"argmax of nothing but False is 0: return the fallback": 1},
    )
    two_of_three = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 1, 0], [1] * 4])
    draws = {
        "where the share is the threshold, and that is enough": ((two_of_three, 2, 0.75, 9), 4),
        "with a threshold of 0.8": ((two_of_three, 2, 0.8, 9), 5),
        "with a threshold of 0.3, which the first epoch reaches": ((labels[4:], 3, 0.3, 9), 1),
        "with 5 classes, of which 4 lasts": ((torch.full((3, 2), 4), 5, 0.9, 1), 3),
        "where there are fewer than three epochs": ((labels[4:6], 3, 0.9, 8), 8),
    }
    again("E1", answer, draws)
    right(
        "Two classes in turn look like agreement epoch by epoch. "
        "Only the mean of each class sees that they change."
    )


def chance(answer: Callable) -> None:
    """Check ``answer(differences)``: the share of all sign patterns that come as far from 0.

    Those count whose mean is at least as far from 0 as the mean that was seen.
    """
    differences = torch.tensor([3.0, 2.0, 1.0, 3.0, 4.0, -1.0, -3.0, -3.0])
    signs = torch.tensor(list(itertools.product((1.0, -1.0), repeat=8)))
    means = (signs * differences).mean(1)
    seen = differences.mean()
    mistakes = {
        "the pattern that was seen counts as well, and all that are as far out: "
        "not >, but ≥": means.abs() > seen,
        "without an effect, the mean could as well be as far *below* 0: "
        "compare absolute values": means >= seen,
        "only one side, and without the pattern that was seen: "
        "compare absolute values, with ≥": means > seen,
        "these are the patterns *nearer* to 0": means.abs() < seen,
        "to put the differences in another order leaves their mean as it is: "
        "turn their signs": means.abs() >= 0,
        "only the signs are counted here: multiply the differences with them": signs.sum(1).abs()
        >= 2,
    }
    mistakes = {message: hits.double().mean() for message, hits in mistakes.items()}
    wanted = (means.abs() >= seen).double().mean()
    same(
        "the share",
        call(answer, differences),
        wanted,
        mistakes | {"this is a number of patterns": 256 * wanted},
    )
    mistakes = {"the mean that was seen may be below 0 itself: take its absolute value, too": 1}
    same(
        "the share for three seeds", call(answer, torch.tensor([-1.0, -2.0, -4.0])), 0.25, mistakes
    )
    draws = {
        "for five seeds": ((torch.tensor([1.0, 2.0, 3.0, 4.0, -5.0]),), 20 / 32),
        "for two seeds": ((torch.tensor([2.0, 1.0]),), 2 / 4),
        "for four seeds that agree": ((torch.full((4,), 0.5),), 2 / 16),
    }
    again("the share", answer, draws)
    right(
        "Three seeds that all agree still come to 0.25. "
        "So read small differences between the orders as ties."
    )
