"""Notebook 11: how many trusted samples can be clean, entropy of labels, ranks, quotas."""

import math
from collections.abc import Callable

import torch

from ..defences.filters import entropy
from .base import Wrong, again, call, right, same
from .controls import without_cover as without_cover


def best_case(answer: Callable) -> None:
    """Check ``answer(n, classes, rate, gamma)``: how many of the target's trusted can be clean.

    Wanted is the largest share.
    """
    mistakes = {
        "this is the share that must be poisoned: asked is for the clean one": 0.98,
        "all of the rate·n images are of the target class, which has n / classes: "
        "hardly one is left clean": 1.0,
        "gamma is a share of the whole set, not of the class: n·gamma samples are wanted": 0.2,
        "this is the clean share of the class: the trusted samples are only a part of it": 0.01,
        "the rate is a share of the whole set, not of the class: "
        "rate·n of its images are poisoned": 1.802,
    }
    share = call(answer, 1000, 10, 0.099, 0.05)
    same("for 1,000 images, 10 classes, rate 0.099, gamma 0.05", share, 0.02, mistakes)
    mistakes = {
        "n·gamma is more than half of the class here, "
        "and no class gives more than half of itself": 0.25
    }
    share = call(answer, 1000, 10, 0.08, 0.08)
    same("for 1,000 images, 10 classes, rate 0.08, gamma 0.08", share, 0.4, mistakes)
    mistakes = {"a share is 1 at most: more clean images than trusted samples are enough": 7.5}
    share = call(answer, 1000, 5, 0.05, 0.02)
    same("for 1,000 images, 5 classes, rate 0.05, gamma 0.02", share, 1.0, mistakes)
    draws = {
        "where the whole class is poisoned": ((1000, 10, 0.1, 0.05), 0),
        "where the rate is more than the class has: no share is negative": (
            (1000, 10, 0.15, 0.05),
            0,
        ),
        "where nothing is poisoned": ((500, 5, 0.0, 0.02), 1),
        "for 600 images, 4 classes, rate 0.2, gamma 0.1": ((600, 4, 0.2, 0.1), 0.5),
    }
    again("the share", answer, draws)
    right(
        "No filter can do better, however good: "
        "where a class keeps too few clean images, poison must be trusted."
    )


def doubt(answer: Callable) -> None:
    """Check ``answer(covered, classes)``: entropy, in bits, of the labels under the trigger."""
    binary = -(0.3 * math.log2(0.3) + 0.7 * math.log2(0.7))
    bits = binary + 0.3 * math.log2(4)
    probabilities = torch.tensor([0.7] + 4 * [0.075])
    shared_by_all = -(0.76 * math.log2(0.76) + 4 * 0.06 * math.log2(0.06))
    mistakes = {
        "these are nats: bits have the logarithm to base 2": bits * math.log(2),
        "the sign is wrong: entropy is never negative": -bits,
        "covered or not is not all that is open: "
        "a true label can be any of the *other* classes": binary,
        "cover samples come from the classes other than the target: one class fewer": shared_by_all,
        "covered is shared by the classes - 1 *other* ones, not by all of them": (
            binary + 0.3 * math.log2(5)
        ),
        "this has covered and 1 - covered the wrong way round: "
        "the target's share is 1 - covered": binary + 0.7 * 2,
        "all classes alike? That is all-to-all; here the target has 1 - covered": math.log2(5),
        "dlp_lib.entropy takes logits: give it the logarithms of the probabilities": (
            entropy(probabilities[None])[0]
        ),
        "this is a probability of each class: sum -p·log2(p) over them": probabilities,
    }
    same("the entropy for covered = 0.3 and 5 classes", call(answer, 0.3, 5), bits, mistakes)
    try:
        uncovered = call(answer, 0.0, 5)
    except Wrong as error:
        raise Wrong(f"{error}; this is for covered = 0, where 0 · log 0 counts as 0") from error
    same("the entropy without cover samples (0 · log 0 counts as 0)", uncovered, 0.0)
    draws = {
        "for covered = 0.5 and 10 classes": ((0.5, 10), 1 + math.log2(9) / 2),
        "where all are covered, of 5 classes": ((1.0, 5), 2),
        "for 2 classes, half covered": ((0.5, 2), 1),
    }
    again("the entropy", answer, draws)
    right(
        "Half covered, ten classes: 2.6 bits of 3.3. "
        "Under all-to-all the trigger alone tells nothing at all: 3.3."
    )


def ranks(answer: Callable) -> None:
    """Check ``answer(h, labels)``: of every sample, the share of its class of lower entropy."""
    entropies = torch.tensor([0.5, 0.1, 0.9, 0.3, 0.2, 0.8, 0.05])
    labels = torch.tensor([0, 0, 0, 1, 0, 1, 0])
    expected = torch.tensor([0.6, 0.2, 0.8, 0.0, 0.4, 0.5, 0.0])
    sizes = torch.tensor([5, 5, 5, 2, 5, 2, 5])
    overall = entropies.argsort().argsort()
    by_argsort_once = torch.tensor([0.8, 0.2, 0.6, 0.0, 0.0, 0.5, 0.4])
    mistakes = {
        "these are ranks among all samples: compare each with its own class": overall / 7,
        "these are counts among all samples: "
        "compare each with its own class, and divide by its size": overall,
        "these are counts: divide by the size of the class": expected * sizes,
        "divided by n: a share of the class has the size of the class below": (
            expected * sizes / 7
        ),
        "argsort says *who* is first, a rank says how many are before me: "
        "apply argsort to it once more": by_argsort_once,
        "this ranks from above: count those whose entropy is *lower*": (1 - 1 / sizes) - expected,
        "one too many: no sample is below itself": expected + 1 / sizes,
        "divided by the size less one: of five samples the last has four of *five* below": (
            expected * sizes / (sizes - 1)
        ),
    }
    same("the rank", call(answer, entropies, labels), expected, mistakes)
    equal = torch.tensor([0.5, 0.5, 0.25, 0.75, 0.5]), torch.tensor([4, 4, 4, 4, 1])
    draws = {
        "where entropies are equal, so that neither is lower": (equal, [0.25, 0.25, 0, 0.75, 0]),
        "for one class": ((entropies[:3], labels[:3]), [1 / 3, 0, 2 / 3]),
    }
    again("the rank", answer, draws)
    right(
        "Every class now gives the same share of itself. "
        "With one target, its share of all labels bounds the purity."
    )


def label_aware(answer: Callable) -> None:
    """Check ``answer(suspects, members, asked)``: the quota of every class, (C,) whole numbers."""
    suspects = torch.tensor([0] * 19 + [2])
    members = torch.tensor([200, 100, 60, 31])
    # fmt: off
    mistakes = {
        "without the floor: a class gives asked / C at least, "
        "however suspect it is": [1, 20, 19, 15],
        "the floor of a tenth is that of ten classes: with C classes it is 1 / C": [2, 20, 19, 15],
        "the doubt is a share of the *suspects*, not of the class": [18, 20, 20, 15],
        "no class gives more than half of its members, rounded down": [5, 20, 19, 20],
        "the more suspects a class has, the *fewer* samples it gives": [19, 5, 5, 5],
        "this is the quota per class: it ignores the labels of the suspects": [20, 20, 20, 15],
        "asked is what *each* class gives, it is not shared among the classes": [1, 5, 5, 5],
        "these are the doubts: "
        "a class gives asked, times 1 minus its doubt": [0.95, 0, 0.05, 0],
        "half of 31 members are 15 whole samples": [5.0, 20.0, 19.0, 15.5],
    }
    # fmt: on
    same("the quota", call(answer, suspects, members, 20), [5, 20, 19, 15], mistakes)
    quotas = call(answer, torch.tensor([0]), torch.tensor([10, 10, 10, 10]), 1)
    mistakes = {"every class must give one sample at least": [0, 1, 1, 1]}
    same("the quota where asked is 1", quotas, [1, 1, 1, 1], mistakes)
    fifths = torch.tensor([0, 0, 0, 1, 2])
    draws = {
        "for 3 classes and asked = 7, to the nearest whole number (2.8, 5.6, 5.6)": (
            (fifths, torch.tensor([99, 99, 99]), 7),
            [3, 6, 6],
        ),
        "for asked = 6, to the nearest whole number (2.4, 4.8, 4.8)": (
            (fifths, torch.tensor([99, 99, 99]), 6),
            [2, 5, 5],
        ),
        "where a class has 5 members, of which it gives 2": (
            (fifths, torch.tensor([99, 5, 99]), 6),
            [2, 2, 5],
        ),
    }
    again("the quota", answer, draws)
    right(
        "A doubted class still gives asked / C: "
        "without any label, the model would lose the class with the backdoor."
    )
