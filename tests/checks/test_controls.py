"""What the checks of controls say of wrong ones: those of all notebooks, made in the same ways."""

import inspect

import numpy
import pytest

from dlp_lib.checks import Wrong, controls

from .solutions import solved

EXERCISES = {}
for exercise in solved():
    if exercise.check.__module__ == controls.__name__:
        EXERCISES[exercise.check.__name__] = exercise
each_control = pytest.mark.parametrize("name", EXERCISES)


def parts(name: str) -> tuple:
    """The run of an exercise, its control, and the setting in which they differ."""
    names = {}
    exec(EXERCISES[name].source, names)
    run, control = names["run"], names["control"]
    (factor,) = [setting for setting in run if run[setting] != control[setting]]
    return run, control, factor


def another(value):
    return "something else" if isinstance(value, str) else value + 1


def wrong_answers(name: str) -> list[tuple]:
    """Wrong controls, each with what is told."""
    run, control, factor = parts(name)
    others = [setting for setting in run if setting != factor]
    first = others[0]
    found = [
        (run, "this is the run itself"),
        ({}, "the control has no setting"),
        ({factor: control[factor]}, "the control has no setting"),
        (control | {"another": 1}, "the run has no setting another"),
        (control | {first: another(run[first])}, rf"“{first}” has changed \(2 settings have"),
        (run | {factor: "a guess"}, f"“{factor}” is the right setting .*'a guess': "),
        (run | {factor: None}, f"“{factor}” is the right setting"),
        (run | {factor: [1, 2]}, f"“{factor}” is the right setting"),
        ([*control.items()], "a dictionary is wanted"),
        (None, "nothing yet"),
    ]
    for setting in others:
        answer = run | {setting: another(run[setting])}
        found.append((answer, f"“{setting}” has changed: "))
    return found


def right_answers(name: str) -> list[dict]:
    """The control in other forms."""
    _, control, _ = parts(name)
    in_capitals = {}
    as_arrays = {}
    for setting, value in control.items():
        is_text = isinstance(value, str)
        in_capitals[setting] = f" {value.upper()}" if is_text else float(value)
        as_arrays[setting] = value if is_text else numpy.array(value)
    return [control, dict(reversed(control.items())), in_capitals, as_arrays]


@each_control
def test_wrong_controls_are_refused(name):
    for answer, message in wrong_answers(name):
        with pytest.raises(Wrong, match=message):
            EXERCISES[name].check(answer)


def test_every_control_belongs_to_a_notebook():
    own = []
    for name, function in inspect.getmembers(controls, inspect.isfunction):
        if function.__module__ == controls.__name__ and not name.startswith("_"):
            own.append(name)
    assert sorted(own) == sorted(EXERCISES)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("random_suspects", "none", "there is no climb"),
        ("true_labels", "none", "trusted no more"),
        ("equal_cost", "stage 1", "ends after 20,000 passes"),
        ("equal_cost", "None", "has made no image passes"),
        ("without_attention", "attention", "leave out what is new in NAD"),
        ("without_unlearning", "SL", "leaves out fine-tuning as well"),
        ("without_unlearning", "SL, AU", "keeps what is in question"),
        ("with_labels", "none", "nothing is learned"),
    ],
)
def test_a_value_that_is_nearly_right_is_told_what_it_does(name, value, message):
    run, _, factor = parts(name)
    with pytest.raises(Wrong, match=message):
        EXERCISES[name].check(run | {factor: value})
