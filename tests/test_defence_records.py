"""Of every defence: a second run reads what the first recorded, and an edited one does not."""

import copy
import sys
from dataclasses import replace

import pytest
from quick_defences import QUICK
from torch import nn

from dlp_lib import Context, Runtime, Store, evaluate
from dlp_lib.defences import abl, anp, dbd, fp, mcr, mixmatch, nad, simclr

every = pytest.mark.parametrize("name", QUICK)


class Progress(list):
    """A progress callback that remembers which blocks were computed."""

    def __call__(self, stage, block, blocks, row):
        self.append((stage, block))


class CountsPasses(nn.Module):
    """A model that keeps something of its forward passes, as users' models may."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.passes = 0

    def features(self, x):
        self.passes += 1
        return self.model.features(x)

    def head(self, features):
        return self.model.head(features)

    def forward(self, x):
        return self.head(self.features(x))


@pytest.fixture(scope="module")
def recorded(case):
    """A function that has every quick method recorded once; it returns a context of that store."""
    store = Store()
    done = set()

    def record(name):
        if name not in done:
            case.defend(QUICK[name], Context(Runtime(0), store))
            done.add(name)
        return Context(Runtime(0), store, Progress())

    return record


@every
def test_a_second_run_reads_what_the_first_one_recorded(name, case, tmp_path, same_state):
    progress = Progress()
    context = Context(Runtime(0), Store(tmp_path), progress)
    first = case.defend(QUICK[name], context)
    assert progress
    progress.clear()
    second = case.defend(QUICK[name], context)
    assert not progress
    assert same_state(first.model, second.model)


@every
def test_what_a_models_passes_leave_in_it_does_not_train_it_again(name, case, same_state):
    untrained = CountsPasses(copy.deepcopy(case.untrained))
    trained = CountsPasses(copy.deepcopy(case.trained))
    progress = Progress()
    context = Context(Runtime(0), progress=progress)
    first = case.defend(QUICK[name], context, untrained, trained)
    assert progress
    progress.clear()
    evaluate(untrained, case.test)
    evaluate(trained, case.test)
    second = case.defend(QUICK[name], context, untrained, trained)
    assert not progress
    assert same_state(first.model, second.model)


@every
def test_another_seed_is_another_run(name, case, recorded, same_state):
    one = case.defend(QUICK[name], recorded(name))
    other = case.defend(QUICK[name], Context(Runtime(1)))
    assert not same_state(one.model, other.model)


@pytest.mark.parametrize(
    ("name", "owner", "function"),
    [
        ("FP", fp.Pruned, "features"),
        ("MCR", mcr, "bezier"),
        ("NAD", nad, "attention"),
        ("NAD", nad, "captured"),
        ("ABL", abl, "bounded"),
        ("ABL", sys.modules["dlp_lib.defences.unlearn"], "cross_entropy"),
        ("ANP", anp, "adversary"),
        ("ANP", anp, "perturbed"),
        ("DBD", simclr, "nt_xent"),
        ("DBD", simclr, "view"),
        ("DBD", dbd, "symmetric_cross_entropy"),
        ("DBD", mixmatch, "mixup"),
        ("DBD", mixmatch, "sharpen"),
    ],
)
def test_an_edited_method_never_answers_from_the_store(
    name, owner, function, case, recorded, monkeypatch
):
    context = recorded(name)
    original = getattr(owner, function)

    def edited(*inputs):
        return original(*inputs)

    monkeypatch.setattr(owner, function, edited)
    case.defend(QUICK[name], context)
    assert context.progress


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ANP", {"alpha": 0.3}),
        ("ANP", {"eps": 0.3}),
        ("ANP", {"inner": 2}),
        ("NAD", {"betas": (500.0, 1000.0, 1001.0)}),
        ("NAD", {"power": 1}),
        ("ABL", {"bound": 0.4}),
        ("ABL", {"per_sample": True}),
        ("FP", {"allowed": 0.999}),
    ],
)
def test_other_settings_of_a_loss_are_another_run(name, settings, case, recorded):
    context = recorded(name)
    case.defend(replace(QUICK[name], **settings), context)
    assert context.progress


@pytest.mark.parametrize("name", ["ANP", "MCR"])
def test_what_only_chooses_among_results_trains_nothing_anew(name, case, recorded):
    context = recorded(name)
    case.defend(replace(QUICK[name], allowed=0.5), context)
    assert not context.progress
