"""Notebook 09: a grid's points, what is shared, the favourite by mean and by worst seed, a sweep that can be killed."""

from collections.abc import Callable

from ..experiments.sweep import _points
from .base import call, expect, right, same


def toy(parameters: dict) -> dict:
    """A trial that takes no time: how many passes stage 1 makes."""
    return {"images": parameters["n_train"] * parameters["e1"]}


def points(answer: Callable) -> None:
    """``answer(grid, seeds)``: a dict of values or lists of them, and a list, to a list of dicts with "seed"."""
    grid = {"attack": "BadNets", "gamma": [0.01, 0.02, 0.1], "e1": [2, 4, 8]}
    wanted = _points(grid, [0, 1])
    given = call(answer, grid, [0, 1])
    dicts = isinstance(given, list) and given and all(isinstance(point, dict) for point in given)
    expect(dicts, "return a list of dicts, one a trial")
    expect(all("seed" in point for point in given), 'every point needs a "seed"')
    kinds = {type(value) for point in given for value in point.values()}
    expect(
        not kinds & {list, tuple},
        "a point has one value for each name, and here is one with a list",
    )
    expect(
        all(point.get("attack") == "BadNets" for point in given),
        "a text is one value, not a list of letters",
    )
    again = len({id(point) for point in given}) < len(given)
    expect(
        not again,
        "the list has one dict several times, changed again and again: make a new one for every point",
    )
    expect(
        len(given) != 6,
        "6 points: the first gamma goes with the first E1, and so on; every pair is wanted",
    )
    expect(
        len(given) not in (3, 9),
        f"{len(given)} points: every combination is wanted, and each with every seed",
    )
    missing = [point for point in wanted if point not in given]
    expect(not missing, f"this point is missing: {missing and missing[0]}")
    expect(len(given) == 18, f"{len(given)} points: 3 · 3 · 2 = 18 are wanted, each once")
    right("3 · 3 · 2 = 18. Every further list multiplies: think twice before you add one.")


def epochs(answer: Callable) -> None:
    """``answer(points)``: the epochs of stage 1 when every trial trains its own, and when what is common is shared."""
    grid = {"poisoning_rate": [0.05, 0.1], "gamma": [0.01, 0.02], "e1": [2, 4, 8]}
    given = [
        p
        for p in _points(grid, [0, 1, 2])
        if (p["poisoning_rate"], p["seed"], p["e1"]) != (0.1, 2, 8)
    ]

    def longest(*names: str) -> int:
        groups = {}
        for point in given:
            groups.setdefault(tuple(point[name] for name in names), []).append(point["e1"])
        return sum(map(max, groups.values()))

    answered = call(answer, given)
    expect(
        isinstance(answered, (tuple, list)) and len(answered) == 2,
        "return two numbers: alone, and shared",
    )
    mistakes = {"this is the number of trials: add up their epochs": len(given)}
    same(
        "the epochs of all trials on their own",
        answered[0],
        sum(point["e1"] for point in given),
        mistakes,
    )
    mistakes = {
        "this is the number of trainings: add up their epochs": 6,
        "a stage 1 of eight epochs holds those of two and four: its first epochs are theirs": 5 * 14
        + 6,
        "another gamma needs no other stage 1: the filter comes after it": longest(
            "poisoning_rate", "gamma", "seed"
        ),
        "another seed is another stage 1": longest("poisoning_rate"),
        "another poisoning rate is another training set, and another stage 1": longest("seed"),
        "with rate 0.1 and seed 2, nobody asks for more than four epochs": 6 * 8,
        "this is one training: every pair of rate and seed needs its own": 8,
    }
    same("the epochs shared", answered[1], longest("poisoning_rate", "seed"), mistakes)
    right(
        "So in a grid gamma and E1 cost little of stage 1, and every further rate or seed costs all of it."
    )


def favourites(answer: Callable) -> None:
    """``answer(table)``: the gamma whose mean CA is highest, and the one whose lowest is; a failure rules out."""
    import pandas

    ca = {
        0.002: (0.8, 0.98, 0.75),
        0.01: (0.9, 0.91, 0.92),
        0.02: (0.97, 0.96, 0.85),
        0.05: (0.7, 0.72, 0.71),
    }
    rows = [
        (gamma, seed, value, None)
        for gamma, values in ca.items()
        for seed, value in enumerate(values)
    ]
    rows += [(0.1, 0, 0.99, None), (0.1, 1, None, "MemoryError"), (0.1, 2, 0.95, None)]
    table = pandas.DataFrame(rows, columns=["gamma", "seed", "ca", "error"])
    before = table.copy()
    given = call(answer, table)
    expect(table.equals(before), "the table that was given has changed: work on a copy")
    expect(
        isinstance(given, (tuple, list)) and len(given) == 2,
        "return two gammas: by the mean, by the worst seed",
    )
    failed = {
        "at gamma = 0.1 a trial has failed, which mean and minimum leave out: rule the whole gamma out": 0.1
    }
    mistakes = {
        "this is the mean CA itself: the gamma that it belongs to is wanted": 2.78 / 3,
        "this is the gamma of the best single seed: take the mean over the seeds first": 0.002,
        "this is the gamma of the *lowest* mean": 0.05,
        "this is the favourite by the worst seed: the one by the mean comes first": 0.01,
    }
    same("gamma by the mean", given[0], 0.02, failed | mistakes)
    mistakes = {
        "this is a CA: the gamma that it belongs to is wanted": 0.9,
        "this is the gamma of the worst seed of all: of each gamma take the worst, and of those the best": 0.05,
        "this is the favourite by the mean again: take the minimum over the seeds": 0.02,
    }
    same("gamma by the worst seed", given[1], 0.01, failed | mistakes)
    right(
        "One table, two favourites. Say which question was asked, and how many seeds have answered it."
    )


def resuming(answer: Callable) -> None:
    """``answer(trial, points, key, records)``: run what has no record, keep a record of each, return those of all."""
    ran, records, armed = [], {}, True

    def trial(point: dict) -> dict:
        ran.append(point["e1"])
        if point["e1"] == 2:
            raise ValueError("a trial that fails must not stop the others: record it, and go on")
        if point["e1"] == 3 and armed:
            raise KeyboardInterrupt
        return {"ca": point["e1"] / 10}

    given = (
        trial,
        [{"e1": e1} for e1 in (1, 2, 3, 4, 4)],
        lambda point: f"e1={point['e1']}",
        records,
    )
    try:
        call(answer, *given)
    except KeyboardInterrupt:
        armed = False
    expect(
        not armed, "Ctrl-C does not stop the sweep: catch Exception, which KeyboardInterrupt is not"
    )
    expect(
        "e1=1" in records,
        "what was finished before an interruption is lost: keep each record at once",
    )
    expect(
        "must not stop" in str(records.get("e1=2")),
        "a failed trial has left no record that says why",
    )
    half, rows = len(ran), call(answer, *given)
    expect(
        not {1, 2} & {*ran[half:]},
        "a second call runs again what has a record, if only of a failure",
    )
    expect(ran.count(4) == 1, "a point that is twice in the list is run twice")
    wanted, good = (
        [records.get(f"e1={e1}") for e1 in (1, 2, 3, 4, 4)],
        {"result": {"ca": 0.3}, "error": None},
    )
    expect(wanted[2] == good, f"a finished trial's record is {wanted[2]}, it should be {good}")
    expect(
        rows == wanted,
        f"return the records of all points in their order, {wanted}; these are {rows}",
    )
    right(
        "Run the same line again, and it goes on: with a folder for the dict, that is a sweep on a whole cluster."
    )
