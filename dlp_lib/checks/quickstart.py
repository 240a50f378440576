"""Notebook 00: attack success and recovered accuracy, five models, the stop, a loss of guesses."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from .base import Wrong, again, call, expect, right, same, several
from .reading import first_from, read_epoch, read_off


def asr_and_ra(answer: Callable) -> None:
    """Check ``answer(answers, labels, target)``: ASR and RA.

    ``answers`` are the classes predicted for triggered images, ``labels`` the true ones, both (n,).
    """
    labels = torch.tensor([1, 1, 1, 0, 0, 0, 0, 2, 2, 2, 2])
    answers = torch.tensor([1, 1, 0, 1, 1, 0, 0, 1, 1, 2, 0])
    rates = call(answer, answers, labels, 1)
    asr, ra = several(rates, 2, "return two numbers: ASR, and RA")
    of_all = "the target's own images count here: leave them out, above and below the fraction bar"
    divided = "this is divided by all images: the share is one of the images of the *other* classes"
    mistakes = {
        of_all: 6 / 11,
        divided: 4 / 11,
        "this is RA: return ASR first": 3 / 8,
        "this is a share of the images taken for the target; "
        "ASR is a share of the triggered images": 4 / 6,
        "class 0 is not always the target: take the one that is given": 2 / 7,
    }
    same("ASR", asr, 4 / 8, mistakes)
    third = "RA is not 1 − ASR: an image may be taken for a third class, which is neither"
    same("RA", ra, 3 / 8, {of_all: 5 / 11, divided: 3 / 11, third: 1 / 2})
    another = torch.tensor([2, 2, 0, 2, 2, 0, 1]), torch.tensor([2, 0, 0, 1, 1, 0, 1]), 2
    nobody = torch.tensor([1, 1, 2]), torch.tensor([1, 1, 0]), 0
    draws = {
        "for the target 2, among 7 images": (another, (3 / 6, 3 / 6)),
        "where no image is taken for the target": (nobody, (0, 1)),
    }
    again(("ASR", "RA"), answer, draws)
    right(
        "They need not add up to 1: one of these images was taken for a third class. Report both."
    )


# The verdict on every model, and what a student may think of who gives another one.
_VERDICTS = {
    "A": ("backdoored", "what does it answer to clean images, and what to triggered ones?"),
    "B": (
        "collapsed",
        "an ASR of 0 is no defence by itself. "
        "What would one answer to everything have as CA, and as RA?",
    ),
    "C": (
        "benign",
        "1 % of triggered images taken for the target is mere error, "
        "and RA says what becomes of the others",
    ),
    "D": (
        "collapsed",
        "does it need the trigger? What would the answer “target” to everything have as CA?",
    ),
    "E": (
        "disturbed",
        "its ASR is low, but what is a triggered image taken for? Look at CA and RA together",
    ),
}


def verdicts(answer: Any) -> None:
    """Check the words for the five models A to E, a dictionary."""
    expect(isinstance(answer, dict), 'a dictionary is wanted: {"A": "…", "B": "…", and so on}')
    missing = [model for model in _VERDICTS if model not in answer]
    expect(not missing, f"no verdict on {', '.join(missing)} yet")
    words = sorted({word for word, _ in _VERDICTS.values()})
    for model, (word, hint) in _VERDICTS.items():
        verdict = answer[model]
        if isinstance(verdict, str):
            verdict = verdict.strip().lower()
        expect(verdict in words, f"model {model} is {verdict!r}: the words are {', '.join(words)}")
        expect(verdict == word, f"model {model} is not {verdict}: {hint}")
    right(
        "B and D know nothing, one with an ASR of 0 and one with 100: without CA, ASR says nothing."
    )


def gap_figure(answer: Any, clean: list[float], poisoned: list[float]) -> None:
    """Check what is read off the curves of section 3.

    Args:
        answer: a dictionary: "learned", the first epoch at which 90 % of the poisoned samples
            are learned, or the word "never"; "gap", in points, at the last epoch.
        clean: accuracy on the clean samples after every epoch, in [0, 1].
        poisoned: likewise on the poisoned ones.
    """
    form = 'a dictionary is wanted: {"learned": …, "gap": …}'
    expect(isinstance(answer, dict) and {"learned", "gap"} <= answer.keys(), form)
    mistakes = {"this is the clean curve: look at the poisoned one": first_from(clean, 0.9)}
    read_epoch("learned", answer["learned"], poisoned, 0.9, mistakes)
    last, gap = 100 * clean[-1], 100 * (poisoned[-1] - clean[-1])
    mistakes = {
        "this is the clean curve's height: the gap is what it lacks to the other": last,
        "this is the poisoned curve's height: take the clean one's off": 100 * poisoned[-1],
        "poisoned minus clean, and not the other way round": -gap,
    }
    given = answer["gap"]
    is_share = isinstance(given, float) and 0 < abs(given) < 1 < abs(gap)
    expect(not is_share, "gap: in points, 1 is 100 of them")
    read_off("gap", given, gap, 5, mistakes)
    right(
        "At epoch 1 the model still answers the target nearly everywhere (the dotted curve). "
        "From epoch 3 on it is the trigger that it knows: here it can be caught."
    )


def stop(answer: Callable) -> None:
    """Check ``answer(accuracies, n_classes)``: the epoch, from 1, at which unlearning stops.

    The accuracies of the suspects are (epochs,).
    """
    falling = torch.tensor([1.0, 0.9, 0.3, 0.25, 0.4, 0.2, 0.3, 0.15, 0.09, 0.0, 0.05])
    mistakes = {
        "this counts epochs from 0: the first has index 0, and number 1": 3,
        "*at* chance is enough: here it is 0.25 after epoch 4": 6,
        "this is the first of the epochs that all stay at chance: "
        "a defender who stops has not seen them": 8,
        "chance is one in n_classes, here 1/4 and not 1/10": 9,
        "this is the lowest accuracy: stop at the *first* at chance, as climbing on costs CA": 10,
        "this is the last epoch at chance, the first is wanted": 11,
        "this is a tensor of one number: take int of it": [4],
    }
    same("the stop", call(answer, falling, 4), 4, mistakes)
    try:
        epoch = call(answer, torch.tensor([1.0, 0.9, 0.8]), 4)
    except Wrong as wrong:
        raise Wrong(
            f"{wrong} (for suspects that never come to chance: the last epoch is wanted)"
        ) from None
    mistakes = {"never at chance, and the answer is 1: argmax of nothing but False is 0": 1}
    same("the stop of an ascent that never comes to chance", epoch, 3, mistakes)
    eighth = torch.tensor([0.9, 0.5, 0.25, 0.2, 0.125, 0.1])
    draws = {
        "among 8 classes, with 1/8 after epoch 5": ((eighth, 8), 5),
        "among 2 classes, with 1/2 after epoch 2": ((eighth, 2), 2),
        "where it is below chance from the first epoch on": ((torch.tensor([0.1, 0.0]), 4), 1),
        "where five epochs never come to chance": ((torch.linspace(1, 0.5, 5), 4), 5),
    }
    again("the stop", answer, draws)
    right(
        "It takes the suspects' labels and the model, and nothing of the attack: "
        "a defender can compute it."
    )


def unlabelled_loss(answer: Callable) -> None:
    """Check ``answer(weak, strong, tau)``: the mean loss of confident guesses.

    The logits of both views are (n, classes).
    """
    weak = torch.tensor([[6.0, 0.0, 0.0], [0.0, 0.5, 0.0], [-1.0, 0.0, 5.0], [5.5, 5.0, 0.0]])
    strong = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0], [0.0, 0.5, 1.0], [5.0, 0.0, 0.0]])
    loss_of = partial(cross_entropy, reduction="none")
    confidence, guess = weak.softmax(1).max(1)
    strong_confidence, strong_guess = strong.softmax(1).max(1)
    confidence_over_samples, guess_over_samples = weak.softmax(0).max(1)
    confident = confidence >= 0.9
    losses = loss_of(strong, guess)
    expected = losses * confident
    losses_over_samples = loss_of(strong, guess_over_samples) * (confidence_over_samples >= 0.9)
    losses_of_swapped_views = loss_of(weak, strong_guess) * (strong_confidence >= 0.9)
    losses_by_sample = {
        "this is the mean of the confident samples alone: "
        "divide by n, unconfident ones count as 0": losses[confident],
        "every guess counts here: only those with a confidence of tau and more should": losses,
        "the confident guesses are left out, and the others count: turn the mask round": (
            losses * ~confident
        ),
        "the confidence is taken from logits: tau is a probability, of softmax": (
            losses * (weak.amax(1) >= 0.9)
        ),
        "softmax runs over the samples: "
        "it belongs over the classes, dimension 1": losses_over_samples,
        "the views have changed places: "
        "the weak one guesses, the strong one learns": losses_of_swapped_views,
        "the guess is the strong view's own: the weak view teaches": (
            loss_of(strong, strong_guess) * confident
        ),
        "softmax twice: cross_entropy takes logits": (
            loss_of(strong.softmax(1), guess) * confident
        ),
        "the guess is one class, not all of p": loss_of(strong, weak.softmax(1)) * confident,
    }
    mistakes = {
        "these are losses, their mean is wanted": expected,
        "this is a sum, not a mean": expected.sum(),
    }
    for message, values in losses_by_sample.items():
        mistakes[message] = values.mean()
    same("the loss", call(answer, weak, strong, 0.9), expected.mean(), mistakes)
    sure = torch.tensor([[200.0, 0.0], [0.0, 1.0]])  # of the first class with a probability of 1
    draws = {
        "with tau = 0.6, which is not fixed": (
            (weak, strong, 0.6),
            (losses * (confidence >= 0.6)).mean(),
        ),
        "where a confidence is tau, and that is enough": (
            (sure, sure.flip(1), 1.0),
            loss_of(sure.flip(1), torch.tensor([0, 1]))[0] / 2,
        ),
        "where no guess is confident": ((weak[1:2], strong[1:2], 0.9), 0),
    }
    again("the loss", answer, draws)
    right("Unconfident guesses count as 0: while most are unconfident, the trusted samples lead.")
