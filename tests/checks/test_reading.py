"""Readings of figures: whatever a run has drawn, the solution is right, and others are not."""

import random

import pytest

from dlp_lib.checks import Wrong, entropy_filtering, quickstart

from .solutions import solved

SOURCES = {exercise.name: exercise.source for exercise in solved()}


def curve(draws, epochs):
    return [draws.choice([0.0, 0.5, 0.89, 0.9, 0.91, 1.0, draws.random()]) for _ in range(epochs)]


def reading(name, names):
    exec(SOURCES[name], names)
    return names["reading"]


@pytest.mark.parametrize("seed", range(40))
def test_the_gap_of_any_run_can_be_read(seed):
    draws = random.Random(seed)
    epochs = draws.randint(1, 6)
    clean, poisoned = curve(draws, epochs), curve(draws, epochs)
    answer = reading("quickstart.gap_figure", {"clean": clean, "poisoned": poisoned})
    quickstart.gap_figure(answer, clean, poisoned)
    for other in ({"gap": answer["gap"] + 6}, {"gap": answer["gap"] - 6}, {"learned": 7}):
        with pytest.raises(Wrong):
            quickstart.gap_figure(answer | other, clean, poisoned)


@pytest.mark.parametrize("seed", range(40))
def test_the_alarms_of_any_run_can_be_read(seed):
    draws = random.Random(seed)
    epochs = draws.randint(1, 6)
    attacks = ("BadNets", "Blended", "SIG")
    drawn = {
        "agreed": {name: curve(draws, epochs) for name in attacks},
        "purity": {name: curve(draws, epochs) for name in attacks},
        "threshold": 0.9,
    }
    answer = reading("entropy_filtering.alarms", dict(drawn))
    entropy_filtering.alarms(answer, *drawn.values())
    for name in attacks:
        epoch, share = answer[name]
        others = [(7, share)]
        if share is not None:
            others += [(epoch, share + 7), (epoch, share - 7)]
        for other in others:
            with pytest.raises(Wrong):
                entropy_filtering.alarms(answer | {name: other}, *drawn.values())
