import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from dlp_lib import (
    LCA,
    SIG,
    Attack,
    BadNets,
    Blended,
    Context,
    Runtime,
    Store,
    Supervised,
    TrojanNN,
    attacks,
    poison,
    prepare,
    supervised,
    wrn_16_1,
)
from dlp_lib.attacks import WaNet
from dlp_lib.models.interface import to_float
from dlp_lib.recipes import CIFAR10, PAPER_ATTACKS, RECIPES, SHAPES10, recipe_for


@dataclass(frozen=True)
class Mark(Attack):
    """A clean-label attack of one's own, the plainest there is."""

    clean_label: ClassVar[bool] = True

    def trigger(self, images):
        images = images.clone()
        images[:, :, 0, 0] = 255
        return images


# Without decoys: what a poisoning changes is then only what the truth says.
BARE_WANET = WaNet(strength=2, noise_ratio=0)
KINDS = [
    BadNets(),
    BadNets(target=3, patch=5),
    BadNets(target="all-to-all"),
    TrojanNN(steps=3),
    TrojanNN(target=9, patch=6),
    Blended(),
    Blended(alpha=0.9, pattern_seed=1),
    LCA(steps=3),
    LCA(target=2, patch=2, epsilon=4, steps=5),
    SIG(),
    SIG(target=1, delta=255),
    BARE_WANET,
    replace(BARE_WANET, target="all-to-all", grid=6),
    Mark(),
]
each_attack = pytest.mark.parametrize("attack", KINDS, ids=repr)
NO_STORE = Context(Runtime(0))


@pytest.fixture(scope="session")
def surrogate():
    return wrn_16_1(10, Runtime(7))


@pytest.fixture
def ready(attack, shapes, surrogate):
    """The attack under test, fitted to an untrained surrogate where it wants one."""
    attack = replace(attack, steps=20) if isinstance(attack, TrojanNN) else attack
    return prepare(attack, shapes[0], NO_STORE, surrogate)


def test_every_attack_is_tested():
    tested = {type(attack) for attack in KINDS}
    for recipe in RECIPES.values():
        kinds = {name: type(setting.attack) for name, setting in recipe.attacks.items()}
        assert [kind.__name__ for kind in kinds.values()] == list(kinds)
        assert tested == {*kinds.values(), Mark}
        assert set(PAPER_ATTACKS) < set(kinds)


def test_clean_label_rates_suit_the_target_class(shapes):
    """A tenth of the set may be more than the class holds."""
    assert recipe_for("shapes10").attack_settings(shapes[0]) == SHAPES10.attacks
    rare = shapes[0].subset((shapes[0].labels > 0) | (torch.arange(300) < 150))
    share = (rare.labels == 0).double().mean().item()
    for dataset, recipe in (("shapes10", SHAPES10), ("any/folder", CIFAR10)):
        settings = recipe_for(dataset).attack_settings(rare)
        sig = settings["SIG"]
        assert sig == (recipe.attacks["SIG"].attack, 0.9 * share)
        assert settings["BadNets"] == recipe.attacks["BadNets"]
        _, truth = poison(rare, sig.attack, sig.poisoning_rate, NO_STORE)
        assert truth.poisoned.any()


@each_attack
def test_poisoning_changes_what_it_says_and_nothing_else(attack, ready, shapes):
    clean = shapes[0]
    before = clean.images.clone()
    tampered, truth = poison(clean, ready, 0.05, NO_STORE)
    poisoned, goal = truth.poisoned, ready.goal(clean.labels, 10)
    assert poisoned.sum() == 15
    assert torch.equal(tampered.images[~poisoned], clean.images[~poisoned])
    assert (tampered.images[poisoned] != clean.images[poisoned]).flatten(1).any(1).all()
    assert tampered.images.dtype == torch.uint8
    assert torch.equal(truth.labels, clean.labels)
    assert torch.equal(tampered.labels, torch.where(poisoned, goal, clean.labels))
    assert ((clean.labels[poisoned] == goal[poisoned]) == attack.clean_label).all()
    assert torch.equal(clean.images, before)


@each_attack
def test_test_images_get_the_trigger_of_the_training_set(attack, ready, shapes):
    clean = shapes[0]
    tampered, truth = poison(clean, ready, 0.05, NO_STORE)
    images, victims = tampered.images[truth.poisoned], clean.images[truth.poisoned]
    triggered = ready.trigger(victims)
    if isinstance(attack, LCA):
        # But for the noise, which is for training images alone and spares the trigger.
        change = (images.int() - triggered.int()).abs()
        stamped = (ready.trigger(victims) == ready.trigger(255 - victims)).expand_as(change)
        assert (change[stamped] == 0).all()
        assert 0 < change.max() <= attack.epsilon
    else:
        assert torch.equal(images, triggered)


@each_attack
def test_poisoning_repeats_by_seed(attack, ready, shapes):
    one, other, same = (
        poison(shapes[0], ready, 0.05, Context(Runtime(seed))) for seed in (0, 1, 0)
    )
    assert one[0].digest == same[0].digest
    assert torch.equal(one[1].poisoned, same[1].poisoned)
    assert not torch.equal(one[1].poisoned, other[1].poisoned)
    assert torch.equal(ready.trigger(shapes[1].images), ready.trigger(shapes[1].images))


@each_attack
@pytest.mark.parametrize("value", [0, 3, 252, 255])
def test_triggers_never_wrap_around(attack, ready, value):
    images = torch.full((1, 3, 16, 16), value, dtype=torch.uint8)
    change = ready.trigger(images).int() - value
    if isinstance(attack, Blended):  # it moves towards the pattern, never beyond
        way = ready.pattern(images) - value
        assert ((change * way.sign() >= 0) & (change.abs() <= way.abs() + 0.5)).all()
    elif isinstance(attack, SIG):  # the same wave on every value, cut off at the ends
        wave = ready.trigger(torch.full_like(images, 128)).int() - 128
        assert attack.delta > 127 or torch.equal(change, (value + wave).clamp(0, 255) - value)
        assert ((change * wave >= 0) | (change == 0)).all()
    elif isinstance(attack, WaNet):  # a warp of one colour is that colour
        assert (change == 0).all()
    else:  # patches cover whatever is there
        stamped = ready.trigger(images) == ready.trigger(255 - images)
        assert (change[~stamped] == 0).all()


def test_truth_says_how_many_and_out_of_what(shapes):
    assert str(poison(shapes[0], BadNets(), 0.1, NO_STORE)[1]) == (
        "30 of 300 images poisoned (10.00%), out of 270 candidates"
    )
    assert str(poison(shapes[0], SIG(), 0.1, NO_STORE)[1]).endswith("out of 30 candidates")
    assert str(poison(shapes[0], BadNets(target="all-to-all"), 0.1, NO_STORE)[1]).endswith(
        "out of 300 candidates"
    )


def test_badnets_stamps_a_checkerboard_in_the_corner(shapes):
    images = shapes[0].images[:2]
    triggered = BadNets(patch=3).trigger(images)
    board = [[255, 0, 255], [0, 255, 0], [255, 0, 255]]
    assert triggered[0, 0, -3:, -3:].tolist() == board == triggered[1, 2, -3:, -3:].tolist()
    triggered[:, :, -3:, -3:] = images[:, :, -3:, -3:]
    assert torch.equal(triggered, images)


def test_all_to_all_wants_the_next_class():
    assert BadNets(target="all-to-all").goal(torch.tensor([0, 3, 9]), 10).tolist() == [1, 4, 0]


def test_blended_against_a_plain_reference(shapes):
    images, attack = shapes[0].images[:5], Blended(alpha=0.2)
    pattern = attack.pattern(images).numpy()
    plain = np.clip(np.round(0.8 * images.numpy() + 0.2 * pattern), 0, 255)
    assert (abs(attack.trigger(images).numpy() - plain) <= 1).all()
    assert (attack.trigger(images).numpy() == plain).mean() > 0.999  # but for ties in rounding
    assert pattern.min() >= 0
    assert pattern.max() <= 255


def test_sig_against_a_plain_reference(shapes):
    images = shapes[0].images[:5]
    triggered = SIG(delta=30, frequency=3).trigger(images)
    for column in range(16):
        level = round(30 * math.sin(2 * math.pi * column * 3 / 16))
        plain = np.clip(images[..., column].numpy().astype(int) + level, 0, 255)
        assert (triggered[..., column].numpy() == plain).all()


def test_lca_marks_the_four_corners_alike(shapes):
    images = LCA(patch=2).trigger(shapes[0].images)
    top, bottom = images[..., :2, :], images[..., -2:, :]
    for corner in (top[..., :2], top[..., -2:], bottom[..., :2], bottom[..., -2:]):
        assert sorted(corner[0, 0].flatten().tolist()) == [0, 0, 255, 255]
    frame = images[:, :, [0, 1, -2, -1]][..., [0, 1, -2, -1]]
    assert torch.equal(frame, frame.flip(2))
    assert torch.equal(frame, frame.flip(3))


def test_lca_makes_images_harder_for_the_surrogate(shapes, surrogate):
    """A first step of the ascent against the plain formula, and a higher loss after many."""
    rows = shapes[0].subset(slice(8))
    x = to_float(rows.images).requires_grad_()
    surrogate.eval()
    losses = [torch.nn.functional.cross_entropy(surrogate(x), rows.labels)]
    losses[0].backward()
    plain = (x + 1.5 / 255 * x.grad.sign()).clamp(0, 1)
    attack = prepare(LCA(steps=1), shapes[0], NO_STORE, surrogate)
    one = attack._add_noise(rows.images, rows.labels)
    assert ((to_float(one) - plain).abs() <= 0.51 / 255).all()
    many = replace(attack, steps=20)._add_noise(rows.images, rows.labels)
    losses += [
        torch.nn.functional.cross_entropy(surrogate(to_float(images)), rows.labels)
        for images in (one, many)
    ]
    assert losses[0] < losses[1] < losses[2]


@pytest.fixture
def computed(monkeypatch):
    """The names of results that are stored, in the order in which they are computed."""
    names = []
    write = Store.write

    def note(store, name, *content):
        names.append(name.split("-")[0])
        return write(store, name, *content)

    monkeypatch.setattr(Store, "write", note)
    return names


def test_lca_computes_its_noise_once(shapes, surrogate, tmp_path, computed):
    context = Context(Runtime(0), Store(tmp_path))
    attack = prepare(LCA(steps=2), shapes[0], context, surrogate)
    first, _ = poison(shapes[0], attack, 0.05, context)
    again, _ = poison(shapes[0], attack, 0.05, Context(Runtime(0), Store(tmp_path)))
    assert computed == ["LCA"]
    assert again.digest == first.digest
    other = prepare(LCA(steps=2), shapes[0], context, wrn_16_1(10, Runtime(8)))
    assert poison(shapes[0], other, 0.05, context)[0].digest != first.digest
    poison(shapes[0], replace(attack, epsilon=4), 0.05, context)  # of another strength
    poison(shapes[0], attack, 0.05, Context(Runtime(1), context.store))  # of other rows
    assert computed == ["LCA"] * 4


def test_edited_code_makes_the_noise_of_lca_anew(shapes, surrogate, computed, monkeypatch):
    """Also the code of another file: images become floats where models are."""
    context = Context()
    attack = prepare(LCA(steps=1), shapes[0], context, surrogate)
    poison(shapes[0], attack, 0.05, context)

    def to_float(images):
        return images.float() / 255

    monkeypatch.setattr(attacks.lca, "to_float", to_float)
    poison(shapes[0], attack, 0.05, context)
    assert computed == ["LCA"] * 2


class Unreadable(torch.nn.Module):
    """A surrogate that holds something without a fingerprint."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.head = model.head
        self.stream = torch.rand(3, requires_grad=True).sum().grad_fn  # code of C++, without source

    def __deepcopy__(self, memo):
        return Unreadable(self.model)

    def features(self, x):
        return self.model.features(x)

    def forward(self, x):
        return self.head(self.features(x))


def test_what_has_no_fingerprint_is_computed_every_time(shapes, surrogate, tmp_path):
    context = Context(Runtime(0), Store(tmp_path))
    unreadable = Unreadable(surrogate)
    with pytest.warns(UserWarning, match="TrojanNN is not stored, as .*stream"):
        attack = prepare(TrojanNN(steps=2), shapes[0], context, unreadable)
    plain = prepare(TrojanNN(steps=2), shapes[0], NO_STORE, surrogate)
    assert torch.equal(attack.pattern, plain.pattern)
    attack = prepare(LCA(steps=2), shapes[0], context, unreadable)
    with pytest.warns(UserWarning, match="LCA is not stored, as .*stream"):
        tampered, _ = poison(shapes[0], attack, 0.05, context)
    plain = prepare(LCA(steps=2), shapes[0], NO_STORE, surrogate)
    assert tampered.digest == poison(shapes[0], plain, 0.05, NO_STORE)[0].digest
    assert not any(tmp_path.iterdir())


def heaviest_neurons(surrogate, count):
    weights = surrogate.head.weight.abs().sum(0).tolist()
    return sorted(range(64), key=lambda neuron: -weights[neuron])[:count]


def test_a_first_step_of_trojannn_against_the_plain_formula(shapes, surrogate):
    """Adam's first step is its rate in the direction of the gradient, whatever its size."""
    attack = prepare(TrojanNN(steps=1, lr=0.1, neurons=3), shapes[0], Context(), surrogate)
    rows = torch.randperm(300, generator=Runtime(0).generator("TrojanNN"))[:16]
    patch = torch.full((3, 4, 4), 0.5, requires_grad=True)
    stamped = to_float(shapes[0].images[rows])
    stamped[..., -4:, -4:] = patch
    features = surrogate.eval().features(stamped)[:, heaviest_neurons(surrogate, 3)]
    ((features - 100) ** 2).mean().backward()
    plain = ((patch - 0.1 * patch.grad.sign()) * 255).round()
    assert torch.equal(attack.pattern, plain.to(torch.uint8))


def test_trojannn_fires_the_neurons_that_weigh_most(shapes, surrogate):
    chosen = heaviest_neurons(surrogate, 2)

    def firing(steps):
        attack = prepare(TrojanNN(steps=steps), shapes[0], NO_STORE, surrogate)
        images = to_float(attack.trigger(shapes[1].images))
        with torch.no_grad():
            return surrogate.eval().features(images)[:, chosen].mean().item()

    assert firing(60) > firing(1)


def test_trojannn_is_found_once_and_repeatably(shapes, surrogate, tmp_path, computed):
    attack = TrojanNN(steps=5)

    def pattern(store, split=shapes[0], model=surrogate):
        return prepare(attack, split, Context(Runtime(0), store), model).pattern

    first = pattern(Store())
    assert torch.equal(pattern(Store()), first)
    assert torch.equal(pattern(Store(tmp_path)), first)
    assert torch.equal(pattern(Store(tmp_path)), first)
    assert computed == ["TrojanNN"] * 3
    assert not torch.equal(pattern(Store(tmp_path), model=wrn_16_1(10, Runtime(8))), first)
    assert not torch.equal(pattern(Store(tmp_path), split=shapes[1]), first)  # another sample
    assert len(computed) == 5


def test_edited_code_makes_the_pattern_of_trojannn_anew(shapes, surrogate, computed, monkeypatch):
    """Also the code of another file: the patch is stamped on as BadNets' is."""
    context = Context()
    prepare(TrojanNN(steps=1), shapes[0], context, surrogate)

    def stamp(images, pattern):
        side = pattern.shape[-1]
        stamped = images.clone()
        stamped[..., :side, :side] = pattern
        return stamped

    monkeypatch.setattr(attacks.trojannn, "stamp", stamp)
    prepare(TrojanNN(steps=1), shapes[0], context, surrogate)
    assert computed == ["TrojanNN"] * 2


def test_the_surrogate_is_trained_once_and_is_not_the_victim(shapes, tmp_path, monkeypatch):
    stages = []
    context = Context(Runtime(0), Store(tmp_path), lambda stage, *_: stages.append(stage))
    monkeypatch.setattr("dlp_lib.attacks.surrogate.EPOCHS", 2)
    attack = prepare(LCA(steps=1), shapes[0], context)
    assert stages == ["surrogate"] * 2
    prepare(TrojanNN(steps=1), shapes[0], context)
    assert stages == ["surrogate"] * 2
    victim = wrn_16_1(10, Runtime(0))
    supervised(victim, shapes[0], 2, Supervised(), Context(Runtime(0)))
    assert not torch.allclose(attack.surrogate.stem.weight, victim.stem.weight, atol=0.01)
    assert not attack.surrogate.training
    assert not any(weight.requires_grad for weight in attack.surrogate.parameters())


def test_a_given_surrogate_is_left_as_it_was(shapes):
    given = wrn_16_1(10, Runtime(7)).train()
    attack = prepare(LCA(steps=1), shapes[0], NO_STORE, given)
    poison(shapes[0], attack, 0.05, NO_STORE)
    assert given.training
    assert all(weight.requires_grad for weight in given.parameters())


def test_other_attacks_need_no_surrogate(shapes):
    attack = BadNets()
    assert prepare(attack, shapes[0], NO_STORE) is attack


@pytest.mark.parametrize("attack", [LCA(), TrojanNN()], ids=repr)
def test_unprepared_attacks_say_what_to_do(attack, shapes):
    with pytest.raises(ValueError, match=r"prepare\(attack"):
        poison(shapes[0], attack, 0.05, NO_STORE)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, "0.1"])
def test_rates_outside_0_and_1_are_refused(rate, shapes):
    with pytest.raises(ValueError, match="poisoning_rate="):
        poison(shapes[0], BadNets(), rate, NO_STORE)


def test_rates_that_cannot_be_reached_name_the_largest(shapes):
    with pytest.raises(ValueError, match=r"selects 0 of 300"):
        poison(shapes[0], BadNets(), 0.001, NO_STORE)
    with pytest.raises(
        ValueError, match=r"selects 60 of 300 images; it can be 1 to 30, so.*rate is 0\.1$"
    ):
        poison(shapes[0], Mark(), 0.2, NO_STORE)
    assert poison(shapes[0], Mark(), 0.1, NO_STORE)[1].poisoned.sum() == 30


@pytest.mark.parametrize("target", [-1, 10, 1.5, "all", "all-to-all"])
@pytest.mark.parametrize("kind", [BadNets, SIG])
def test_targets_outside_the_classes_are_refused(kind, target, shapes):
    if (kind, target) == (BadNets, "all-to-all"):
        assert poison(shapes[0], kind(target), 0.1, NO_STORE)
        return
    others = "" if kind.clean_label else " and 'all-to-all'"
    with pytest.raises(
        ValueError, match=f"target={target!r}: allowed are the classes 0 to 9{others}$"
    ):
        poison(shapes[0], kind(target=target), 0.1, NO_STORE)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Blended, {"alpha": 0}, "alpha=0"),
        (SIG, {"delta": 0}, "delta=0"),
        (SIG, {"frequency": -1}, "frequency=-1"),
        (LCA, {"epsilon": 0}, "epsilon=0"),
        (LCA, {"epsilon": 1.5}, "epsilon=1.5"),
        (LCA, {"step": 0}, "step=0"),
        (LCA, {"steps": -1}, "steps=-1"),
        (TrojanNN, {"neurons": 0}, "neurons=0"),
        (TrojanNN, {"lr": 0}, "lr=0"),
        (WaNet, {"grid": 1}, "grid=1"),
        (WaNet, {"strength": 0}, "strength=0"),
        (WaNet, {"noise_ratio": -1}, "noise_ratio=-1"),
        (WaNet, {"noise_ratio": float("nan")}, "noise_ratio=nan"),
        (WaNet, {"pattern_seed": 0.5}, "pattern_seed=0.5"),
    ],
)
def test_bad_settings_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


@pytest.mark.parametrize(
    ("attack", "most"),
    [(BadNets(patch=17), 16), (LCA(patch=9), 8), (TrojanNN(patch=17), 16), (BadNets(patch=20), 16)],
)
def test_patches_must_fit_and_are_asked_before_any_work(attack, most, shapes, monkeypatch):
    monkeypatch.setattr(
        "dlp_lib.attacks.surrogate.supervised", lambda *_: pytest.fail("it trained")
    )
    message = rf"patch={attack.patch}: allowed are 1 to {most} for images of \(16, 16\)"
    for function in (
        lambda: prepare(attack, shapes[0], NO_STORE),
        lambda: poison(shapes[0], attack, 0.05, NO_STORE),
    ):
        with pytest.raises(ValueError, match=message):
            function()
    if not attack.needs_surrogate:
        with pytest.raises(ValueError, match=message):
            attack.trigger(shapes[0].images)
    with pytest.raises(ValueError, match="target=99"):
        prepare(replace(attack, target=99), shapes[0], NO_STORE)


def test_patches_are_whole():
    with pytest.raises(ValueError, match="patch=0: allowed are whole numbers"):
        TrojanNN(patch=0)
    with pytest.raises(ValueError, match=r"patch=3\.0: allowed are whole numbers"):
        BadNets(patch=3.0).trigger(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_surrogates_that_cannot_serve_are_refused(shapes, surrogate):
    with pytest.raises(ValueError, match="neurons=65: the surrogate has 64"):
        prepare(TrojanNN(neurons=65), shapes[0], NO_STORE, surrogate)
    with pytest.raises(TypeError, match="Linear lacks features"):
        prepare(TrojanNN(), shapes[0], NO_STORE, torch.nn.Linear(2, 2))
    other = wrn_16_1(10, Runtime(7))
    other.head = torch.nn.Sequential(other.head)
    with pytest.raises(TypeError, match="head is Sequential: allowed is Linear"):
        prepare(TrojanNN(), shapes[0], NO_STORE, other)


@pytest.mark.parametrize(
    "attack",
    [SIG(frequency=8), SIG(delta=0.4), Blended(alpha=0.001), WaNet(strength=1e-4)],
    ids=repr,
)
def test_a_trigger_that_changes_nothing_is_refused(attack, shapes):
    """A sinusoid with a node in every column, or what is too faint for eight bits, is no attack."""
    with pytest.raises(ValueError, match="changes no pixel"):
        poison(shapes[0], attack, 0.05, NO_STORE)


def test_a_plain_attack_has_no_trigger(shapes):
    with pytest.raises(NotImplementedError):
        attacks.Attack().trigger(shapes[0].images)


def test_cover_samples_keep_the_trigger_and_have_their_labels_back(shapes):
    tampered, truth = poison(shapes[0], BadNets(), 0.1, NO_STORE)
    covered, known = attacks.cover(tampered, truth, 0.4, NO_STORE)
    assert torch.equal(covered.images, tampered.images)
    assert (int(truth.poisoned.sum()), int(known.poisoned.sum())) == (30, 18)
    assert torch.equal(covered.labels != shapes[0].labels, known.poisoned)
    assert not (known.poisoned & ~truth.poisoned).any()
    again, _ = attacks.cover(tampered, truth, 0.4, NO_STORE)
    other, _ = attacks.cover(tampered, truth, 0.4, Context(Runtime(1)))
    assert torch.equal(again.labels, covered.labels)
    assert not torch.equal(other.labels, covered.labels)


def test_cover_samples_need_labels_that_lie(shapes):
    with pytest.raises(ValueError, match=r"share=1\.5"):
        attacks.cover(*poison(shapes[0], BadNets(), 0.1, NO_STORE), 1.5, NO_STORE)
    with pytest.raises(ValueError, match="an attack that changes labels"):
        attacks.cover(*poison(shapes[0], SIG(), 0.05, NO_STORE), 0.5, NO_STORE)


def bilinear(image, x, y):
    """One pixel's colour at x and y in pixels, from the four around it."""
    left, top = math.floor(x), math.floor(y)
    colour = np.zeros(3)
    for row in (top, top + 1):
        for column in (left, left + 1):
            weight = (1 - abs(x - column)) * (1 - abs(y - row))
            if weight > 0:
                colour += weight * image[:, row, column]
    return colour


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 32), (12, 20)])
def test_wanet_against_a_plain_reference(height, width):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 3, height, width), generator=generator, dtype=torch.uint8)
    attack = WaNet(strength=1.5)
    field = attack.field(height, width)[0].numpy()
    warped = attack.trigger(images).numpy()
    for image, ours in zip(images.numpy(), warped, strict=True):
        plain = np.zeros(image.shape)
        for row in range(height):
            for column in range(width):
                x = -1 + 2 * column / (width - 1) + 1.5 * field[row, column, 0] / width
                y = -1 + 2 * row / (height - 1) + 1.5 * field[row, column, 1] / height
                x = (min(max(x, -1), 1) + 1) / 2 * (width - 1)
                y = (min(max(y, -1), 1) + 1) / 2 * (height - 1)
                plain[:, row, column] = bilinear(image, x, y)
        assert (abs(ours - plain) <= 0.51).all()
    assert (warped != images.numpy()).mean() > 0.5


def test_the_field_of_wanet_is_its_control_points_in_between():
    """At the control points themselves the field is uniform noise with a mean size of 1."""
    control = torch.rand(1, 2, 4, 4, generator=torch.Generator().manual_seed(3)) * 2 - 1
    control /= control.abs().mean()
    for side in (16, 31):  # both have a pixel at every control point
        field = WaNet(pattern_seed=3).field(side, side)
        places = torch.linspace(0, side - 1, 4).round().long()
        at_control = field[:, places][:, :, places].permute(0, 3, 1, 2)
        torch.testing.assert_close(at_control, control, rtol=1e-4, atol=1e-4)
    assert not torch.equal(WaNet().field(16, 16), WaNet(pattern_seed=1).field(16, 16))


def test_decoys_of_wanet_are_warped_and_keep_their_labels(shapes):
    clean = shapes[0]
    attack = WaNet(strength=2)
    tampered, truth = poison(clean, attack, 0.1, NO_STORE)
    bare, bare_truth = poison(clean, replace(attack, noise_ratio=0), 0.1, NO_STORE)
    assert torch.equal(truth.poisoned, bare_truth.poisoned)
    assert torch.equal(tampered.images[truth.poisoned], bare.images[truth.poisoned])
    assert torch.equal(tampered.labels, bare.labels)
    decoys = (tampered.images != bare.images).flatten(1).any(1)
    assert int(decoys.sum()) == 2 * int(truth.poisoned.sum()) == 60
    assert not (decoys & truth.poisoned).any()
    assert torch.equal(tampered.labels[decoys], clean.labels[decoys])
    assert tampered.images.dtype == torch.uint8
    # Each has further noise of its own, which the trigger lacks.
    warped = attack.trigger(clean.images[decoys])
    assert (tampered.images[decoys] != warped).flatten(1).any(1).all()
    near = (tampered.images[decoys].int() - warped.int()).abs().float().mean()
    far = (tampered.images[decoys].int() - clean.images[decoys].int()).abs().float().mean()
    assert near < far


def test_decoys_repeat_by_seed(shapes):
    attack = WaNet(strength=2)
    one, other, same = (
        poison(shapes[0], attack, 0.05, Context(Runtime(seed)))[0] for seed in (0, 1, 0)
    )
    assert one.digest == same.digest != other.digest
    same_image = shapes[0].images[:1].expand(20, -1, -1, -1)
    assert len(attack.make_decoys(same_image, NO_STORE).unique(dim=0)) == 20


def test_decoys_must_find_room(shapes):
    """Of 300 images, 90 poisoned ones and 180 decoys fit, 120 and 240 do not."""
    poison(shapes[0], WaNet(), 0.3, NO_STORE)
    with pytest.raises(
        ValueError, match=r"=0\.4 selects 120 images to poison and 240 decoys; .* 300"
    ):
        poison(shapes[0], WaNet(), 0.4, NO_STORE)


def test_other_attacks_have_no_decoys(shapes):
    assert BadNets().count_decoys(10) == 0
    with pytest.raises(NotImplementedError):
        BadNets().make_decoys(shapes[0].images, NO_STORE)
