"""Notebook 09: points of a grid, shared epochs, two favourites, and a sweep that can be killed."""

from collections.abc import Callable
from typing import Any

from ..experiments.sweep import grid_points
from .base import again, call, expect, right, same, several
from .controls import without_unlearning as without_unlearning


def toy(parameters: dict) -> dict:
    """Return how many passes stage 1 makes: a trial that takes no time."""
    return {"images": parameters["n_train"] * parameters["e1"]}


def points(answer: Callable) -> None:
    """Check ``answer(grid, seeds)``: a list of dicts, each with "seed".

    The grid has values or lists of them, the seeds are a list.
    """
    grid = {"attack": "BadNets", "gamma": [0.01, 0.02, 0.1], "e1": [2, 4, 8]}
    answered = call(answer, grid, [0, 1])
    _expect_points(answered)
    count = len(answered)
    expect(
        count != 6,
        "6 points: the first gamma goes with the first E1, and so on; every pair is wanted",
    )
    expect(
        count not in (3, 9),
        f"{count} points: every combination is wanted, and each with every seed",
    )
    for point in grid_points(grid, [0, 1]):
        expect(point in answered, f"this point is missing: {point}")
    expect(count == 18, f"{count} points: 3 · 3 · 2 = 18 are wanted, each once")
    _expect_other_points(answer)
    right("3 · 3 · 2 = 18. Every further list multiplies: add one only if you need it.")


def _expect_points(answered: list[dict]) -> None:
    """Check that an answer is a list of dicts of plain values, each its own."""
    is_list = isinstance(answered, list) and bool(answered)
    expect(
        is_list and all(isinstance(point, dict) for point in answered),
        "return a list of dicts, one a trial",
    )
    for point in answered:
        expect("seed" in point, 'every point needs a "seed"')
    for point in answered:
        kinds = {type(value) for value in point.values()}
        expect(
            not kinds & {list, tuple},
            "a point has one value for each name, and here is one with a list",
        )
    for point in answered:
        is_text = point.get("attack") == "BadNets"
        expect(is_text, "a text is one value, not a list of letters")
    one = "the list has one dict several times, changed again and again: make one for every point"
    expect(len({id(point) for point in answered}) == len(answered), one)


def _expect_other_points(answer: Callable) -> None:
    """Check grids with other names and other numbers of lists."""
    grids = {
        "a grid with no list": ({"gamma": 0.02, "lr": 0.1}, [3]),
        "a grid with one list of one value": ({"alpha": [0.1], "dataset": "shapes10"}, [0, 5, 7]),
        "a grid of three lists": ({"a": [1, 2], "b": [3, 4], "c": [5, 6]}, [1]),
    }
    for name, (grid, seeds) in grids.items():
        answered = call(answer, grid, seeds)
        wanted = grid_points(grid, seeds)
        is_list = isinstance(answered, list)
        expect(is_list and len(answered) == len(wanted), f"{name} has {len(wanted)} points")
        for point in wanted:
            expect(point in answered, f"{name}: this point is missing: {point}")


def epochs(answer: Callable) -> None:
    """Check ``answer(points)``: the epochs of stage 1, alone and shared.

    Alone every trial trains its own; shared, what is common is trained once.
    """
    grid = {"poisoning_rate": [0.05, 0.1], "gamma": [0.01, 0.02], "e1": [2, 4, 8]}
    trials = []
    for point in grid_points(grid, [0, 1, 2]):
        if (point["poisoning_rate"], point["seed"], point["e1"]) != (0.1, 2, 8):
            trials.append(point)

    def longest(*names: str) -> int:
        """Return the epochs where trials that agree in these names share the longest stage 1."""
        groups = {}
        for point in trials:
            values = tuple(point[name] for name in names)
            groups[values] = max(groups.get(values, 0), point["e1"])
        return sum(groups.values())

    alone, shared = several(call(answer, trials), 2, "return two numbers: alone, and shared")
    expected = sum(point["e1"] for point in trials)
    mistakes = {"this is the number of trials: add up their epochs": len(trials)}
    same("the epochs of all trials on their own", alone, expected, mistakes)
    mistakes = {
        "this is the number of trainings: add up their epochs": 6,
        "a stage 1 of eight epochs holds those of two and four: its first epochs are theirs": 5 * 14
        + 6,
        "another gamma needs no other stage 1: the filter comes after it": (
            longest("poisoning_rate", "gamma", "seed")
        ),
        "another seed is another stage 1": longest("poisoning_rate"),
        "another poisoning rate is another training set, and another stage 1": longest("seed"),
        "with rate 0.1 and seed 2, nobody asks for more than four epochs": 6 * 8,
        "this is one training: every pair of rate and seed needs its own": 8,
    }
    same("the epochs shared", shared, longest("poisoning_rate", "seed"), mistakes)
    one = {"poisoning_rate": 0.3, "gamma": 0.1, "e1": 6, "seed": 9}
    draws = {
        "for one trial": (([one],), (6, 6)),
        "for the longest first, and then a shorter one": (([one, one | {"e1": 1}],), (7, 6)),
        "for another rate as well": (([one, one | {"poisoning_rate": 0.2}],), (12, 12)),
    }
    again(("the epochs alone", "the epochs shared"), answer, draws)
    right(
        "So in a grid gamma and E1 cost little of stage 1, "
        "and every further rate or seed needs a new stage 1."
    )


# Clean accuracy of three seeds, by gamma. A trial at gamma = 0.1 has failed.
_CA = {
    0.002: (0.8, 0.98, 0.75),
    0.01: (0.9, 0.91, 0.92),
    0.02: (0.97, 0.96, 0.85),
    0.05: (0.7, 0.72, 0.71),
    0.1: (0.99, None, 0.95),
}


def _table(accuracies: dict[float, tuple]) -> Any:
    """Return a table with a row for every gamma and seed, where None is a trial that failed."""
    import pandas

    rows = []
    for gamma, values in accuracies.items():
        for seed, ca in enumerate(values):
            error = "MemoryError" if ca is None else None
            rows.append((gamma, seed, ca, error))
    return pandas.DataFrame(rows, columns=["gamma", "seed", "ca", "error"])


def favourites(answer: Callable) -> None:
    """Check ``answer(table)``: the gamma of the highest mean CA, and that of the highest minimum.

    A failure rules a gamma out.
    """
    table = _table(_CA)
    form = "return two gammas: by the mean, by the worst seed"
    by_mean, by_worst_seed = several(call(answer, table), 2, form)
    failed = {
        "at gamma = 0.1 a trial has failed, which mean and minimum leave out: "
        "rule the whole gamma out": 0.1
    }
    mistakes = {
        "this is the mean CA itself: the gamma that it belongs to is wanted": 2.78 / 3,
        "this is the gamma of the best single seed: take the mean over the seeds first": 0.002,
        "this is the gamma of the *lowest* mean": 0.05,
        "this is the favourite by the worst seed: the one by the mean comes first": 0.01,
    }
    same("gamma by the mean", by_mean, 0.02, failed | mistakes)
    mistakes = {
        "this is a CA: the gamma that it belongs to is wanted": 0.9,
        "this is the gamma of the worst seed of all: "
        "of each gamma take the worst, and of those the best": 0.05,
        "this is the favourite by the mean again: take the minimum over the seeds": 0.02,
    }
    same("gamma by the worst seed", by_worst_seed, 0.01, failed | mistakes)
    of_gamma = {0.3: (0.5, 0.7), 0.4: (0.1, 0.99), 0.2: (0.45, 0.45, 0.45), 0.5: (0.9, None)}
    other = _table(of_gamma)
    sound = other[other.gamma != 0.5].iloc[::-1]
    draws = {
        "for other gammas, of which 0.5 has failed once": ((other,), (0.3, 0.3)),
        "where nothing has failed, in another order": ((sound,), (0.3, 0.3)),
    }
    again(("gamma by the mean", "gamma by the worst seed"), answer, draws)
    right(
        "One table, two favourites. "
        "Say which question was asked, and how many seeds have answered it."
    )


def resuming(answer: Callable) -> None:
    """Check ``answer(trial, points, key, records)``: a sweep that goes on where it was stopped.

    It runs what has no record, keeps a record of each, and returns those of all.
    """
    ran = []
    records = {}
    interrupts = True

    def trial(point: dict) -> dict:
        ran.append(point["e1"])
        if point["e1"] == 2:
            raise ValueError("a trial that fails must not stop the others: record it, and go on")
        if point["e1"] == 3 and interrupts:
            raise KeyboardInterrupt
        return {"ca": point["e1"] / 10}

    def key(point: dict) -> str:
        return f"e1={point['e1']}"

    trials = [{"e1": e1} for e1 in (1, 2, 3, 4, 4)]
    try:
        call(answer, trial, trials, key, records, fills=records)
    except KeyboardInterrupt:
        interrupts = False
    stopped = "Ctrl-C does not stop the sweep: catch Exception, which KeyboardInterrupt is not"
    expect(not interrupts, stopped)
    lost = "what was finished before an interruption is lost: keep each record at once"
    expect("e1=1" in records, lost)
    silent = "a failed trial has left no record that says why"
    expect("must not stop" in str(records.get("e1=2")), silent)
    failed = records["e1=2"]
    is_record = isinstance(failed, dict) and failed.get("result") == {}
    is_record = is_record and isinstance(failed.get("error"), str)
    expect(is_record, f"a failure's record has an empty result and a text; this is {failed}")
    ran_at_first = len(ran)
    rows = call(answer, trial, trials, key, records, fills=records)
    expect(
        not {1, 2} & {*ran[ran_at_first:]},
        "a second call runs again what has a record, if only of a failure",
    )
    expect(ran.count(4) == 1, "a point that is twice in the list is run twice")
    expected = [records.get(key(point)) for point in trials]
    finished = {"result": {"ca": 0.3}, "error": None}
    expect(
        expected[2] == finished,
        f"a finished trial's record is {expected[2]}, it should be {finished}",
    )
    expect(
        isinstance(rows, (list, tuple)) and list(rows) == expected,
        f"return the records of all points in their order, {expected}; these are {rows}",
    )
    other = {"a": {"result": {"asr": 0.5}, "error": None}}
    named = [{"name": "b"}, {"name": "a"}]
    rows = call(answer, lambda point: dict(point), named, lambda p: p["name"], other, fills=other)
    wanted = [{"result": {"name": "b"}, "error": None}, {"result": {"asr": 0.5}, "error": None}]
    message = f"for a record of an earlier call, {wanted} should come back; these are {rows}"
    expect(isinstance(rows, (list, tuple)) and list(rows) == wanted, message)
    right(
        "Run the same line again, and it goes on: "
        "with a folder for the dict, that is a sweep on a whole cluster."
    )
