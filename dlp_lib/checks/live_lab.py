"""Notebook 07: the ceiling of precision, what is seen, what to train again, a lab with a memory."""

from collections.abc import Callable
from dataclasses import replace

import numpy
import torch

from ..live.setting import LabSetting, ascent_key, finetuning_key, scenario_key
from .base import again, call, expect, right, same, several
from .controls import clean_data as clean_data

# What the recordings of each stage depend on
KEYS = {"SL": scenario_key, "AU": ascent_key, "ASSFT": finetuning_key}
MUST = {
    "SL": "another tampered set, or another draw of weights and batches, is another stage 1",
    "AU": (
        "the ascent starts from the weights at E1, climbs on the suspects that gamma takes, "
        "and at this lr"
    ),
    "ASSFT": "stage 3 starts from where the ascent stands",
}
NEED_NOT = {
    "SL": (
        "of its recorded epochs E1 picks one, and of gamma, E2 and the lr of unlearning "
        "it knows nothing"
    ),
    "AU": "it is recorded to its last epoch, and E2 is a point on it",
    "ASSFT": "it is recorded, and nothing before it has changed",
}
MOVES = (
    {"e1": 6},
    {"gamma": 0.05},
    {"lr": 0.01},
    {"e2": 5},
    {"seed": 1},
    {"attack": "SIG"},
    {"poisoning_rate": 0.2},
    {"dataset": "cifar10"},
    {"e2": 5, "gamma": 0.05},
    {},
)


def ceiling(answer: Callable) -> None:
    """Check exercise 1.

    Args:
        answer: ``answer(gamma, rate)`` is the highest precision that any filter can have.
    """
    mistakes = {
        "this is above 1: where there is more poison than suspects, all of them can be "
        "poisoned, and no more": 5,
        "gamma / rate is the highest *recall*, the share of the poison that so few suspects "
        "can hold": 0.2,
        "the smaller of the two is a share of *all* samples; precision is a share of the "
        "suspects": 0.02,
        "a fraction is wanted, not per cent": 100,
    }
    same("the ceiling at gamma = 2 %, rate = 10 %", call(answer, 0.02, 0.1), 1, mistakes)
    mistakes = {
        "no filter reaches 1 at gamma = 20 %, rate = 10 %: of 100 samples 20 are suspects, "
        "and 10 poisoned": 1,
        "this is above 1, and the wrong way round: what is there to be found, what is it a "
        "share of?": 2,
    }
    same("the ceiling at gamma = 20 %, rate = 10 %", call(answer, 0.2, 0.1), 0.5, mistakes)
    same("the ceiling at gamma = 5 %, rate = 2 %", call(answer, 0.05, 0.02), 0.4)
    draws = {
        "at gamma = rate = 5 %": ((0.05, 0.05), 1),
        "at gamma = 8 %, rate = 6 %": ((0.08, 0.06), 0.75),
        "where everything is suspected, at rate = 3 %": ((1.0, 0.03), 0.03),
    }
    again("the ceiling", answer, draws)
    right(
        "Beyond the poisoning rate even a perfect filter must take clean samples: it has run "
        "out of poison."
    )


def view(answer: Callable) -> None:
    """Check exercise 2.

    Args:
        answer: ``answer(suspected, labels, poisoned)`` is the suspects' commonest label, the
            share of them that carries it, and the share of them that is poisoned.
    """
    labels = torch.tensor([2, 0, 2, 0, 0, 2, 0, 2, 0, 1, 2, 0, 2, 2, 2, 1])
    suspected = torch.tensor([1, 3, 4, 6, 9])
    poisoned = torch.zeros(16).bool()
    poisoned[[1, 3, 8]] = True
    result = call(answer, suspected, labels, poisoned)
    form = "return three numbers: a label and two shares"
    label, label_share, poisoned_share = several(result, 3, form)
    mistakes = {
        "2 is the commonest label of *all* samples: look at the suspects alone": 2,
        "4 is how often the commonest label occurs, not which it is": 4,
    }
    same("the commonest label", label, 0, mistakes)
    mistakes = {
        "this is a count: divide it by the number of suspects": 4,
        "this is a share of all samples: divide by the number of suspects": 4 / 16,
        "this is the label's share of all samples: count the suspects alone": 6 / 16,
        "this is the share of the class that is suspected: divide by the number of suspects": 4 / 6,
    }
    same("the share of the commonest label", label_share, 0.8, mistakes)
    mistakes = {
        "this is the agreement again: who is poisoned, only the mask knows": 0.8,
        "this is recall: the poisoned share *of the suspects* is wanted": 2 / 3,
        "this is the poisoning rate: the poisoned share *of the suspects* is wanted": 3 / 16,
        "of all suspects, not of those with the commonest label alone": 0.5,
    }
    same("the poisoned share", poisoned_share, 0.4, mistakes)
    labels = torch.tensor([3, 3, 1, 3, 0, 3, 1, 1])
    poisoned = torch.tensor([False, True, True, False, False, False, True, True])
    suspected = torch.tensor([7, 0, 1, 3])
    everyone = torch.arange(8)
    draws = {
        "for 4 of 8 samples": ((suspected, labels, poisoned), (3, 3 / 4, 2 / 4)),
        "where all are suspected": ((everyone, labels, poisoned), (3, 4 / 8, 4 / 8)),
        "where none of the suspects is poisoned": (
            (suspected, labels, poisoned & False),
            (3, 0.75, 0),
        ),
    }
    again(("the commonest label", "its share", "the poisoned share"), answer, draws)
    right("80 % agree, and 40 % are poisoned: clean samples of the target class agree as well.")


def training(answer: Callable) -> None:
    """Check exercise 3.

    Args:
        answer: ``answer(before, after)`` lists which of "SL", "AU" and "ASSFT" must be trained
            when the controls have moved.
    """
    others = LabSetting(gamma=0.1, e1=3, e2=2, lr=0.003, seed=4, attack="Blended")
    moves = [(LabSetting(), move) for move in MOVES]
    moves += [(others, move) for move in MOVES]
    for before, move in moves:
        after = replace(before, **move)
        # Where nothing has moved, None is as good as an empty list
        ask = answer if move else _none_as_empty(answer)
        stages = call(ask, before, after)
        is_list = isinstance(stages, (list, tuple, set, frozenset, numpy.ndarray))
        is_list = is_list and all(name in list(KEYS) for name in stages)
        expect(is_list, f'return a list of names, of "SL", "AU" and "ASSFT"; this is {stages!r}')
        expect(len({*stages}) == len(stages), f"a stage is named twice: {stages!r}")
        _check_stages(move, stages, before, after)
    right(
        "So E2's slider is free until you fine-tune, and gamma's costs an ascent wherever none "
        "is recorded yet."
    )


def _none_as_empty(answer: Callable) -> Callable:
    return lambda *settings: answer(*settings) or []


def _check_stages(move: dict, stages: list[str], before: LabSetting, after: LabSetting) -> None:
    changed = f"changed: {', '.join(move) or 'nothing'}"
    for stage, key in KEYS.items():
        if key(before) != key(after):
            reason = f"{changed}. {stage} is not in the list, but {MUST[stage]}"
            expect(stage in stages, reason)
        else:
            reason = f"{changed}. {stage} is in the list, but {NEED_NOT[stage]}"
            expect(stage not in stages, reason)


def remembering(answer: Callable) -> None:
    """Check exercise 4.

    Args:
        answer: ``answer(train, climb)`` is a function ``look(e1, gamma, e2)``, which trains and
            climbs only what it has not yet.
    """
    trained = []  # an entry a call
    climbed = []

    def train() -> list[float]:
        trained.append(1)
        return [100, 200, 300]

    def climb(score: float, gamma: float) -> list[float]:
        climbed.append((score, gamma))
        return [score + 1000 * gamma + epoch for epoch in (1, 2, 3)]

    look = call(answer, train, climb)
    _check_first_looks(look, trained, climbed)
    _check_other_ascents(look, trained, climbed)
    second = call(answer, lambda: [500, 600, 700], lambda score, gamma: [score - 5, score - 6])
    mistakes = {"a second lab shows the first one's recordings": 211}
    same("a second lab's look(2, 0.01, 1)", call(second, 2, 0.01, 1), 595, mistakes)
    right(
        "Four different questions, one training, three ascents. The page's own keys hold a few "
        "more names."
    )


def _check_first_looks(look: Callable, trained: list, climbed: list) -> None:
    mistakes = {
        "E1 = 2 has given epoch 3: the first epoch is entry 0 of the list": 311,
        "E2 = 1 has given the ascent's second epoch: its first is entry 0 of the list": 212,
        "both epochs are one too late: the first epoch is entry 0 of a list": 312,
    }
    same("look(2, 0.01, 1)", call(look, 2, 0.01, 1), 211, mistakes)
    mistakes = {"E2 has moved, and the answer has not": 211}
    same("look(2, 0.01, 3)", call(look, 2, 0.01, 3), 213, mistakes)
    expect(len(trained) == 1, "another E2 has trained stage 1 again: keep what train() gives")
    expect(
        len(climbed) == 1, "another E2 has climbed again: an ascent depends on E1 and gamma alone"
    )


def _check_other_ascents(look: Callable, trained: list, climbed: list) -> None:
    mistakes = {"gamma is new, and the ascent is the old one": 213}
    same("look(2, 0.02, 3)", call(look, 2, 0.02, 3), 223, mistakes)
    mistakes = {"E1 is new, and the ascent is the old one": 223}
    same("look(1, 0.02, 3)", call(look, 1, 0.02, 3), 123, mistakes)
    same("look(2, 0.01, 1), asked again", call(look, 2, 0.01, 1), 211)
    expect(
        len(trained) == 1,
        "stage 1 is trained again for another gamma or E1: all its epochs are there already",
    )
    expect(
        len(climbed) == 3,
        "coming back to a setting climbs again: keep every ascent, not only the last",
    )
