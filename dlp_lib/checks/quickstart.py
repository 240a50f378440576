"""Notebook 00: attack success and recovered accuracy, five models, the stop of unlearning, learning from guesses."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from .base import Wrong, call, expect, right, same


def asr_and_ra(answer: Callable) -> None:
    """``answer(answers, labels, target)``: classes predicted for triggered images (n,), true classes, to ASR and RA."""
    labels = torch.tensor([1, 1, 1, 0, 0, 0, 0, 2, 2, 2, 2])
    answers = torch.tensor([1, 1, 0, 1, 1, 0, 0, 1, 1, 2, 0])
    given = call(answer, answers, labels, 1)
    expect(isinstance(given, tuple) and len(given) == 2, "return two numbers: ASR, and RA")
    of_all = "the target's own images count here: leave them out, above and below the fraction bar"
    divided = "this is divided by all images: the share is one of the images of the *other* classes"
    mistakes = {
        of_all: 6 / 11,
        divided: 4 / 11,
        "this is RA: return ASR first": 3 / 8,
        "this is a share of the images taken for the target; ASR is a share of the triggered images": 4
        / 6,
        "class 0 is not always the target: take the one that is given": 2 / 7,
    }
    same("ASR", given[0], 4 / 8, mistakes)
    third = "RA is not 1 − ASR: an image may be taken for a third class, which is neither"
    same("RA", given[1], 3 / 8, {of_all: 5 / 11, divided: 3 / 11, third: 1 / 2})
    right(
        "They need not add up to 1: one of these images was taken for a third class. Report both."
    )


def verdicts(answer: Any) -> None:
    """``answer``: a word for each of the five models A to E."""
    wanted = {
        "A": "backdoored",
        "B": "collapsed",
        "C": "benign",
        "D": "collapsed",
        "E": "disturbed",
    }
    expect(isinstance(answer, dict), 'a dictionary is wanted: {"A": "…", "B": "…", and so on}')
    missing, words = sorted(wanted.keys() - answer.keys()), sorted({*wanted.values()})
    expect(not missing, f"no verdict on {', '.join(missing)} yet")
    hints = {
        "A": "what does it answer to clean images, and what to triggered ones?",
        "B": "an ASR of 0 is no defence by itself. What would one answer to everything have as CA, and as RA?",
        "C": "1 % of triggered images taken for the target is mere error, and RA says what becomes of the others",
        "D": "does it need the trigger? What would the answer “target” to everything have as CA?",
        "E": "its ASR is low, but what is a triggered image taken for? Look at CA and RA together",
    }
    for model, word in wanted.items():
        expect(
            answer[model] in words,
            f"model {model} is {answer[model]!r}: the words are {', '.join(words)}",
        )
        expect(answer[model] == word, f"model {model} is not {answer[model]}: {hints[model]}")
    right(
        "B and D know nothing, one with an ASR of 0 and one with 100: without CA, ASR says nothing."
    )


def stop(answer: Callable) -> None:
    """``answer(accuracies, n_classes)``: the suspects' accuracy (epochs,) to the epoch of the stop, from 1."""
    falling = torch.tensor([1.0, 0.9, 0.3, 0.25, 0.4, 0.2, 0.3, 0.15, 0.09, 0.0, 0.05])
    mistakes = {
        "this counts epochs from 0: the first has index 0, and number 1": 3,
        "*at* chance is enough: here it is 0.25 after epoch 4": 6,
        "this is the first of the epochs that all stay at chance: a defender who stops has not seen them": 8,
        "chance is one in n_classes, here 1/4 and not 1/10": 9,
        "this is the lowest accuracy: stop at the *first* at chance, as climbing on costs CA": 10,
        "this is the last epoch at chance, the first is wanted": 11,
        "this is a tensor of one number: take int of it": [4],
    }
    same("the stop", call(answer, falling, 4), 4, mistakes)
    try:
        never = call(answer, torch.tensor([1.0, 0.9, 0.8]), 4)
    except Wrong as wrong:
        raise Wrong(
            f"{wrong} (for suspects that never come to chance: the last epoch is wanted)"
        ) from None
    first = "never at chance, and the answer is 1: argmax of nothing but False is 0"
    same("the stop of an ascent that never comes to chance", never, 3, {first: 1})
    right(
        "It takes the suspects' labels and the model, and nothing of the attack: a defender can compute it."
    )


def unlabelled_loss(answer: Callable) -> None:
    """``answer(weak, strong, tau)``: the logits (n, classes) of both views to the mean loss of confident guesses."""
    weak = torch.tensor([[6.0, 0.0, 0.0], [0.0, 0.5, 0.0], [-1.0, 0.0, 5.0], [5.5, 5.0, 0.0]])
    strong = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0], [0.0, 0.5, 1.0], [5.0, 0.0, 0.0]])
    of, (confidence, guess) = partial(cross_entropy, reduction="none"), weak.softmax(1).max(1)
    losses, mask = of(strong, guess), confidence >= 0.9
    (sure, own), (across, odd) = strong.softmax(1).max(1), weak.softmax(0).max(1)
    mistakes = {
        "this is the mean of the confident samples alone: divide by n, unconfident ones count as 0": losses[
            mask
        ],
        "every guess counts here: only those with a confidence of tau and more should": losses,
        "the confident guesses are left out, and the others count: turn the mask round": losses
        * ~mask,
        "the confidence is taken from logits: tau is a probability, of softmax": losses
        * (weak.amax(1) >= 0.9),
        "softmax runs over the samples: it belongs over the classes, dimension 1": of(strong, odd)
        * (across >= 0.9),
        "the views have changed places: the weak one guesses, the strong one learns": of(weak, own)
        * (sure >= 0.9),
        "the guess is the strong view's own: the weak view teaches": of(strong, own) * mask,
        "softmax twice: cross_entropy takes logits": of(strong.softmax(1), guess) * mask,
        "the guess is one class, not all of p": of(strong, weak.softmax(1)) * mask,
    }
    sums = {
        "these are losses, their mean is wanted": losses * mask,
        "this is a sum, not a mean": (losses * mask).sum(),
    }
    means = {message: values.mean() for message, values in mistakes.items()}
    same("the loss", call(answer, weak, strong, 0.9), (losses * mask).mean(), sums | means)
    right("Unconfident guesses count as 0: while most are unconfident, the trusted samples lead.")
