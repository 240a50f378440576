"""Notebook 03: entropy, the two cuts, precision and recall, forgetting."""

import math
from collections.abc import Callable
from typing import Any

import torch

from ..defences import filters
from .base import again, as_whole_numbers, call, expect, right, same, several
from .reading import first_from, read_epoch, read_off


def entropy(answer: Callable) -> None:
    """Check ``answer(logits)``: entropies (n,) in bits, of logits (n, classes)."""
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, -1.0], [200.0, 0.0, 0.0, 0.0]])
    bits = filters.entropy(logits)
    mistakes = {
        "these are nats: the logarithm has to be to base 2": bits * math.log(2),
        "the sign is wrong: entropy is never negative": -bits,
        "this is the mean over the classes, entropy is the sum": bits / 4,
        "0 · log 0 has become nan: take log_softmax, not the logarithm of softmax": [
            *bits[:2],
            torch.nan,
        ],
    }
    same("the entropy", call(answer, logits), bits, mistakes)
    two = torch.tensor([[1.0, 1.0], [3.0, -1.0]])
    ten = torch.zeros(1, 10)
    draws = {
        "for 2 classes": ((two,), filters.entropy(two)),
        "for 10 equal logits": ((ten,), [math.log2(10)]),
    }
    again("the entropy", answer, draws)
    right("Four equal logits are two bits of doubt; one that is far ahead leaves none.")


def cuts(answer: Callable) -> None:
    """Check ``answer(h, labels, gamma)``: indices of the suspects, and of the trusted samples.

    Wanted are n·gamma suspects, and n·gamma trusted samples of every class.
    """
    h = torch.tensor([0.9, 0.1, 1.5, 0.2, 0.8, 2.5, 2.4, 2.3])
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    suspects, trusted = _indices(call(answer, h, labels, 0.25))
    expect(
        suspects != {5, 6},
        "the suspects have the highest entropy: poison is what the model is *sure* of",
    )
    expect(
        suspects == {1, 3},
        f"the suspects are {sorted(suspects)}; the two of lowest entropy are [1, 3]",
    )
    expect(
        trusted != {5, 6},
        "these are the two of highest entropy overall, and class 0 has none: cut class by class",
    )
    expect(
        trusted != {1, 3, 4, 7},
        "the trusted have the lowest entropy of their class: poison is there",
    )
    expect(
        trusted == {0, 2, 5, 6},
        f"the trusted are {sorted(trusted)}; two of every class would be [0, 2, 5, 6]",
    )
    _check_other_cuts(answer)
    right(
        "Taken over all classes at once, the trusted part would have lacked a class, "
        "and stage 3 could not learn it."
    )


def _indices(selection: Any) -> list[set[int]]:
    """Return the suspects and the trusted samples as sets; neither holds an index twice."""
    form = "return two tensors of indices: suspects, and trusted samples"
    found = []
    for part in several(selection, 2, form):
        numbers = as_whole_numbers(part, form)
        for number in numbers:
            expect(numbers.count(number) == 1, f"index {number} is there twice: once is enough")
        found.append(set(numbers))
    return found


def _check_other_cuts(answer: Callable) -> None:
    """Check both cuts of three classes, one of which lacks among the suspects."""
    h = torch.tensor([0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 1.7, 1.6, 1.5])
    labels = torch.tensor([2, 2, 2, 0, 0, 0, 0, 1, 1, 1])
    for gamma, k in ((0.1, 1), (0.3, 3)):
        suspects, trusted = _indices(call(answer, h, labels, gamma))
        wanted = h.argsort()[:k].tolist()
        message = f"with gamma = {gamma}, the suspects of 10 are {sorted(suspects)}; "
        expect(suspects == set(wanted), f"{message}the {k} of lowest entropy are {sorted(wanted)}")
        wanted = [*range(k), *range(3, 3 + k), *range(7, 7 + k)]
        message = f"with gamma = {gamma} and 3 classes, the trusted are {sorted(trusted)}; "
        expect(trusted == set(wanted), f"{message}{k} of every class would be {wanted}")


def precision_recall(answer: Callable) -> None:
    """Check ``answer(suspected, poisoned)``: precision and recall.

    The suspected are indices (k,), and poisoned is a mask (n,).
    """
    shares = call(answer, torch.tensor([0, 1, 2, 9]), torch.arange(12) < 6)
    precision, recall = several(shares, 2, "return two numbers: precision, and recall")
    same(
        "precision", precision, 0.75, {"this is recall: precision is a share of the suspects": 0.5}
    )
    mistakes = {"recall is a share of all *poisoned* samples, of which there are 6": 0.25}
    same("recall", recall, 0.5, mistakes)
    draws = {
        "for 5 suspects and 4 poisoned samples": (
            (torch.tensor([7, 3, 5, 2, 0]), torch.arange(8) >= 4),
            (2 / 5, 2 / 4),
        ),
        "where none of the suspects is poisoned": (
            (torch.tensor([0, 1]), torch.arange(8) >= 4),
            (0, 0),
        ),
        "where the suspects are the poisoned samples": (
            (torch.tensor([5, 4]), torch.arange(6) >= 4),
            (1, 1),
        ),
    }
    again(("precision", "recall"), answer, draws)
    right(
        "Unlearning needs precision; recall can stay small, "
        "as FixMatch takes the labels of all the rest away."
    )


def forgetting(answer: Callable) -> None:
    """Check ``answer(correct)``: how often each sample (n,) was right and then wrong.

    ``correct`` are booleans (epochs, n).
    """
    correct = torch.tensor([[0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 1, 1]]).bool()
    mistakes = {
        "this counts all epochs at which a sample is wrong: forgetting is to be right, "
        "and *then* wrong": [2, 2, 0, 3],
        "this counts every change: a sample that was wrong and then right has been learned": [
            3,
            3,
            0,
            1,
        ],
        "this counts how often a sample was learned, wrong and then right": [2, 1, 0, 1],
    }
    same("the number of times forgotten", call(answer, correct), [1, 2, 0, 0], mistakes)
    longer = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, 0, 0], [1, 1, 1]]).bool()
    draws = {"for six epochs": ((longer,), [1, 2, 1]), "for one epoch": ((longer[:1],), [0, 0, 0])}
    again("the number of times forgotten", answer, draws)
    right(
        "Poison, once learned, is hardly ever forgotten. But neither is an easy clean sample: "
        "try it as a filter."
    )


def alarms(answer: Any, agreed: dict[str, list], purity: dict[str, list], threshold: float) -> None:
    """Check what is read off the figure of section 4, for BadNets, Blended and SIG.

    Args:
        answer: by attack, (epoch, per cent): where the rule fires, or the word "never", and how
            many of the suspects are poisoned there.
        agreed: lasting agreement after every epoch, in [0, 1], by attack.
        purity: the poisoned share of the suspects, likewise.
        threshold: from which on the rule fires, in [0, 1].
    """
    names = ("BadNets", "Blended", "SIG")
    form = "a dictionary is wanted, of (epoch, per cent) for BadNets, Blended and SIG"
    expect(isinstance(answer, dict) and {*names} <= answer.keys(), form)
    for name in names:
        epoch, poisoned = several(answer[name], 2, f"{name}: {form}")
        pure = "this is where most suspects are poisoned first: a defender cannot see that curve"
        mistakes = {pure: first_from(purity[name], 0.9)}
        found = read_epoch(f"{name}, the epoch", epoch, agreed[name], threshold, mistakes)
        if found is None:
            continue
        there = 100 * purity[name][found - 1]
        mistakes = {
            "this is the agreement: how many are *poisoned*?": 100 * agreed[name][found - 1]
        }
        read_off(f"{name}, poisoned suspects (%)", poisoned, there, 6, mistakes)
    right("The rule sees that suspects agree. It cannot see whether they are poisoned.")
