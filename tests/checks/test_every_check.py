"""What holds of the checks of all exercises, tried with the solutions of the notebooks.

A right answer may come in any form. A wrong one is told so in a sentence, and crashes no check.
"""

import copy
import importlib
import random
import re
from collections.abc import Callable

import numpy
import pytest
import torch
from torch import Tensor

from dlp_lib.checks import Wrong

from . import test_controls
from .mutating import mutants
from .solutions import solved

EXERCISES = {exercise.name: exercise for exercise in solved()}
FUNCTIONS = [name for name, exercise in EXERCISES.items() if callable(exercise.answer)]
each_check = pytest.mark.parametrize("name", EXERCISES)
each_function = pytest.mark.parametrize("name", FUNCTIONS)


def told(check: Callable, answer) -> str:
    """What the check says of a wrong answer."""
    with pytest.raises(Wrong) as caught:
        check(answer)
    return str(caught.value)


@each_check
def test_no_check_draws_from_the_global_streams(name, capsys):
    before = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1]  # noqa: NPY002
    EXERCISES[name].check(EXERCISES[name].answer)
    assert capsys.readouterr().out.startswith("Right. ")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert numpy.array_equal(numpy.random.get_state()[1], before[2])  # noqa: NPY002


# Mutants that are right as well: the lines that were changed
EQUIVALENT = {
    "quickstart.stop": ("reached = (accuracies <= 1 / n_classes).nonzero()[:, -1]",),
    "backdoor_attacks.hard_images": (
        "x = x + step / torch.autograd.grad(loss, x)[0].sign()",
        "x = x + step * torch.autograd.grad(loss, x)[-1].sign()",
    ),
    "active_unlearning.reestimate": ("for layer, momentum in zip(layers, kept, strict=False):",),
    "semi_supervised_finetuning.covered": (
        "covered = (pixel >= centre - side / 4) & (pixel < centre + side // 4)",
    ),
    "dlp_pipeline.defended": ("return ((asr < 0.1) & (ca > undefended - 0.02)).all(1)",),
    "dlp_pipeline.e1": ("for epoch in range(0, len(labels) + 1):",),
    "dlp_pipeline.chance": (
        "means = (signs * differences).mean(1).square()",
        "means = (signs * differences).sum(1).abs()",
        "return (means >= means[0] + 1e-09).double().mean()",
        "return (means >= means[0] - 1.3e-09).double().mean()",
        "return (means >= means[0] - 7e-10).double().mean()",
        "return (means >= means[-1] - 1e-09).double().mean()",
    ),
    "baselines.attention": ("maps = activations.pow(2).mean(1).flatten(1)",),
    "baselines.pruning": ("for channel in activations.sum(0).argsort():",),
    "baselines.anp_step": (
        "noise = eps / torch.autograd.grad(loss(mask), mask)[0].sign()",
        "noise = eps * torch.autograd.grad(loss(mask), mask)[-1].sign()",
        "return (mask.detach() - lr * torch.autograd.grad(total, mask)[-1]).clamp(0, 1)",
    ),
    "sweeps.points": (
        "return [dict(zip([*grid, 'seed'], chosen, strict=False)) for chosen in combinations]",
    ),
    "sweeps.epochs": (
        "longest[common] = max(longest.get(common, 1), point['e1'])",
        "longest[common] = max(longest.get(common, -1), point['e1'])",
    ),
    "architectures.weights": ("return kernel ** 2 * (c_in / groups) * c_out + 2 * c_out",),
    "architectures.multiply_adds": (
        "counts.append(layer.weight.numel() * output[-1, 0].numel())",
        "counts.append(layer.weight.numel() * output[0, 1].numel())",
        "counts.append(layer.weight.numel() * output[0, -1].numel())",
    ),
    "limits.best_case": ("members = n // classes", "trusted = min(n * gamma, members // 2)"),
}


@each_function
def test_mutants_of_the_solution_are_refused(name):
    exercise = EXERCISES[name]
    names = exercise.answer.__globals__
    accepted = []
    for line, code in mutants(exercise.source):
        own = dict(names)
        exec(compile(code, "<mutant>", "exec"), own)
        try:
            exercise.check(own[exercise.answer.__name__])
        except Wrong as wrong:
            assert len(str(wrong)) > 10
            continue
        accepted.append(line)
    assert accepted == list(EQUIVALENT.get(name, ()))


FROZEN = []
for name in FUNCTIONS:
    count = EXERCISES[name].answer.__code__.co_argcount
    FROZEN += [(name, place) for place in range(count)]
FROZEN.remove(("limits.best_case", 0))  # the number of images cancels


@pytest.mark.parametrize(("name", "place"), FROZEN)
def test_an_answer_with_a_fixed_argument_is_refused(name, place):
    """It uses, for one of its arguments, what it was given first: as a number in its code."""
    answer = EXERCISES[name].answer
    first = []

    def fixed(*arguments):
        if not first:
            value = arguments[place]
            first.append(value if callable(value) else copy.deepcopy(value))
        given = list(arguments)
        given[place] = first[0]
        return answer(*given)

    assert told(EXERCISES[name].check, fixed)


def change(value: Tensor) -> None:
    value.logical_not_() if value.dtype == torch.bool else value.detach().add_(1)


CHANGES = {
    Tensor: change,
    list: lambda value: value.append(value[0]),
    dict: lambda value: value.update(more=0),
}


@each_function
def test_an_answer_that_changes_what_it_is_given_is_refused(name):
    answer = EXERCISES[name].answer
    seen = []

    def changing(*arguments):
        result = each_part(lambda value: torch.as_tensor(value).clone())(answer(*arguments))
        for value in arguments:
            if type(value) in CHANGES and not seen and name != "sweeps.resuming":
                seen.append(value)
                CHANGES[type(value)](value)
        return result

    try:
        EXERCISES[name].check(changing)
    except Wrong as wrong:
        assert re.search(r"changes the \w+ that it is given: work on a copy", str(wrong))
    else:
        assert not seen


DRAWS = (lambda: torch.rand(1), random.random, lambda: numpy.random.rand(1))  # noqa: NPY002


@each_function
def test_an_answer_that_draws_random_numbers_is_refused(name):
    answer = EXERCISES[name].answer
    for draw in DRAWS:

        def drawing(*arguments, draw=draw):
            draw()
            return answer(*arguments)

        assert "drawing draws random numbers" in told(EXERCISES[name].check, drawing)


def fails(*arguments):
    raise ZeroDivisionError("division by zero")


NONSENSE = {
    "nothing": lambda *arguments: None,
    "dots": lambda *arguments: ...,
    "a word": lambda *arguments: "nonsense",
    "an empty list": lambda *arguments: [],
    "an empty tensor": lambda *arguments: torch.empty(0),
    "a list of unequal lists": lambda *arguments: [[1], [1, 2]],
    "a list of words": lambda *arguments: ["a", "b"],
    "nothing, twice": lambda *arguments: (None, None),
    "nothing, three times": lambda *arguments: [None] * 3,
    "nan": lambda *arguments: float("nan"),
    "a half": lambda *arguments: 0.4999,
    "a dictionary": lambda *arguments: {"a": 1},
    "a function": lambda *arguments: len,
    "a tensor of another shape": lambda *arguments: torch.zeros(1, 2, 3, 4, 5),
    "a complex number": lambda *arguments: 1j,
    "an error": fails,
    "other arguments": lambda: 0,
}


@each_function
def test_nonsense_is_refused_and_crashes_no_check(name):
    for nonsense in NONSENSE.values():
        assert len(told(EXERCISES[name].check, nonsense)) > 10


@each_function
def test_nonsense_is_refused_wherever_it_begins(name):
    """An answer that is right at first, and nonsense from some call on."""
    exercise = EXERCISES[name]
    calls = []

    def right(*arguments):
        calls.append(1)
        return exercise.answer(*arguments)

    exercise.check(right)
    for begin in range(1, len(calls)):
        for kind in ("a word", "an error", "nothing, twice", "nan"):
            made = []

            def later(*arguments, begin=begin, kind=kind, made=made):
                made.append(1)
                chosen = exercise.answer if len(made) <= begin else NONSENSE[kind]
                return chosen(*arguments)

            assert told(exercise.check, later)


@each_check
def test_what_is_no_answer_at_all_is_refused(name):
    for answer in (None, ..., 3, "text", {}, [1], torch.zeros(2)):
        assert len(told(EXERCISES[name].check, answer)) > 10


def each_part(convert: Callable) -> Callable:
    """Convert tensors and numbers, also those within a tuple."""

    def converted(result):
        if isinstance(result, tuple):
            return tuple(converted(part) for part in result)
        if isinstance(result, Tensor) or type(result) in (int, float):
            return convert(result)
        return result

    return converted


def as_numpy(value):
    return value.detach().numpy() if isinstance(value, Tensor) else numpy.float64(value)


def as_plain(value):
    return value.tolist() if isinstance(value, Tensor) else value


def as_list(result):
    return list(result) if isinstance(result, tuple) else result


FORMS = {
    "tensors": each_part(lambda value: torch.as_tensor(value)),
    "arrays": each_part(as_numpy),
    "lists and numbers": each_part(as_plain),
    "parts in a list": as_list,
}
# What an exercise asks for in so many words
ASKED_FOR = {
    "active_unlearning.bounded": "a number with a gradient",
    "backdoor_attacks.mixed": "8-bit images",
    "backdoor_attacks.wave": "8-bit images",
}


@each_function
def test_right_answers_may_have_any_form(name, capsys):
    answer = EXERCISES[name].answer
    for form, convert in FORMS.items():
        if name in ASKED_FOR and form in ("arrays", "lists and numbers"):
            continue
        EXERCISES[name].check(lambda *arguments, convert=convert: convert(answer(*arguments)))
        assert capsys.readouterr().out.startswith("Right. ")


def tried(name: str) -> tuple[list, list]:
    """The wrong answers to an exercise, each with what is told, and the right ones."""
    notebook, check = name.split(".")
    if check in test_controls.EXERCISES:
        return test_controls.wrong_answers(check), test_controls.right_answers(check)
    module = importlib.import_module(f".test_{notebook}", __package__)
    test = getattr(module, f"test_{check}")
    (marked,) = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return marked.args[1], module.RIGHT_ANSWERS[check]


@each_check
def test_enough_answers_are_tried_by_hand(name):
    """At least four wrong ones, each with what is told, and three right ones."""
    wrong, right = tried(name)
    assert len(wrong) >= 4
    assert len(right) >= 3


@each_check
def test_right_answers_are_accepted(name, capsys):
    for answer in tried(name)[1]:
        EXERCISES[name].check(answer)
        assert capsys.readouterr().out.startswith("Right. ")
