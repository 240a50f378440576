"""What the checks of notebook 09 say of wrong answers."""

import itertools

import numpy
import pandas
import pytest

from dlp_lib.checks import Wrong, sweeps


def combined(grid, seeds):
    values = [value if isinstance(value, list) else [value] for value in grid.values()]
    return [
        dict(zip([*grid, "seed"], chosen, strict=True))
        for chosen in itertools.product(*values, seeds)
    ]


def in_step(grid, seeds):
    pairs = zip(grid["gamma"], grid["e1"], strict=True)
    return [
        {"attack": "BadNets", "gamma": g, "e1": e1, "seed": seed}
        for g, e1 in pairs
        for seed in seeds
    ]


def one_dict(grid, seeds):
    point, found = {}, []
    for values in combined(grid, seeds):
        point.update(values)
        found.append(point)
    return found


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda g, s: None, "nothing yet"),
        (lambda g, s: itertools.product(*g.values()), "a list of dicts"),
        (lambda g, s: [*itertools.product(*g.values())], "a list of dicts"),
        (lambda g, s: [], "a list of dicts"),
        (
            lambda g, s: [{k: v for k, v in p.items() if k != "seed"} for p in combined(g, s)],
            'needs a "seed"',
        ),
        (lambda g, s: [g | {"seed": seed} for seed in s], "here is one with a list"),
        (lambda g, s: combined({k: [*v] for k, v in g.items()}, s), "not a list of letters"),
        (one_dict, "one dict several times"),
        (in_step, "goes with the first E1"),
        (lambda g, s: combined(g, s[:1]), "9 points: every combination"),
        (lambda g, s: in_step(g, s[:1]), "3 points: every combination"),
        (lambda g, s: combined(g, s)[:-1], "is missing: .*'e1': 8, 'seed': 1"),
        (lambda g, s: combined(g, s) + combined(g, s), "36 points"),
        (
            lambda g, s: combined(g, [0, 1]),
            "a grid with no list: this point|a grid with no list has",
        ),
        (
            lambda g, s: combined(
                {"attack": "BadNets", "gamma": [0.01, 0.02, 0.1], "e1": [2, 4, 8]}, s
            ),
            "a grid with no list has 1 points",
        ),
    ],
)
def test_points(answer, message):
    with pytest.raises(Wrong, match=message):
        sweeps.points(answer)


def alone(points):
    return sum(point["e1"] for point in points)


def longest(points, *names, reduce=max):
    groups = {}
    for point in points:
        groups.setdefault(tuple(point[name] for name in names), set()).add(point["e1"])
    return sum(map(reduce, groups.values()))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (alone, "return two numbers"),
        (lambda p: (len(p), 0), "this is the number of trials"),
        (
            lambda p: (alone(p), longest(p, "poisoning_rate", "seed", reduce=bool)),
            "this is the number of trainings",
        ),
        (
            lambda p: (alone(p), longest(p, "poisoning_rate", "seed", reduce=sum)),
            "holds those of two and four",
        ),
        (
            lambda p: (alone(p), longest(p, "poisoning_rate", "seed", "gamma")),
            "the filter comes after it",
        ),
        (lambda p: (alone(p), longest(p, "poisoning_rate")), "another seed is"),
        (lambda p: (alone(p), longest(p, "seed")), "another poisoning rate is"),
        (lambda p: (alone(p), 6 * 8), "nobody asks for more than four"),
        (lambda p: (alone(p), longest(p)), "this is one training"),
        (lambda p: (alone(p), alone(p)), r"the epochs shared is 152, it should be 44"),
        (lambda p: (152, 44), "for one trial"),
        (lambda p: (alone(p), 44 if len(p) > 3 else p[-1]["e1"]), "the longest first"),
    ],
)
def test_epochs(answer, message):
    with pytest.raises(Wrong, match=message):
        sweeps.epochs(answer)


def finished(table):
    return table[table.gamma != 0.1].groupby("gamma").ca


def changed(table):
    table["error"] = table.error.notna()
    return 0.02, 0.01


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda t: finished(t).mean().idxmax(), "return two gammas"),
        (
            lambda t: (finished(t).mean(), 0.01),
            r"gamma by the mean: the shape is \(4,\), it should be \(\)",
        ),
        (changed, "changes the table that it is given"),
        (lambda t: (t.groupby("gamma").ca.mean().idxmax(), 0.01), "gamma = 0.1 a trial has failed"),
        (lambda t: (0.02, t.groupby("gamma").ca.min().idxmax()), "gamma = 0.1 a trial has failed"),
        (lambda t: (finished(t).mean().max(), 0.01), "the mean CA itself"),
        (lambda t: (finished(t).max().idxmax(), 0.01), "best single seed"),
        (lambda t: (finished(t).mean().idxmin(), 0.01), r"\*lowest\* mean"),
        (
            lambda t: (finished(t).min().idxmax(), finished(t).mean().idxmax()),
            "the one by the mean comes first",
        ),
        (lambda t: (0.02, finished(t).min().max()), "this is a CA"),
        (lambda t: (0.02, finished(t).min().idxmin()), "worst seed of all"),
        (lambda t: (0.02, finished(t).mean().idxmax()), "favourite by the mean again"),
        (lambda t: (0.02, 0.002), "by the worst seed is 0.002, it should be 0.01"),
        (
            lambda t: (finished(t).mean().idxmax(), finished(t).min().idxmax()),
            "0.5 has failed once",
        ),
        (lambda t: (0.02, 0.01), "for other gammas"),
    ],
)
def test_favourites(answer, message):
    with pytest.raises(Wrong, match=message):
        sweeps.favourites(answer)


def sweeping(
    caught=Exception, skip=True, late=False, unique=True, retry=False, made=None, last=None
):
    """An answer that is right but for what is said."""

    def my_sweep(trial, points, key, records):
        kept = {} if late else records
        todo = [
            p
            for p in points
            if not skip or key(p) not in records or (retry and records[key(p)]["error"])
        ]
        for point in [p for i, p in enumerate(todo) if not unique or p not in todo[:i]]:
            try:
                kept[key(point)] = (
                    made(trial, point) if made else {"result": trial(point), "error": None}
                )
            except caught as error:
                kept[key(point)] = {"result": {}, "error": str(error)}
        records.update(kept)
        return last(records) if last else [records[key(point)] for point in points]

    return my_sweep


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            sweeping(caught=KeyError),
            "fails with ValueError: a trial that fails must not stop the others",
        ),
        (sweeping(caught=BaseException), "Ctrl-C does not stop the sweep"),
        (sweeping(late=True), "what was finished before an interruption is lost"),
        (sweeping(skip=False, unique=False), "runs again what has a record"),
        (sweeping(retry=True), "if only of a failure"),
        (sweeping(unique=False), "twice in the list is run twice"),
        (
            sweeping(made=lambda trial, point: trial(point)),
            "a finished trial's record is {'ca': 0.3}",
        ),
        (
            sweeping(last=lambda records: [*records.values()]),
            "records of all points in their order",
        ),
        (sweeping(last=lambda records: records), "records of all points in their order"),
        (
            lambda trial, p, key, records: sweeping()(trial, p, key, records) if len(p) > 2 else [],
            "earlier call",
        ),
    ],
)
def test_resuming(answer, message):
    with pytest.raises(Wrong, match=message):
        sweeps.resuming(answer)


def test_resuming_wants_a_failure_on_record(capsys):
    def forgetful(trial, points, key, records):
        for point in points:
            try:
                records[key(point)] = {"result": trial(point), "error": None}
            except ValueError:
                records[key(point)] = {"result": {}, "error": None}
        return [*records.values()]

    with pytest.raises(Wrong, match="no record that says why"):
        sweeps.resuming(forgetful)
    sweeps.resuming(sweeping())
    assert capsys.readouterr().out.startswith("Right. ")


def points_in_loops(grid, seeds):
    found = [{}]
    for name, values in [*grid.items(), ("seed", list(seeds))]:
        values = values if isinstance(values, list) else [values]
        found = [point | {name: value} for point in found for value in values]
    return found


def points_in_another_order(grid, seeds):
    return points_in_loops(grid, seeds)[::-1]


def epochs_of_sorted(points):
    chosen = {}
    for point in sorted(points, key=lambda point: point["e1"]):
        chosen[point["seed"], point["poisoning_rate"]] = point["e1"]
    return [alone(points), sum(chosen.values())]


def epochs_with_pandas(points):
    table = pandas.DataFrame(points)
    return table.e1.sum(), table.groupby(["poisoning_rate", "seed"]).e1.max().sum()


def epochs_with_numpy(points):
    return numpy.array([alone(points), longest(points, "poisoning_rate", "seed")])


def favourites_in_a_loop(table):
    values, failed = {}, set()
    for row in table.itertuples():
        values.setdefault(row.gamma, []).append(row.ca)
        if row.error is not None and row.error == row.error:
            failed.add(row.gamma)
    sound = {gamma: row for gamma, row in values.items() if gamma not in failed}
    by_mean = max(sound, key=lambda gamma: sum(sound[gamma]) / len(sound[gamma]))
    return [by_mean, max(sound, key=lambda gamma: min(sound[gamma]))]


def favourites_by_transform(table):
    failures = table.error.notna().groupby(table.gamma).transform("any")
    groups = table[~failures].groupby("gamma").ca.agg(["mean", "min"])
    return tuple(groups.idxmax())


def favourites_by_sorting(table):
    sound = table.groupby("gamma").filter(lambda rows: rows.error.isna().all())
    of_gamma = sound.groupby("gamma").ca
    return of_gamma.mean().sort_values().index[-1], of_gamma.min().sort_values().index[-1]


def sweep_in_two_loops(trial, points, key, records):
    for point in points:
        name = key(point)
        if name in records:
            continue
        records[name] = record = {"result": {}, "error": None}
        try:
            record["result"] = trial(point)
        except Exception as error:
            record["error"] = repr(error)
        except BaseException:
            del records[name]
            raise
    return tuple(records[key(point)] for point in points)


def sweep_with_setdefault(trial, points, key, records):
    def run(point):
        try:
            return {"result": trial(point), "error": None}
        except Exception as error:
            return {"result": {}, "error": f"{type(error).__name__}: {error}"}

    found = []
    for point in points:
        if key(point) not in records:
            records.setdefault(key(point), run(point))
        found.append(records[key(point)])
    return found


RIGHT_ANSWERS = {
    "points": [combined, points_in_loops, points_in_another_order],
    "epochs": [epochs_of_sorted, epochs_with_pandas, epochs_with_numpy],
    "favourites": [favourites_in_a_loop, favourites_by_transform, favourites_by_sorting],
    "resuming": [sweeping(), sweep_in_two_loops, sweep_with_setdefault],
}
