"""Notebook 08: attention maps, pruning within an allowance, unbeaten defences, ANP's step."""

from collections.abc import Callable, KeysView
from typing import Any

import numpy
import torch
from torch.nn.functional import normalize

from ..defences.nad import attention as maps
from .base import again, as_mask, call, expect, right, same
from .controls import without_attention as without_attention


def attention(answer: Callable) -> None:
    """Check ``answer(activations)``: (n, c, h, w) to NAD's maps (n, h·w), of unit length."""
    a = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    summed = a.pow(2).sum(1)
    flat, wide = summed.flatten(1), normalize(summed)
    mistakes = {
        "the maps have no unit length yet: divide each by its norm": flat,
        "no unit length yet: the mean serves as well as the sum, "
        "but divide each map by its norm": flat / 3,
        "each map sums to one: at unit length the *squares* of its values do": flat
        / flat.sum(1, keepdim=True),
        "the length is taken over the whole batch: every sample's map has a length of its own": flat
        / flat.norm(),
        "opposite signs cancel: square before you sum over the channels": normalize(
            a.sum(1).flatten(1)
        ),
        "these are absolute values: NAD takes squares": normalize(a.abs().sum(1).flatten(1)),
        "a root too many: this is the norm over the channels": normalize(a.norm(dim=1).flatten(1)),
        "summed over the places, which leaves the channels: a map says *where*": normalize(
            a.pow(2).sum((2, 3))
        ),
        "normalised along the height alone: flatten each map before": wide,
        "normalised along the height alone: flatten each map before you normalise": wide.flatten(1),
        "the values are right: flatten each map to h·w numbers": normalize(flat).view_as(summed),
    }
    same("the map", call(answer, a), maps(a), mistakes)
    wide = torch.tensor([[[[1.0, -2.0, 0.0]], [[2.0, 0.0, 0.0]]]])  # (1, 2, 1, 3)
    length = 41**0.5
    draws = {
        "for 2 channels of 1·3 places": ((wide,), [[5 / length, 4 / length, 0]]),
        "for activations a tenth as large": ((wide / 10,), [[5 / length, 4 / length, 0]]),
    }
    again("the map", answer, draws)
    right(
        "The channels are gone, and so is the scale: maps are compared in where they are large, "
        "and in nothing else."
    )


def pruning(answer: Callable) -> None:
    """Check ``answer(activations, accuracy, allowed)``: which channels stay, (d,) booleans.

    ``accuracy`` is a function of such booleans.
    """
    mean, noise = torch.tensor([0.5, 0.1, 0.9, 0.2, 0.3, 0.7]), torch.tensor([[-0.1], [0], [0.1]])
    costs = torch.tensor([0.03, 0.0, 0.0, 0.02, 0.04, 0.06])

    def accuracy(stays):
        return 0.9 - costs[~torch.as_tensor(stays).bool()].sum().item()

    stays = call(answer, mean + noise, accuracy, 0.065)
    form = "return (d,) booleans, True for every channel that stays: here, 6 of them"
    stays = as_mask(stays, 6, form)
    pruned = {int(i) for i in (stays == 0).nonzero()}
    expect(
        pruned != {0, 2, 5},
        "True and False are the wrong way round: True is for channels that *stay*",
    )
    mistakes = {
        "no channel is pruned: the first to go costs nothing here": set(),
        "the most active go first: the backdoor is looked for in what clean images leave silent": {
            2,
            5,
        },
        "channels go in the order of their numbers: sort them by their mean activation": {
            0,
            1,
            2,
            3,
        },
        "the mean is over the images, dimension 0: this is the mean over the channels": {0, 1, 2},
        "argsort lists the channels in their order; applied twice it gives ranks": {0, 3},
        "one channel too many: the one with which accuracy falls too far stays": {0, 1, 3, 4},
        "a channel that costs too much ends it; this skips it, and goes on after it": {1, 2, 3, 4},
        "compare with the accuracy *before the first* channel went: "
        "the allowance is one for all": set(range(6)),
        "`allowed` is a difference of accuracies (6.5 points here), not a share of the accuracy": {
            1,
            3,
        },
    }
    for message, channels in mistakes.items():
        expect(pruned != channels, message)
    expect(
        pruned == {1, 3, 4},
        f"you prune {sorted(pruned)}; the order is 1, 3, 4, 0, 5, 2, and [1, 3, 4] cost 6 points",
    )
    _check_other_pruning(answer)
    right(
        "FP never sees the backdoor: it takes what clean images do not need, "
        "and hopes that the backdoor is there."
    )


def _check_other_pruning(answer: Callable) -> None:
    """Check the limit itself, in numbers that a computer holds exactly, and other limits."""
    activations = torch.tensor([[4.0, 9.0, 3.0, 2.0], [6.0, -7.0, 3.0, 2.0]])
    costs = torch.tensor([0.0, 0.125, 0.25, 0.125])

    def accuracy(stays):
        return 0.875 - costs[~torch.as_tensor(stays).bool()].sum().item()

    cases = {
        0.25: ([2, 0], "a fall of just `allowed` is not *more* than it: the channel goes"),
        0.125: ([0, 2, 3], "one channel may go, as the fall is just `allowed`"),
        0.1: ([0, 1, 2, 3], "the first channel to go costs more than 0.1: all stay"),
        0.6: ([], "with all channels gone accuracy is 0.5 less, which is allowed here"),
    }
    for allowed, (wanted, reason) in cases.items():
        form = "return (d,) booleans, True for every channel that stays: here, 4 of them"
        stays = as_mask(call(answer, activations, accuracy, allowed), 4, form)
        found = stays.nonzero()[:, 0].tolist()
        message = f"with allowed = {allowed}, {found} stay, and {sorted(wanted)} should: {reason}"
        expect(found == sorted(wanted), message)


def front(answer: Callable) -> None:
    """Check ``answer(table)``: {name: (ASR, CA)} to the names that no other beats."""
    asr, ca = [0.02, 0.0, 0.1, 0.05, 0.02, 1.0, 0.02], [0.9, 0.8, 0.97, 0.85, 0.88, 0.98, 0.9]
    found = _names(call(answer, dict(zip("ABCDEFG", zip(asr, ca, strict=True), strict=True))))
    mistakes = {
        "a high ASR is the *attacker's* success: the lower the better": {"F"},
        "the pairs are (ASR, CA), in this order": set("BCDF"),
        "E is beaten by A, whose CA is higher at the same ASR: better in *one* is enough": set(
            "ABCEFG"
        ),
        "nobody is left, as everyone equals itself: "
        "who beats must be better in at least one of the two": set(),
        "A and G are equal: neither beats the other, as neither is better in anything": set("BCF"),
        "these are those that *are* beaten": set("DE"),
        "these are the best in one of the two: those in between are not beaten either": set("BF"),
    }
    for message, mistaken in mistakes.items():
        expect(found != mistaken, message)
    expect(
        not found <= {"A", "G"},
        "one number (CA - ASR, say) sets a price on ASR: compare two by two, in both",
    )
    expect(
        found == set("ABCFG"),
        f"these are {sorted(found)}; not beaten by anyone are A, B, C, F and G",
    )
    table = {"DLP": (0.3, 0.5), "FP": (0.2, 0.6), "NAD": (0.1, 0.55), "ABL": (0.1, 0.4)}
    table["MCR"] = (0.15, 0.55)  # NAD has as high a CA, and a lower ASR
    found = _names(call(answer, table))
    message = "NAD and FP are beaten by none of the other three"
    expect(found == {"FP", "NAD"}, f"{message}; these are {sorted(found)}")
    found = _names(call(answer, {"alone": (0.9, 0.1)}))
    expect(found == {"alone"}, f"who is alone is beaten by nobody; these are {sorted(found)}")
    right(
        "F has the best CA, so no other beats it, in spite of an ASR of 100 %. "
        "Unbeaten does not mean good."
    )


def _names(answer: Any) -> set[str]:
    kind = type(answer).__name__
    is_group = isinstance(answer, (set, frozenset, list, tuple, numpy.ndarray, KeysView))
    expect(is_group, f"return a set of names, this is {kind}")
    return {str(name) for name in answer}


def anp_step(answer: Callable) -> None:
    """Check ``answer(loss, mask, eps, alpha, lr)``: the mask (d,) after one step.

    The adversary makes a step first.
    """
    mask, weights = (
        torch.tensor([1.0, 0.5, 0.9, 0.05, 0.7]),
        torch.tensor([1.0, 0.5, 2.0, 0.3, 0.1]),
    )
    best, (eps, alpha, lr) = torch.tensor([1.5, 0.2, 0.6, 0.9, 0.6]), (0.4, 0.2, 0.5)

    def slope(m):
        return 2 * weights * (m - best)

    def after(noisy, plain=alpha, lr=lr, passes=1):
        return mask - lr * (plain * slope(mask) + (1 - plain) * slope(noisy) * passes)

    sign = slope(mask).sign()
    noisy = mask + eps * sign
    held = after(
        noisy.clamp(0, 1), passes=(noisy > 0) & (noisy < 1)
    )  # a clamp lets no gradient pass
    mistakes = {
        "the mask leaves [0, 1]: clamp it after its step": after(noisy),
        "the noise *lowers* the loss: the adversary climbs": after(mask - eps * sign).clamp(0, 1),
        "the adversary takes the gradient's sign: noise of ±eps": after(
            mask + eps * slope(mask)
        ).clamp(0, 1),
        "noise of ±1: it should be ±eps": after(mask + sign).clamp(0, 1),
        "alpha and 1 - alpha are swapped: alpha is for the loss without noise": after(
            noisy, 1 - alpha
        ).clamp(0, 1),
        "the loss with noise has no part in it: its weight is 1 - alpha": after(mask).clamp(0, 1),
        "the loss without noise has no part in it: its weight is alpha": after(noisy, 0).clamp(
            0, 1
        ),
        "the mask climbs: only the noise does, the mask descends": after(noisy, lr=-lr).clamp(0, 1),
        "only the mask is held in [0, 1]: mask + noise may leave it": held.clamp(0, 1),
        "this is the mask as it was: its own step is missing": mask,
    }
    after_step = call(answer, lambda m: (weights * (m - best) ** 2).sum(), mask, eps, alpha, lr)
    same("the mask", after_step, after(noisy).clamp(0, 1), mistakes)
    mask, up = torch.tensor([0.5, 0.25]), torch.tensor([1.0, -1.0])
    # The loss m⁴ + m·up has a slope of 4m³ ± 1
    slopes = 0.7 * (4 * mask**3 + up) + 0.3 * (4 * (mask + 0.1 * up) ** 3 + up)
    arguments = (lambda m: (m**4 + m * up).sum()), mask, 0.1, 0.7, 0.2
    draws = {"for another loss, eps = 0.1, alpha = 0.7, lr = 0.2": (arguments, mask - 0.2 * slopes)}
    again("the mask", answer, draws)
    right(
        "The noise is thrown away, and yet it tells: "
        "it has added most to the steps where the loss bends most."
    )
