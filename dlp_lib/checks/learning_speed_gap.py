"""Notebook 02: two curves, one answer for all, parts of a loss, when a sample is learned, steps."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from .base import Wrong, again, call, expect, right, same, several
from .controls import no_trigger as no_trigger


def gaps(answer: Any) -> None:
    """Check the gap, in points, of a model that answers the target for all.

    Wanted is a dictionary of two numbers, under BadNets and under SIG.
    """
    expect(
        isinstance(answer, dict) and _is_number(answer, "BadNets") and _is_number(answer, "SIG"),
        'a dictionary of two numbers is wanted: {"BadNets": …, "SIG": …}',
    )
    clean = 100 * 500 / 4500
    same("the gap of BadNets", answer["BadNets"], 100 - clean, _gap_mistakes(clean, 500), 0.06)
    clean = 100 * 50 / 4550
    mistakes = _gap_mistakes(clean, 50) | {
        "450 of the 500 disks are poisoned: how many clean ones are left?": 100 - 100 * 500 / 4550,
        "SIG takes its images from the disks: how many clean ones are left?": (
            100 - 100 * 500 / 4500
        ),
        "this counts poisoned disks as clean ones": 90,
    }
    same("the gap of SIG", answer["SIG"], 100 - clean, mistakes, 0.06)
    right(
        "With a learning rate of 0.003, the gap of BadNets is 88.9 after the first epoch: "
        "one answer to everything, or very nearly so."
    )


def _is_number(answer: dict, name: str) -> bool:
    try:
        same("the gap", answer.get(name), 0, tolerance=torch.inf)
    except Wrong:
        return False
    return True


def _gap_mistakes(clean: float, disks: int) -> dict[str, float]:
    """Return mistakes by the right clean accuracy, in points, and the number of clean disks."""
    return {
        "in points, 1 is 100 of them": 1 - clean / 100,
        "this is the clean accuracy: the gap is what it lacks to the poisoned one": clean,
        "some of the clean images are disks, and the model is right about those": 100,
        "the clean part is without the poisoned images: divide by what is left of the 5,000": 100
        - disks / 50,
        "relabelled images belong to the poisoned part, not to the clean disks": (
            100 - 100 * 1000 / 4500
        ),
        "this is the gap to the accuracy on *all* images: take the clean part alone": 80,
    }


def parts(answer: Callable) -> None:
    """Check ``answer(logits, labels, poisoned)``: clean and poisoned part of the mean loss."""
    logits = torch.tensor(
        [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.5], [1.0, 0.0, 3.0], [0.0, 4.0, 0.0]]
    )
    labels = torch.tensor([0, 0, 2, 1, 1])
    poisoned = torch.tensor([True, False, False, False, True])
    losses = cross_entropy(logits, labels, reduction="none")
    losses_of_softmax = cross_entropy(logits.softmax(1), labels, reduction="none")
    answered = call(answer, logits, labels, poisoned)
    answered = several(answered, 2, "return two numbers: the clean part, and the poisoned one")
    parts_of_set = {"clean": ~poisoned, "poisoned": poisoned}
    for part, (name, mask) in zip(answered, parts_of_set.items(), strict=True):
        mistakes = {
            "the two have changed places: clean first": losses[~mask].sum() / 5,
            "this is the part's own mean (the paper's Eq. 4): "
            "both do not sum to the mean loss": losses[mask].mean(),
            "this is a sum: divide by the number of *all* samples": losses[mask].sum(),
            "this is the whole mean loss: leave the other part's samples out": losses.mean(),
            "softmax twice: cross_entropy takes logits": losses_of_softmax[mask].sum() / 5,
        }
        same(f"the {name} part", part, losses[mask].sum() / 5, mistakes)
    fewer = logits[:3, :2], torch.tensor([1, 1, 0]), torch.tensor([False, True, True])
    losses = cross_entropy(fewer[0], fewer[1], reduction="none")
    draws = {"for 3 samples of 2 classes": (fewer, (losses[0] / 3, losses[1:].sum() / 3))}
    again(("the clean part", "the poisoned part"), answer, draws)
    right(
        "A part pulls by its samples' losses *and* by its size: "
        "few samples, once learned, hardly pull."
    )


def learned_at(answer: Callable) -> None:
    """Check ``answer(correct)``: the epoch (n,) from which on a sample is always right.

    ``correct`` is (epochs, n) booleans.
    """
    rows = [
        [1, 0, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 0, 0, 1, 1, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 1, 0, 1],
    ]
    correct = torch.tensor(rows).bool()
    inf = torch.inf
    # fmt: off
    mistakes = {
        "this counts epochs from 0: the first has number 1": [0, 3, inf, 2, inf, 4],
        "this is the last epoch at which it is wrong: it is learned one later": [0, 3, 5, 2, 5, 4],
        "who is wrong in the last epoch is not learned: "
        "that is epoch ∞, and not one more": [1, 4, 6, 3, 6, 5],
        "this is the first hit, which need not last; "
        "and argmax finds one where none is": [1, 2, 1, 3, 1, 5],
        "this is the first hit, which need not last": [1, 2, inf, 3, 1, 5],
        "this counts the epochs at which it is right: "
        "when does it become so for good?": [5, 3, 0, 3, 4, 1],
        "this counts the epochs at which it is wrong: "
        "look for the *last* of them": [0, 2, 5, 2, 1, 4],
        "this is the number of wrong epochs plus 1: "
        "look for the *last* of them": [1, 3, 6, 3, 2, 5],
    }
    # fmt: on
    same("the epoch", call(answer, correct), [1, 4, inf, 3, inf, 5], mistakes)
    shorter = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    draws = {
        "for three epochs": ((shorter,), [2, 1, 3, inf]),
        "for one epoch": ((torch.tensor([[True, False]]),), [1, inf]),
    }
    again("the epoch", answer, draws)
    right(
        "A median of them says when half of the samples are learned; "
        "one that never is makes a mean infinite."
    )


def steps(answer: Callable) -> None:
    """Check ``answer(share, lr, goal)``: the steps (k,) until the goal is reached.

    Shares are (k,); learning rate and goal are numbers.
    """
    share = torch.tensor([0.5, 0.2, 0.01]).double()
    lr = 0.8
    goal = 0.95
    log_left = math.log(1 - goal)
    exact = log_left / (1 - lr * share).log()
    straight = goal / (lr * share)
    smooth = -log_left / (lr * share)
    share_ignored = log_left / (1 - lr + 0 * share).log()
    mistakes = {
        "whole steps are wanted: round up": exact,
        "this is rounded to the nearest: round up, for the goal is to be reached": exact.round(),
        "the goal is not reached yet: round up": exact.floor(),
        "one step too many: the first one is number 1": exact.ceil() + 1,
        "all steps are taken to be like the first: "
        "what is left to learn shrinks with every step": straight.ceil(),
        "that is e to the −ηst, for infinitely small steps: "
        "a step leaves 1 − ηs of the distance": smooth.ceil(),
        "1 − goal is what may be left, not the goal": (
            (math.log(goal) / (1 - lr * share).log()).ceil()
        ),
        "the learning rate is not used": (log_left / (1 - share).log()).ceil(),
        "the share is not used": share_ignored.ceil(),
        "both logarithms are negative, the quotient is not": -exact.ceil(),
    }
    same("the number of steps", call(answer, share, lr, goal), exact.ceil(), mistakes)
    halves = torch.tensor([1.0, 0.5, 0.25]).double()
    draws = {
        "for another goal and learning rate": ((share, 0.3, 0.6), [6, 15, 305]),
        "where a step ends exactly at the goal, which is reaching it (use float64)": (
            (halves, 0.5, 0.75),
            [2, 5, 11],
        ),
    }
    again("the number of steps", answer, draws)
    right(
        "A tenth of the share takes ten times the steps, or nearly; "
        "a third of the learning rate three times."
    )
