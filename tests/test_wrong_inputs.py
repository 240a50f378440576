"""Wrong inputs: each error names the parameter, what was given and what is allowed, at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from quick_defences import QUICK
from torch import nn

from dlp_lib import (
    DLP,
    FILTERS,
    LCA,
    SGD,
    SIG,
    Attack,
    BadNets,
    Blended,
    Context,
    FixMatch,
    Outputs,
    Runtime,
    Split,
    Supervised,
    TrojanNN,
    Unlearn,
    WaNet,
    evaluate,
    fixmatch,
    logits_and_features,
    poison,
    predict,
    prepare,
    select,
    supervised,
    unlearn,
    wrn_16_1,
)
from dlp_lib.defences import (
    ABL,
    ANP,
    DBD,
    FP,
    MCR,
    NAD,
    SCE,
    MixMatch,
    SimCLR,
    Training,
    agreed_e1,
    agreement,
    clean_part,
)

INF = math.inf
NAN = math.nan


class Given(NamedTuple):
    """What a caller has at hand."""

    model: nn.Module  # untrained, of ten classes
    clean: Split  # 300 images of 16×16, 30 a class
    tampered: Split
    context: Context


class Floats(Attack):
    def trigger(self, images):
        return images / 255


class Smaller(Attack):
    def trigger(self, images):
        return images[..., 1:, 1:]


class InPlace(Attack):
    def trigger(self, images):
        images[..., 0, 0] = 255
        return images


def small(given: Given, per_class: int) -> Split:
    """The first images of every class."""
    rows = [
        (given.clean.labels == label).nonzero()[:per_class, 0]
        for label in range(len(given.clean.classes))
    ]
    return given.clean.subset(torch.cat(rows))


def scores(given: Given, n: int = 300) -> torch.Tensor:
    return torch.linspace(0, 1, n)


SETTINGS = [  # a call, and what its message says
    (lambda: SGD(lr=INF), "lr=inf: allowed are finite numbers > 0"),
    (lambda: SGD(lr="0.1"), "lr='0.1': allowed are finite numbers > 0"),
    (lambda: SGD(lr=None), "lr=None: allowed are finite numbers > 0"),
    (lambda: SGD(lr=True), "lr=True: allowed are finite numbers > 0"),
    (lambda: SGD(lr=10**400), "lr=an object of type int: allowed are finite numbers > 0"),
    (lambda: SGD(momentum=1), "momentum=1: allowed are finite numbers ≥ 0 and < 1"),
    (lambda: SGD(momentum=0, nesterov=True), "momentum=0.0: allowed with nesterov"),
    (lambda: SGD(nesterov="no"), "nesterov='no': allowed are True and False"),
    (lambda: SGD(weight_decay=INF), "weight_decay=inf: allowed are finite numbers ≥ 0"),
    (lambda: SGD(batch=None), "batch=None: allowed are whole numbers (int) ≥ 2"),
    (lambda: SGD(batch="64"), "batch='64': allowed are whole numbers (int) ≥ 2"),
    (lambda: Supervised(augment="no"), "augment='no': allowed are True and False"),
    (lambda: Training(augment="no"), "augment='no': allowed are True and False"),
    (lambda: Training(epochs=-1), "epochs=-1: allowed are whole numbers (int) ≥ 0"),
    (lambda: Training(drops=2), "drops=2: allowed is a tuple, such as (2,)"),
    (lambda: Training(drops="2"), "drops='2': allowed is a tuple, such as (2,)"),
    (lambda: Training(drops=(2, None)), "drops[1]=None: allowed are whole numbers (int) ≥ 1"),
    (lambda: FixMatch(batch=8.0), "batch=8.0: allowed are whole numbers (int) ≥ 2"),
    (lambda: FixMatch(steps=INF), "steps=inf: allowed are whole numbers (int) ≥ 0"),
    (lambda: FixMatch(tau="0.9"), "tau='0.9': allowed are finite numbers ≥ 0 and ≤ 1"),
    (lambda: FixMatch(lambda_u=INF), "lambda_u=inf: allowed are finite numbers ≥ 0"),
    (lambda: Unlearn(batch=16.5), "batch=16.5: allowed are whole numbers (int) ≥ 2"),
    (lambda: Unlearn(stop="no"), "stop='no': allowed are True and False"),
    (lambda: MixMatch(alpha=None), "alpha=None: allowed are finite numbers > 0"),
    (lambda: SimCLR(temperature=INF), "temperature=inf: allowed are finite numbers > 0"),
    (lambda: SCE(beta=NAN), "beta=nan: allowed are finite numbers ≥ 0"),
    (lambda: DLP(e1=True), "e1=True: allowed are whole numbers (int) ≥ 1"),
    (lambda: DLP(order=["AU", "SL"]), "order=['AU', 'SL']: allowed are ('SL',), "),
    (lambda: DLP(quota=["per class"]), "quota=['per class']: allowed are 'per class', 'total'"),
    (lambda: DLP(unlearn=None), "unlearn=None: allowed is Unlearn"),
    (lambda: DLP(unlearn=FixMatch()), "unlearn=an object of type FixMatch: allowed is Unlearn"),
    (lambda: DLP(fixmatch={"mu": 3}), "fixmatch={'mu': 3}: allowed is FixMatch"),
    (lambda: DLP(supervised="fast"), "supervised='fast': allowed is Supervised"),
    (lambda: ABL(bound=NAN), "bound=nan: allowed are finite numbers ≥ 0"),
    (lambda: ABL(unlearn_epochs="5"), "unlearn_epochs='5': allowed are whole numbers (int) ≥ 0"),
    (lambda: ABL(isolated="0.01"), "isolated='0.01': allowed are fractions between 0 and 1"),
    (lambda: ABL(training=None), "training=None: allowed is Training"),
    (lambda: ANP(eps=NAN), "eps=nan: allowed are finite numbers ≥ 0"),
    (lambda: ANP(eps="0.4"), "eps='0.4': allowed are finite numbers ≥ 0"),
    (lambda: FP(allowed=None), "allowed=None: allowed are fractions between 0 and 1"),
    (lambda: MCR(points=2.5), "points=2.5: allowed are whole numbers (int) ≥ 1"),
    (lambda: MCR(curve=None), "curve=None: allowed is Training"),
    (lambda: NAD(betas=(500.0, NAN)), "betas[1]=nan: allowed are finite numbers ≥ 0"),
    (lambda: NAD(betas=500), "betas=500: allowed is a tuple, such as (2,)"),
    (lambda: NAD(power="2"), "power='2': allowed are whole numbers (int) ≥ 1"),
    (lambda: DBD(trusted=1), "trusted=1: allowed are fractions between 0 and 1"),
    (lambda: DBD(mixmatch=FixMatch()), "mixmatch=an object of type FixMatch: allowed is MixMatch"),
    (lambda: BadNets(patch="3"), "patch='3': allowed are whole numbers (int) ≥ 1"),
    (lambda: Blended(alpha="0.2"), "alpha='0.2': allowed are finite numbers > 0 and ≤ 1"),
    (lambda: Blended(pattern_seed=2**32), "pattern_seed=4294967296: allowed are whole numbers"),
    (lambda: SIG(frequency=INF), "frequency=inf: allowed are finite numbers > 0"),
    (lambda: SIG(delta=None), "delta=None: allowed are finite numbers > 0 and ≤ 255"),
    (lambda: LCA(step=INF), "step=inf: allowed are finite numbers > 0"),
    (lambda: LCA(step="1"), "step='1': allowed are finite numbers > 0"),
    (lambda: TrojanNN(lr=INF), "lr=inf: allowed are finite numbers > 0"),
    (lambda: TrojanNN(activation=None), "activation=None: allowed are finite numbers > 0"),
    (lambda: WaNet(strength=INF), "strength=inf: allowed are finite numbers > 0"),
    (lambda: Context(runtime="cuda"), "runtime='cuda': allowed is Runtime"),
    (lambda: Context(store="folder"), "store='folder': allowed is Store"),
    (lambda: Context(progress=True), "progress=True: allowed is a function"),
    (lambda: Runtime(seed=-1), "seed=-1: allowed are whole numbers (int) ≥ 0"),
    (lambda: Runtime(compiled="no"), "compiled='no': allowed are True and False"),
    (lambda: WaNet(pattern_seed="1"), "pattern_seed='1': allowed are whole numbers (int) ≥ 0"),
]


@pytest.mark.parametrize(("call", "message"), SETTINGS, ids=[message for _, message in SETTINGS])
def test_a_wrong_setting_is_refused_when_it_is_made(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value).startswith(message)


def dlp(**changes) -> DLP:
    return replace(QUICK["DLP"], **changes)


def run(method, given: Given, **changes):
    """Run a method on what is given, with some of it replaced."""
    data = "tampered" if method.sees == "tampered" else "clean"
    arguments = {"model": given.model, data: getattr(given, data), "context": given.context}
    return method.run(**{**arguments, **changes})


def learn(given: Given, **changes):
    arguments = {"epochs": 1, "config": Supervised(), **given._asdict(), **changes}
    del arguments["clean"]
    return supervised(**arguments)


def ascend(given: Given, **changes):
    arguments = {"epochs": 1, "config": Unlearn(), **given._asdict(), **changes}
    arguments.setdefault("suspected", torch.arange(3))
    del arguments["clean"]
    return unlearn(**arguments)


def tune(given: Given, **changes):
    arguments = {"config": FixMatch(), **given._asdict(), **changes}
    arguments.setdefault("trusted", torch.arange(3))
    del arguments["clean"]
    return fixmatch(**arguments)


CALLS = [  # what is called on what is given, and what its message says
    (lambda g: run(dlp(gamma=0.001), g), "gamma=0.001 selects no sample of 300"),
    (
        lambda g: run(dlp(gamma=0.97), g),
        "gamma=0.97 suspects 291 samples of 300, which leaves 9 to trust for 10 classes",
    ),
    (
        lambda g: run(dlp(exclude_easiest=0.999), g),
        "exclude_easiest=0.999: without 299 samples of 300",
    ),
    (lambda g: run(dlp(), g, tampered=(g.tampered, None)), "tampered=an object of type tuple"),
    (lambda g: run(dlp(), g, context=Runtime(0)), "context=an object of type Runtime"),
    (lambda g: run(dlp(), g, model="WRN-16-1"), "model='WRN-16-1': allowed is Module"),
    (
        lambda g: run(replace(QUICK["ABL"], isolated=0.001), g),
        "isolated=0.001: no sample of 300; allowed is at least 0.00333",
    ),
    (
        lambda g: run(replace(QUICK["ABL"], isolated=0.999), g),
        "isolated=0.999: 299 samples of 300; allowed is what leaves 2 or more",
    ),
    (
        lambda g: run(replace(QUICK["DBD"], trusted=0.001), g),
        "trusted=0.001: no sample of 300; allowed is at least 0.00333",
    ),
    (lambda g: run(QUICK["FP"], g, clean=g.clean.subset(slice(4))), "clean: 4 clean images"),
    (lambda g: run(replace(QUICK["NAD"], betas=(1.0,) * 9), g), "betas: 9 are given"),
    (lambda g: run(QUICK["FP"], g, model=nn.Sequential(g.model)), "Sequential lacks features"),
    (lambda g: run(QUICK["DBD"], g, model=nn.Sequential(g.model)), "Sequential lacks features"),
    (
        lambda g: select(scores(g, 299), g.tampered, 0.1),
        "suspicion: of shape (299,); allowed is (300,)",
    ),
    (
        lambda g: select(scores(g) * NAN, g.tampered, 0.1),
        "suspicion: 300 of 300 scores are NaN; allowed are numbers",
    ),
    (lambda g: select(scores(g).tolist(), g.tampered, 0.1), "suspicion=an object of type list"),
    (lambda g: select(scores(g), g.tampered, "0.1"), "gamma='0.1': allowed are fractions"),
    (lambda g: agreement([], g.tampered, 0.1), "suspicions: there are none; allowed are scores"),
    (
        lambda g: agreement([scores(g), scores(g, 3)], g.tampered, 0.1),
        "suspicions of epoch 2: of shape (3,); allowed is (300,)",
    ),
    (
        lambda g: agreed_e1(None, g.tampered, 0.1, threshold=98),
        "threshold=98: allowed are finite numbers > 0 and ≤ 1",
    ),
    (lambda g: agreed_e1(None, g.tampered, 0.1), "stage=None: allowed is Stage"),
    (lambda g: evaluate(g.model, g.clean, Floats()), "Floats.trigger returned torch.float32 of"),
    (lambda g: evaluate(g.model, g.clean, Smaller()), "Smaller.trigger returned torch.uint8 of"),
    (lambda g: evaluate(g.model, g.clean, BadNets), "attack=<class 'dlp_lib.attacks.badnets."),
    (lambda g: evaluate(wrn_16_1(3, Runtime(0)), g.clean), "model: it tells 3 classes apart"),
    (lambda g: evaluate(None, g.clean), "model=None: allowed is Module"),
    (lambda g: evaluate(g.model, g.clean, BadNets(target=True)), "target=True: allowed are the"),
    (lambda g: poison(g.clean, Floats(), 0.1, g.context), "Floats.tamper returned torch.float32"),
    (lambda g: poison(g.clean, Smaller(), 0.1, g.context), "Smaller.tamper returned torch.uint8"),
    (lambda g: poison(g.clean, BadNets, 0.1, g.context), "attack=<class 'dlp_lib.attacks."),
    (lambda g: poison(g.clean, BadNets(), NAN, g.context), "poisoning_rate=nan: allowed are"),
    (lambda g: poison(g.clean, BadNets(target=True), 0.1, g.context), "target=True: allowed are"),
    (
        lambda g: poison(g.clean, BadNets(), 0.1, Runtime(0)),
        "context=an object of type Runtime: allowed",
    ),
    (
        lambda g: prepare(TrojanNN(neurons=65), g.clean, g.context),
        "neurons=65: the surrogate has 64, allowed are 1 to 64",
    ),
    (lambda g: prepare(LCA(), g.clean, g.context, "WRN"), "surrogate='WRN': allowed is Module"),
    (lambda g: prepare(BadNets, g.clean, g.context), "attack=<class 'dlp_lib.attacks."),
    (lambda g: predict(g.model, g.clean.images / 255), "images: torch.float32 of shape (300, 3"),
    (lambda g: predict(g.model, g.clean), "images: an object of type Split; allowed is"),
    (
        lambda g: prepare(LCA(), g.clean, g.context, wrn_16_1(3, Runtime(0))),
        "surrogate: it tells 3",
    ),
    (lambda g: learn(g, model=wrn_16_1(3, Runtime(0))), "model: it tells 3 classes apart; allowed"),
    (lambda g: learn(g, tampered=(g.tampered, None)), "tampered=an object of type tuple: allowed"),
    (lambda g: ascend(g, context=Runtime(0)), "context=an object of type Runtime: allowed is"),
    (lambda g: tune(g, model="WRN-16-1"), "model='WRN-16-1': allowed is Module"),
    (lambda g: learn(g, epochs=-1), "epochs=-1: allowed are whole numbers (int) ≥ 0"),
    (lambda g: learn(g, config=FixMatch()), "config=an object of type FixMatch: allowed is"),
    (lambda g: learn(g, probe=torch.tensor([300])), "probe: indices from 300 to 300; allowed are"),
    (lambda g: ascend(g, epochs=2.0), "epochs=2.0: allowed are whole numbers (int) ≥ 0"),
    (lambda g: ascend(g, suspected=torch.tensor([]).long()), "suspected: there are none; allowed"),
    (lambda g: ascend(g, suspected=torch.ones(300) > 0), "suspected: torch.bool of shape (300,)"),
    (lambda g: tune(g, trusted=torch.arange(300)), "trusted: all 300 samples; allowed is to leave"),
    (lambda g: tune(g, config=None), "config=None: allowed is FixMatch"),
    (lambda g: clean_part(g.clean, g.clean, g.context, 0.9), "share=0.9: 270 clean images"),
]


@pytest.fixture
def given(model, shapes, tampered):
    progress_calls = []
    context = Context(Runtime(0), progress=lambda *call: progress_calls.append(call))
    yield Given(model, shapes[0], tampered[0], context)
    assert progress_calls == []


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_a_wrong_call_is_refused_before_any_work(call, message, given):
    with pytest.raises((ValueError, TypeError)) as caught:
        call(given)
    text = str(caught.value)
    assert text.startswith(message)
    assert any(word in text for word in ("allowed", "at least", "at most", "lacks"))


def test_there_are_sixty_and_more():
    assert len(SETTINGS) + len(CALLS) >= 60


class Bad(nn.Module):
    """A model of ten classes that does something else in one way."""

    def __init__(self, logits: Callable):
        super().__init__()
        self.layer = nn.Linear(3, 10)
        self.logits = logits

    def features(self, x):
        return x.mean((2, 3))

    def head(self, features):
        return self.layer(features)

    def forward(self, x):
        return self.logits(self.head(self.features(x)))


def frozen(logits):
    return Bad(lambda x: x).requires_grad_(False)


def lazy(logits):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))


MODELS = {
    "other classes": (lambda: Bad(lambda x: x[:, :3]), "it tells 3 classes apart; allowed are the"),
    "a tuple": (lambda: Bad(lambda x: (x, x)), "Bad returned an object of type tuple: allowed"),
    "a picture": (lambda: Bad(lambda x: x[..., None]), r"shape \(4, 10, 1\): allowed is"),
    "an error": (lambda: Bad(lambda x: x @ x), r"Bad cannot take images of shape \(4, 3, 16, 16\)"),
    "whole numbers": (lambda: Bad(lambda x: x.long()), "Bad returned torch.int64 of shape"),
    "without shapes": (lambda: lazy(None), "weights without a shape; pass images through it once"),
    "nothing": (lambda: 3, "model=3: allowed is Module"),
}


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("kind", MODELS)
def test_every_defence_refuses_a_model_that_cannot_serve(name, kind, given):
    make, message = MODELS[kind]
    with pytest.raises((ValueError, TypeError), match=f"{message}|lacks features"):
        run(QUICK[name], given, model=make())


@pytest.mark.parametrize("name", [name for name in QUICK if name != "ANP"])
def test_a_frozen_model_cannot_learn(name, given):
    with pytest.raises(ValueError, match="no weight that requires a gradient"):
        run(QUICK[name], given, model=frozen(None))


@pytest.mark.parametrize("name", QUICK)
def test_every_defence_needs_gradients_and_images(name, given):
    with torch.no_grad(), pytest.raises(ValueError, match="gradients are off"):
        run(QUICK[name], given)
    data = QUICK[name].sees
    one = getattr(given, data).subset(slice(1))
    with pytest.raises(ValueError, match=f"{data}: a set of 1 images; at least 2 are needed"):
        run(QUICK[name], given, **{data: one})
    with pytest.raises(TypeError, match=f"{data}=None: allowed is Split"):
        run(QUICK[name], given, **{data: None})


def ones(images):
    return images.mean((2, 3)) @ torch.ones(3, 10)


@pytest.mark.parametrize("name", ["FP", "DBD"])
@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda images: images, r"Bad.features returned torch.float32 of shape \(4, 3, 16, 16"),
        (lambda images: images.mean((2, 3)), "Bad gives other logits than its head"),
    ],
)
def test_features_and_head_must_be_the_model(name, features, message, given):
    model = Bad(lambda x: x)
    model.forward = ones
    model.features = features
    with pytest.raises((TypeError, ValueError), match=message):
        run(QUICK[name], given, model=model)


def test_dbd_leaves_the_parts_of_a_model_alone(given):
    model = wrn_16_1(10, Runtime(0))
    model.projection = nn.Linear(2, 2)
    model.simclr_projection = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="has a part called simclr_projection, which stage 1 adds"):
        run(QUICK["DBD"], given, model=model)
    head_frozen = wrn_16_1(10, Runtime(0))
    head_frozen.head.requires_grad_(False)
    with pytest.raises(ValueError, match="the head of WideResNet has no weight"):
        run(QUICK["DBD"], given, model=head_frozen)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (Outputs(torch.zeros(4, 2), torch.zeros(4, 2, 3, 3)), r"features: of shape \(4, 2, 3, 3\)"),
        (Outputs(torch.zeros(3, 2), torch.zeros(4, 2)), r"logits: of shape \(3, 2\); .* 4 labels"),
        (Outputs(torch.zeros(4, 2), torch.full((4, 2), NAN)), "features: some are infinite or NaN"),
    ],
)
def test_every_filter_refuses_outputs_that_do_not_fit(name, outputs, message):
    with pytest.raises(ValueError, match=message):
        FILTERS[name](outputs, torch.tensor([0, 0, 1, 1]))


def test_features_that_are_pictures_are_refused_where_they_are_made(given):
    model = Bad(lambda x: x)
    model.features = lambda x: x
    with pytest.raises(TypeError, match=r"Bad.features returned .* allowed is a float tensor"):
        logits_and_features(model, given.clean.images)


def test_a_trigger_may_change_its_images_in_place(given):
    """The caller's images stay as they are, and the attack counts."""
    before = given.clean.images.clone()
    _, truth = poison(given.clean, InPlace(), 0.1, given.context)
    evaluate(given.model, given.clean, InPlace())
    assert int(truth.poisoned.sum()) == 30
    assert torch.equal(given.clean.images, before)


def test_a_triggers_own_tensor_stays_as_it_is(given):
    pattern = torch.full((270, 3, 16, 16), 200.0).to(memory_format=torch.channels_last)

    class Fixed(Attack):
        def trigger(self, images):
            return pattern[: len(images)]

    with pytest.raises(ValueError, match=r"Fixed.trigger returned torch.float32"):
        evaluate(given.model, given.clean, Fixed())
    assert (pattern == 200).all()


NUMBERS = [
    lambda value: np.float64(value),
    lambda value: np.float32(value),
    lambda value: np.array(value),
    lambda value: torch.tensor(value),
    lambda value: torch.tensor(value, dtype=torch.float64),
]


@pytest.mark.parametrize("kind", range(len(NUMBERS)))
def test_scalars_of_numpy_and_torch_are_numbers(kind):
    """They come to the same settings as Python's numbers do, of the same type."""
    number = NUMBERS[kind]
    whole = np.int64 if kind < 3 else torch.tensor
    made = DLP(
        gamma=number(0.01),
        e1=whole(3),
        supervised=Supervised(lr=number(0.1), batch=whole(64), augment=np.bool_(True)),
    )
    assert made == DLP(gamma=0.01, e1=3, supervised=Supervised(lr=0.1, batch=64, augment=True))
    assert [type(value) for value in (made.gamma, made.e1)] == [float, int]
    assert type(made.supervised.augment) is bool
    assert BadNets(target=whole(3), patch=whole(2)) == BadNets(target=3, patch=2)
    assert NAD(betas=np.array([1.0, 2.0])) == NAD(betas=[1, 2]) == NAD(betas=(1.0, 2.0))
    assert Training(drops=[whole(2)]) == Training(drops=(2,))


@dataclass(frozen=True)
class Mine(Attack):
    """An attack of a user, which does not call the base's checks."""

    def __post_init__(self):
        pass

    def trigger(self, images):
        return 255 - images


@pytest.mark.parametrize("target", [True, 1.0, None, "0", 10])
def test_a_target_of_an_attack_of_ones_own_is_checked(target, given):
    with pytest.raises(ValueError, match=r"target=.*: allowed are the classes 0 to 9 and"):
        poison(given.clean, Mine(target=target), 0.1, given.context)
    assert poison(given.clean, Mine(target=np.int64(2)), 0.1, given.context)[0].labels.max() == 9
