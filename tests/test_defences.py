"""What holds for every defence: its inputs, its measures, what it refuses, and divergence."""

import contextlib
import copy
import functools
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import pytest
import torch
from quick_defences import QUICK, SHORT
from torch import nn
from torch.nn import functional

from dlp_lib import (
    BadNets,
    Context,
    Diverged,
    FixMatch,
    Runtime,
    Split,
    Supervised,
    Unlearn,
    after_each,
    evaluate,
    fixmatch,
    recipes,
    supervised,
    unlearn,
)
from dlp_lib.defences import (
    ABL,
    ANP,
    FP,
    MCR,
    NAD,
    SCE,
    DefenceResult,
    MixMatch,
    SimCLR,
    Training,
    clean_part,
    defend,
)
from dlp_lib.defences.clean import held_out
from dlp_lib.defences.finetuning import finetune

every = pytest.mark.parametrize("name", QUICK)


class Outcome(NamedTuple):
    """A defence's result, and the models that it was given, as they were before."""

    result: DefenceResult
    untrained: nn.Module
    trained: nn.Module


@pytest.fixture(scope="module")
def outcome(case):
    """A function that runs a quick method, and knows its outcome when it is asked again."""

    @functools.cache
    def run(name):
        untrained = copy.deepcopy(case.untrained)
        trained = copy.deepcopy(case.trained)
        return Outcome(case.defend(QUICK[name]), untrained, trained)

    return run


@every
def test_a_defence_leaves_its_inputs_alone_and_returns_a_model(name, case, outcome, same_state):
    result, untrained, trained = outcome(name)
    assert same_state(untrained, case.untrained)
    assert same_state(trained, case.trained)
    metrics = evaluate(result.model, case.test, BadNets())
    assert 0 <= metrics.ca <= 1
    assert not result.model.training
    assert all(weight.isfinite().all() for weight in result.model.state_dict().values())
    assert result.total("images") > 0
    assert result.costs() == {"images": result.total("images"), "seconds": result.total("seconds")}


@pytest.mark.parametrize("name", ["MCR", "NAD", "FP"])
def test_a_runtime_that_compiles_comes_to_the_same(name, case, outcome, monkeypatch, same_state):
    """What cannot be compiled is left as it is. Here the compiler only traces the model."""
    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **_: original(model, backend="eager"))
    plain = outcome(name).result
    compiled = case.defend(QUICK[name], Context(Runtime(0, compiled=True)))
    assert same_state(plain.model, compiled.model)


@every
def test_after_each_measures_for_the_last_stage_what_the_run_returned(name, case, outcome):
    result = outcome(name).result
    measured = after_each(result, case.test, BadNets())
    assert list(measured) == list(result.stages)
    *_, last = measured.values()
    assert last == evaluate(result.model, case.test, BadNets())


def test_after_each_measures_the_weights_that_an_earlier_stage_left(case, outcome):
    result = outcome("MCR").result
    model = copy.deepcopy(case.trained)
    result.stages["MCR end"].load(model)
    assert after_each(result, case.test)["MCR end"] == evaluate(model, case.test)


@pytest.mark.parametrize(
    ("name", "stages"),
    [("FP", ["FP"]), ("ANP", ["ANP"]), ("MCR", ["MCR"]), ("NAD", ["NAD"]), ("ABL", ["AU"])],
)
def test_stages_of_no_epochs_can_be_measured(name, stages, case):
    """Stages before the last one are left out, as the result does not hold the weights."""
    nothing = replace(SHORT, epochs=0)
    settings = {
        "FP": {"training": nothing},
        "ANP": {"training": nothing},
        "MCR": {"end": nothing, "curve": nothing},
        "NAD": {"teacher": nothing, "student": nothing},
        "ABL": {"isolation": nothing, "training": nothing, "unlearn_epochs": 0},
    }
    result = case.defend(replace(QUICK[name], **settings[name]))
    measured = after_each(result, case.test, BadNets())
    assert list(measured) == stages
    assert measured[stages[0]] == evaluate(result.model, case.test, BadNets())
    assert result.total("images") == 0


def test_a_stage_of_no_epochs_has_the_weights_of_the_stage_before_it(case):
    method = replace(QUICK["ABL"], training=replace(SHORT, epochs=0))
    measured = after_each(case.defend(method), case.test, BadNets())
    assert list(measured) == ["isolation", "ABL training", "AU"]
    assert measured["ABL training"] == measured["isolation"]


TOO_FAST = replace(SHORT, lr=1e30)


@pytest.mark.parametrize(
    ("name", "settings", "stage"),
    [
        ("FP", {"training": TOO_FAST}, "FP"),
        ("MCR", {"end": TOO_FAST}, "MCR end"),
        ("MCR", {"curve": TOO_FAST}, "MCR"),
        ("NAD", {"teacher": TOO_FAST}, "NAD teacher"),
        ("NAD", {"student": TOO_FAST}, "NAD"),
        ("ABL", {"isolation": TOO_FAST}, "ABL isolation"),
        ("ABL", {"training": TOO_FAST}, "ABL training"),
        ("DBD", {"simclr": SimCLR(batch=64, epochs=2, lr=1e30)}, "SimCLR"),
        ("DBD", {"sce": SCE(epochs=3, lr=1e38)}, "SCE"),
        ("DBD", {"mixmatch": MixMatch(epochs=1, lr=1e30)}, "MixMatch"),
        ("DLP", {"supervised": Supervised(lr=1e30)}, "SL"),
    ],
)
def test_a_stage_that_diverges_is_named(name, settings, stage, case):
    with pytest.raises(Diverged, match=rf"^{stage} diverged in block \d"):
        case.defend(replace(QUICK[name], **settings))


def test_an_ascent_may_diverge(case):
    unlearning = Unlearn(lr=1e30, reestimate=50, stop=False)
    result = case.defend(replace(QUICK["ABL"], unlearning=unlearning))
    assert result.stages["AU"].history[-1]["diverged"]
    assert all(weight.isfinite().all() for weight in result.model.parameters())


def test_a_method_gets_what_its_threat_model_allows():
    @dataclass(frozen=True)
    class OnTrained:
        sees: ClassVar[str] = "clean"
        starts: ClassVar[str] = "trained"

        def run(self, model, data, context=None):
            return model, data

    class OnUntrained(OnTrained):
        sees = "tampered"
        starts = "untrained"

    inputs = ("untrained", "trained", "tampered", "clean", None)
    assert defend(OnTrained(), *inputs) == ("trained", "clean")
    assert defend(OnUntrained(), *inputs) == ("untrained", "tampered")


@pytest.mark.parametrize("dataset", recipes.RECIPES)
def test_every_method_of_a_recipe_states_its_threat_model(dataset):
    recipe = recipes.RECIPES[dataset]
    for method in (*recipe.defences.values(), recipe.dlp):
        assert method.sees in ("tampered", "clean")
        assert method.starts in ("untrained", "trained")


def test_clean_images_leave_the_test_set(shapes):
    train, test = shapes
    clean, rest = clean_part(train, test, Context())
    assert len(clean) == 15
    assert len(rest) == len(test) - 15
    divided = [bytes(image.numpy()) for image in torch.cat([clean.images, rest.images])]
    assert sorted(divided) == sorted(bytes(image.numpy()) for image in test.images)
    training, validation = held_out(clean, Context())
    assert (len(training), len(validation)) == (12, 3)
    with pytest.raises(ValueError, match=r"share=0.5: 150 clean images, of a test set of 200"):
        clean_part(train, test, Context(), 0.5)
    with pytest.raises(ValueError, match="4 clean images; at least 5"):
        held_out(clean.subset(slice(4)), Context())


def test_the_learning_rate_drops_after_the_epochs_that_are_named(case, monkeypatch):
    batch_sizes = []
    rates = []

    def loss(model, batch):
        images, labels = batch
        batch_sizes.append(len(labels))
        return functional.cross_entropy(model(images), labels)

    class Step(torch.optim.SGD):
        def step(self):
            rates.append(self.param_groups[0]["lr"])
            return super().step()

    monkeypatch.setattr(torch.optim, "SGD", Step)
    config = Training(lr=0.1, batch=16, epochs=3, drops=(1, 2))
    finetune("test", copy.deepcopy(case.trained), case.clean, config, Context(), loss)
    assert batch_sizes == [16, 16, 16, 12] * 3  # of 60 images
    assert rates == pytest.approx([0.1] * 4 + [0.01] * 4 + [0.001] * 4)


@pytest.mark.parametrize(
    ("method", "setting"),
    [
        (FP, {"allowed": 0}),
        (MCR, {"allowed": 1.5}),
        (MCR, {"points": 0}),
        (NAD, {"betas": ()}),
        (NAD, {"power": 0}),
        (ABL, {"isolated": 0}),
        (ABL, {"bound": -1}),
        (ABL, {"unlearn_epochs": -1}),
        (ANP, {"inner": 0}),
        (ANP, {"eps": -1}),
        (ANP, {"alpha": 2}),
        (Training, {"epochs": -1}),
        (Training, {"lr": 0}),
    ],
)
def test_bad_settings_are_refused(method, setting):
    (name,) = setting
    with pytest.raises(ValueError, match=f"{name}="):
        method(**setting)


@pytest.fixture
def moves(monkeypatch):
    """Where models and data were moved to; nothing is moved, as there is one device here."""
    places = {"model": [], "data": []}

    def no_model_moves(self, device, *_, **__):
        places["model"].append(device)
        return self

    def no_data_moves(self, device):
        places["data"].append(device)
        return self

    monkeypatch.setattr(torch.nn.Module, "to", no_model_moves)
    monkeypatch.setattr(Split, "to", no_data_moves)
    monkeypatch.setattr(Runtime, "global_stream", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(Runtime, "autocast", lambda _: contextlib.nullcontext())
    monkeypatch.setattr("dlp_lib.training.loop.environment", lambda _: {})
    return places


def elsewhere():
    """A context of a GPU, on a machine that has none."""
    runtime = Runtime(0)
    object.__setattr__(runtime, "device", "cuda:1")
    return Context(runtime)


@every
def test_a_defence_moves_model_and_data_to_the_contexts_device(name, case, moves):
    case.defend(QUICK[name], elsewhere())
    assert moves["model"][0] == "cuda:1"
    assert moves["data"][0] == "cuda:1"


STAGES = {
    "SL": lambda model, split, context: supervised(model, split, 1, Supervised(), context),
    "AU": lambda model, split, context: unlearn(
        model, split, torch.arange(20), 1, Unlearn(), context
    ),
    "ASSFT": lambda model, split, context: fixmatch(
        model, split, torch.arange(20), FixMatch(steps=1, batch=4, mu=1), context
    ),
}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_moves_model_and_data_to_the_contexts_device(name, case, moves):
    STAGES[name](copy.deepcopy(case.untrained), case.tampered, elsewhere())
    assert moves["model"][0] == "cuda:1"
    assert moves["data"][0] == "cuda:1"


def test_clean_images_come_to_the_contexts_device(case, moves):
    clean_part(case.tampered, case.test, elsewhere())
    assert moves["data"] == ["cuda:1"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_names_a_model_that_is_none(name, case):
    with pytest.raises(TypeError, match="model='WRN-16-1': allowed is Module"):
        STAGES[name]("WRN-16-1", case.tampered, Context(Runtime(0)))
