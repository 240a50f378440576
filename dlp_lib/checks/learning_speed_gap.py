"""Notebook 02: two curves, a model with one answer, two parts of a loss, when a sample is learned, a race on paper."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import cross_entropy, one_hot

from .base import call, expect, right, same


def curves(answer: Callable) -> None:
    """``answer(logits, labels, poisoned)``: logits (epochs, n, classes) to two accuracies (epochs,)."""
    labels, poisoned = (
        torch.tensor([0, 0, 1, 2, 1]),
        torch.tensor([True, True, False, False, False]),
    )
    answers = torch.tensor([[0, 1, 2, 2, 2], [0, 0, 2, 2, 2], [0, 0, 1, 2, 2], [1, 0, 1, 2, 1]])
    given = call(answer, one_hot(answers, 4).float(), labels, poisoned)
    expect(
        isinstance(given, tuple) and len(given) == 2,
        "return two tensors: clean accuracies, poisoned accuracies",
    )
    hits = (answers == labels).double()
    for i, (name, mask) in enumerate({"clean": ~poisoned, "poisoned": poisoned}.items()):
        mistakes = {
            "the two have changed places: clean first": hits[:, ~mask].mean(1),
            "this is the accuracy on all samples: take each part by itself": hits.mean(1),
            "this is divided by all samples: a part's accuracy is a share of the part": hits[
                :, mask
            ].sum(1)
            / 5,
            "this is the mean of all epochs: one number for each epoch is wanted": hits[
                :, mask
            ].mean(),
        }
        same(f"the {name} accuracy", given[i], hits[:, mask].mean(1), mistakes)
    right(
        "A mask of booleans picks the samples. A defender has logits and labels, and not the mask."
    )


def gaps(answer: Any) -> None:
    """``answer``: the gap in points of a model that answers the target for all, under BadNets and under SIG."""
    ready = isinstance(answer, dict) and all(
        isinstance(answer.get(name), int | float) for name in ("BadNets", "SIG")
    )
    expect(ready, 'a dictionary of two numbers is wanted: {"BadNets": …, "SIG": …}')
    for name, disks, poisoned in (("BadNets", 500, 500), ("SIG", 50, 450)):
        clean = 100 * disks / (5000 - poisoned)
        mistakes = {
            "in points, 1 is 100 of them": 1 - clean / 100,
            "this is the clean accuracy: the gap is what it lacks to the poisoned one": clean,
            "some of the clean images are disks, and the model is right about those": 100,
            "the clean part is without the poisoned images: divide by what is left of the 5,000": 100
            - disks / 50,
            "relabelled images belong to the poisoned part, not to the clean disks": 100
            - 100 * 1000 / 4500,
            "this is the gap to the accuracy on *all* images: take the clean part alone": 80,
        }
        if name == "SIG":
            mistakes["450 of the 500 disks are poisoned: how many clean ones are left?"] = (
                100 - 100 * 500 / 4550
            )
            mistakes["SIG takes its images from the disks: how many clean ones are left?"] = (
                100 - 100 * 500 / 4500
            )
            mistakes["this counts poisoned disks as clean ones"] = 90
        same(f"the gap of {name}", answer[name], 100 - clean, mistakes, 0.06)
    right(
        "88.9 is BadNets' greatest gap in three rows of the table: one answer to everything, or very nearly so."
    )


def parts(answer: Callable) -> None:
    """``answer(logits, labels, poisoned)``: the clean and the poisoned part of the mean loss."""
    logits = torch.tensor(
        [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.5], [1.0, 0.0, 3.0], [0.0, 4.0, 0.0]]
    )
    labels, poisoned = (
        torch.tensor([0, 0, 2, 1, 1]),
        torch.tensor([True, False, False, False, True]),
    )
    losses = cross_entropy(logits, labels, reduction="none")
    twice = cross_entropy(logits.softmax(1), labels, reduction="none")
    given = call(answer, logits, labels, poisoned)
    expect(
        isinstance(given, tuple) and len(given) == 2,
        "return two numbers: the clean part, and the poisoned one",
    )
    for i, (name, mask) in enumerate({"clean": ~poisoned, "poisoned": poisoned}.items()):
        mistakes = {
            "the two have changed places: clean first": losses[~mask].sum() / 5,
            "this is the part's own mean (the paper's Eq. 4): both do not sum to the mean loss": losses[
                mask
            ].mean(),
            "this is a sum: divide by the number of *all* samples": losses[mask].sum(),
            "this is the whole mean loss: leave the other part's samples out": losses.mean(),
            "softmax twice: cross_entropy takes logits": twice[mask].sum() / 5,
        }
        same(f"the {name} part", given[i], losses[mask].sum() / 5, mistakes)
    right(
        "A part pulls by its samples' losses *and* by its size: few samples, once learned, hardly pull."
    )


def learned_at(answer: Callable) -> None:
    """``answer(correct)``: (epochs, n) booleans to the epoch (n,) from which on a sample is always right."""
    rows = (
        [1, 0, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 0, 0, 1, 1, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 1, 0, 1],
    )
    correct, inf = torch.tensor(rows).bool(), torch.inf
    mistakes = {
        "this counts epochs from 0: the first has number 1": [0, 3, inf, 2, inf, 4],
        "this is the last epoch at which it is wrong: it is learned one later": [0, 3, 5, 2, 5, 4],
        "who is wrong in the last epoch is not learned: that is epoch ∞, and not one more": [
            1,
            4,
            6,
            3,
            6,
            5,
        ],
        "this is the first hit, which need not last; and argmax finds one where none is": [
            1,
            2,
            1,
            3,
            1,
            5,
        ],
        "this is the first hit, which need not last": [1, 2, inf, 3, 1, 5],
        "this counts the epochs at which it is right: when does it become so for good?": [
            5,
            3,
            0,
            3,
            4,
            1,
        ],
        "this counts the epochs at which it is wrong: look for the *last* of them": [
            0,
            2,
            5,
            2,
            1,
            4,
        ],
        "this is the number of wrong epochs plus 1: look for the *last* of them": [
            1,
            3,
            6,
            3,
            2,
            5,
        ],
    }
    same("the epoch", call(answer, correct), [1, 4, inf, 3, inf, 5], mistakes)
    right(
        "A median of them says when half of the samples are learned; one that never is makes a mean infinite."
    )


def steps(answer: Callable) -> None:
    """``answer(share, lr, goal)``: shares (k,), a learning rate and a goal to the steps (k,) until it is reached."""
    share, lr, goal = torch.tensor([0.5, 0.2, 0.01]).double(), 0.8, 0.95
    exact = math.log(1 - goal) / (1 - lr * share).log()
    straight, smooth = goal / (lr * share), -math.log(1 - goal) / (lr * share)
    mistakes = {
        "whole steps are wanted: round up": exact,
        "this is rounded to the nearest: round up, for the goal is to be reached": exact.round(),
        "the goal is not reached yet: round up": exact.floor(),
        "one step too many: the first one is number 1": exact.ceil() + 1,
        "all steps are taken to be like the first: what is left to learn shrinks with every step": straight.ceil(),
        "that is e to the −ηst, for infinitely small steps: a step leaves 1 − ηs of the distance": smooth.ceil(),
        "1 − goal is what may be left, not the goal": (
            math.log(goal) / (1 - lr * share).log()
        ).ceil(),
        "the learning rate is not used": (math.log(1 - goal) / (1 - share).log()).ceil(),
        "the share is not used": (math.log(1 - goal) / (1 - lr + 0 * share).log()).ceil(),
        "both logarithms are negative, the quotient is not": -exact.ceil(),
    }
    same("the number of steps", call(answer, share, lr, goal), exact.ceil(), mistakes)
    right(
        "A tenth of the share takes ten times the steps, or nearly; a third of the learning rate three times."
    )
