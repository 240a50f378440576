"""Every baseline against a plain reference of its core step, and all of them through one signature."""

import copy
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from dlp_lib import DLP, BadNets, Context, FixMatch, Runtime, Store, Unlearn, baselines, evaluate, wrn_16_1
from dlp_lib.architectures import ARCHITECTURES, build
from dlp_lib.baselines import (
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
    abl,
    anp,
    base,
    clean_part,
    dbd,
    defend,
    fp,
    mcr,
    nad,
)
from dlp_lib.metrics import observe
from dlp_lib.models import pixels
from dlp_lib.stages import supervised

SHORT = Training(batch=16, epochs=2)
QUICK = {
    "FP": FP(training=SHORT),
    "MCR": MCR(end=SHORT, curve=SHORT, points=3),
    "NAD": NAD(teacher=SHORT, student=SHORT),
    "ABL": ABL(isolation=SHORT, training=SHORT, isolated=0.05, unlearning=Unlearn(reestimate=50), unlearn_epochs=2),
    "ANP": ANP(training=replace(SHORT, lr=0.2)),
    "DBD": DBD(simclr=SimCLR(batch=64, epochs=1), sce=SCE(epochs=1), mixmatch=MixMatch(epochs=1)),
    "DLP": DLP(gamma=0.05, e1=2, e2=2, fixmatch=FixMatch(steps=2, batch=16, mu=1)),
}
SOURCES = {"FP": base, "MCR": mcr, "NAD": nad, "ABL": abl, "ANP": anp, "DBD": dbd}
every = pytest.mark.parametrize("name", QUICK)


@pytest.fixture(scope="module")
def parts(shapes, tampered):
    """Models as a defence meets them, the tampered set, clean images, and the test set that is left."""
    context = Context(Runtime(0))
    untrained, trained = (wrn_16_1(10, context.runtime) for _ in range(2))
    supervised(trained, tampered[0], 2, DLP().supervised, context)
    clean, test = clean_part(*shapes, context, 0.2)
    return untrained, trained, tampered[0], clean, test


@every
def test_a_defence_leaves_what_it_was_given_and_gives_a_model(name, parts, same_state):
    before = copy.deepcopy(parts[:2])
    defended = defend(QUICK[name], *parts[:4], Context(Runtime(0)))
    assert all(same_state(*pair) for pair in zip(before, parts[:2], strict=True))
    measured = evaluate(defended.model, parts[4], BadNets())
    assert 0 <= measured.ca <= 1 and not defended.model.training
    assert all(weight.isfinite().all() for weight in defended.model.state_dict().values())
    assert defended.total("images") > 0 and defended.total("seconds") > 0


@every
def test_a_second_run_reads_what_the_first_one_recorded(name, parts, tmp_path, same_state):
    blocks = []
    context = Context(Runtime(0), Store(tmp_path), lambda *row: blocks.append(row))
    first = defend(QUICK[name], *parts[:4], context)
    assert blocks
    blocks.clear()
    second = defend(QUICK[name], *parts[:4], context)
    assert not blocks and same_state(first.model, second.model)


@pytest.mark.parametrize("name", ["MCR", "NAD", "FP"])
def test_a_runtime_that_compiles_comes_to_the_same(name, parts, monkeypatch, same_state):
    """What cannot be compiled is left as it is. Here the compiler only takes the model apart and together again."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **_: real(model, backend="eager"))
    plain, compiled = (defend(QUICK[name], *parts[:4], Context(Runtime(0, compiled=it))).model for it in (False, True))
    assert same_state(plain, compiled)


@every
def test_another_seed_is_another_run(name, parts, same_state):
    one, other = (defend(QUICK[name], *parts[:4], Context(Runtime(seed))).model for seed in (0, 1))
    assert not same_state(one, other)


@pytest.mark.parametrize("name", SOURCES)
def test_an_edited_method_never_answers_from_the_store(name, parts, monkeypatch):
    before = defend(QUICK[name], *parts[:4], Context())
    monkeypatch.setattr(SOURCES[name], "SOURCE", "edited")
    after = defend(QUICK[name], *parts[:4], Context())
    assert {stage.trail.name for stage in after.stages.values()} != {s.trail.name for s in before.stages.values()}


def test_a_method_gets_what_its_threat_model_allows():
    @dataclass(frozen=True)
    class Spy:
        sees: ClassVar[str] = "clean"
        starts: ClassVar[str] = "trained"

        def run(self, model, data, context=None):
            return model, data

    class Other(Spy):
        sees, starts = "tampered", "untrained"

    assert defend(Spy(), "untrained", "trained", "tampered", "clean", None) == ("trained", "clean")
    assert defend(Other(), "untrained", "trained", "tampered", "clean", None) == ("untrained", "tampered")
    for method in (*baselines.CIFAR10.values(), *baselines.SHAPES10.values(), DLP()):
        assert method.sees in ("tampered", "clean") and method.starts in ("untrained", "trained")


def test_clean_images_leave_the_test_set(shapes):
    train, test = shapes
    clean, left = clean_part(train, test, Context())
    assert len(clean) == 15 and len(left) == len(test) - 15
    rows = [bytes(image.numpy()) for image in torch.cat([clean.images, left.images])]
    assert sorted(rows) == sorted(bytes(image.numpy()) for image in test.images)
    training, validation = base.held_out(clean, Context())
    assert (len(training), len(validation)) == (12, 3)
    with pytest.raises(ValueError, match=r"share=0.5: 150 clean images, of a test set of 200"):
        clean_part(train, test, Context(), 0.5)
    with pytest.raises(ValueError, match="4 clean images: at least 5"):
        base.held_out(clean.subset(slice(4)), Context())


def test_the_learning_rate_drops_after_the_epochs_that_are_named(parts):
    seen = []

    def spy(model, batch):
        seen.append(len(batch[1]))
        return functional.cross_entropy(model(batch[0]), batch[1])

    class Step(torch.optim.SGD):
        def step(self):
            rates.append(self.param_groups[0]["lr"])
            return super().step()

    rates, original = [], torch.optim.SGD
    torch.optim.SGD = Step
    try:
        config = Training(lr=0.1, batch=16, epochs=3, drops=(1, 2))
        base.finetune("test", copy.deepcopy(parts[1]), parts[3], config, Context(), spy)
    finally:
        torch.optim.SGD = original
    assert seen == [16, 16, 16, 12] * 3  # of 60 images
    assert rates == pytest.approx([0.1] * 4 + [0.01] * 4 + [0.001] * 4)


# FP: the least active feature first, until validation CA has dropped by more than is allowed.


class Toy(nn.Module):
    """Features: the mean of each colour channel; class: the largest of the three."""

    def __init__(self):
        super().__init__()
        self.head = nn.Identity()

    def features(self, x):
        return x.mean((2, 3))

    def forward(self, x):
        return self.head(self.features(x))


def test_fp_prunes_the_silent_channels_until_accuracy_suffers(shapes):
    images = torch.zeros(10, 3, 8, 8, dtype=torch.uint8)
    images[:5, 0], images[5:, 1] = 200, 100  # the third channel is always silent
    split = replace(shapes[0], images=images, labels=torch.tensor([0] * 5 + [1] * 5))
    model = Toy()
    order = observe(model, images).features.mean(0).argsort(stable=True)
    assert order.tolist() == [2, 1, 0]
    assert fp.prune(model, order, split, 0.04).tolist() == [1, 1, 0]
    # without its channel, class 1 is taken for class 0: half of the images are lost
    assert fp.prune(model, order, split, 0.49).tolist() == [1, 1, 0]
    assert fp.prune(model, order, split, 0.5).tolist() == [0, 0, 0]  # with none left, all are taken for class 0


def test_fp_keeps_pruned_features_at_zero_through_fine_tuning(parts):
    defended = defend(replace(QUICK["FP"], allowed=0.3), *parts[:4], Context())
    seen = observe(defended.model, parts[4].images)
    gone = defended.model.kept == 0
    assert gone.any() and not seen.features[:, gone].any()
    assert torch.equal(seen.logits, defended.model.model.head(seen.features))


# NAD


def test_nads_attention_map_is_the_channels_mean_power_of_unit_length():
    activations = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    for power in (1, 2):
        for sample, found in zip(activations, nad.attention(activations, power), strict=True):
            plain = [sum(abs(sample[c, y, x].item()) ** power for c in range(3)) for y in range(4) for x in range(5)]
            length = math.sqrt(sum(value**2 for value in plain))
            assert found.tolist() == pytest.approx([value / length for value in plain], rel=1e-5)


def test_nads_loss_is_cross_entropy_and_the_weighted_distances_of_the_maps(parts, monkeypatch):
    caught = {}

    def catch(name, model, data, config, context, loss=None, inputs=()):
        caught[name] = model, loss
        return

    monkeypatch.setattr(nad, "finetune", catch)
    NAD(betas=(1.0, 2.0, 4.0)).run(parts[1], parts[3], Context())
    student, loss = caught["NAD"]
    batch = pixels(parts[3].images[:8]), parts[3].labels[:8]
    student.eval()
    plain = functional.cross_entropy(student(batch[0]), batch[1])
    assert torch.allclose(loss(student, batch), plain)  # the teacher is the same still: no distance
    teacher, names = caught["NAD teacher"][0], nad.layers(student, parts[3].images, 3)
    with torch.no_grad():
        teacher.stem.weight.mul_(0.5).add_(0.1)
    maps = []
    for model in (student, teacher):
        with nad.captured(model, names) as seen:
            model(batch[0])
        maps.append([nad.attention(seen[name]) for name in names])
    distances = [(a - b).pow(2).mean() for a, b in zip(*maps, strict=True)]
    assert min(distances) > 0
    assert torch.allclose(loss(student, batch), plain + distances[0] + 2 * distances[1] + 4 * distances[2])


@pytest.mark.parametrize("name", ["WRN-16-1", "ResNet18", "MobileNetV2"])
def test_nad_finds_the_last_modules_of_the_last_resolutions(name, parts):
    model = build(name, 10, Runtime(0))
    found = nad.layers(model, parts[3].images, 3)
    with nad.captured(model, found) as seen:
        model.eval()(pixels(parts[3].images[:2]))
    sizes = [seen[layer].shape[-1] for layer in found]
    assert sizes == sorted(set(sizes), reverse=True) and sizes[-1] > 1
    if name == "WRN-16-1":
        assert found == ["blocks.2.bn1", "blocks.4.bn1", "bn"] and sizes == [16, 8, 4]
    assert name in ARCHITECTURES and not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="resolutions above 1×1, 9 betas are given"):
        nad.layers(model, parts[3].images, 9)


# MCR


def test_mcrs_curve_starts_and_ends_at_the_models_and_passes_near_the_bend():
    start, bend, end = (nn.Linear(3, 2) for _ in range(3))
    ends = mcr.weights(start), mcr.weights(end)
    for t, shares in ((0, (1, 0, 0)), (0.5, (0.25, 0.5, 0.25)), (1, (0, 0, 1))):
        for name, found in mcr.bezier(*ends, bend, t).items():
            models = (model.get_parameter(name) for model in (start, bend, end))
            plain = sum(share * weight for share, weight in zip(shares, models, strict=True))
            assert torch.allclose(found, plain)


def test_mcrs_point_is_the_middle_most_of_those_that_are_good_enough():
    assert mcr.middle({0.25: 0.9, 0.5: 0.7, 0.75: 0.8}, 0.05) == 0.25
    assert mcr.middle({0.25: 0.9, 0.5: 0.7, 0.75: 0.8}, 0.3) == 0.5


def test_mcrs_bend_alone_is_trained(parts):
    caught = []
    defended = MCR(end=SHORT, curve=replace(SHORT, epochs=0), points=1).run(parts[1], parts[3], Context())
    ends = [mcr.weights(parts[1])]
    stage = defended.stages["MCR end"]
    end = copy.deepcopy(parts[1])
    stage.trail.load(end, stage.chosen)
    ends.append(mcr.weights(end))
    for name, weight in defended.model.named_parameters():  # at t = ½, of a bend halfway between its ends
        caught.append(torch.allclose(weight, (ends[0][name] + ends[1][name]) / 2, atol=1e-6))
    assert all(caught)


# ABL


@pytest.mark.parametrize(("per_sample", "expected"), [(True, (-0.2 - 0.4 + 0.9 + 1.7) / 4), (False, 0.8)])
def test_abl_climbs_below_its_bound(per_sample, expected):
    losses = torch.tensor([0.2, 0.4, 0.9, 1.7], requires_grad=True)
    found = abl.bounded(losses, 0.5, per_sample)
    found.backward()
    assert found.item() == pytest.approx(expected)
    signs = [-1, -1, 1, 1] if per_sample else [1, 1, 1, 1]
    assert losses.grad.tolist() == pytest.approx([sign / 4 for sign in signs])


def test_abls_batch_climbs_as_a_whole_where_its_mean_is_low():
    losses = torch.tensor([0.1, 0.2, 0.9], requires_grad=True)
    abl.bounded(losses, 0.5, per_sample=False).backward()
    assert losses.grad.tolist() == pytest.approx([-1 / 3] * 3)


def test_abl_isolates_the_samples_of_lowest_loss_and_trains_on_the_others(parts, monkeypatch):
    sets = {}
    for function in ("finetune", "unlearn"):
        original = getattr(abl, function)

        def spy(*given, original=original):
            sets.setdefault(str(given[0]) if isinstance(given[0], str) else "unlearn", given[2])
            return original(*given)

        monkeypatch.setattr(abl, function, spy)
    defended = QUICK["ABL"].run(parts[0], parts[2], Context())
    stage, model = defended.stages["isolation"], copy.deepcopy(parts[0])
    stage.trail.load(model, stage.chosen)
    losses = functional.cross_entropy(observe(model, parts[2].images).logits, parts[2].labels, reduction="none")
    lowest = losses.argsort()[:15]
    assert set(sets["unlearn"].tolist()) == set(lowest.tolist())
    assert sets["ABL training"].digest == parts[2].subset(sorted(set(range(300)) - set(lowest.tolist()))).digest


# ANP


def test_anp_scales_and_shifts_every_neuron(parts):
    model = copy.deepcopy(parts[1]).eval()
    masks = anp.Masks(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for mask in masks.masks:
            mask.uniform_(0, 1, generator=generator)
    noise = [torch.rand(mask.shape, generator=generator) - 0.5 for mask in [*masks.masks, *masks.masks]]
    found = torch.func.functional_call(model, anp.perturbed(model, masks, noise), (pixels(parts[3].images),))
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for i, layer in enumerate(layers):
            layer.weight.mul_(masks.masks[i] + noise[i])
            layer.bias.mul_(1 + noise[len(layers) + i])
    assert torch.allclose(found, model(pixels(parts[3].images)), atol=1e-5)


def test_anps_adversary_stays_in_its_bound_and_does_harm():
    torch.manual_seed(0)
    like = [torch.ones(50), torch.ones(20)]
    weights = [torch.randn_like(each) for each in like]

    def loss(noise):
        return sum((w * n).sum() for w, n in zip(weights, noise, strict=True))

    noise = anp.adversary(loss, like, 0.4, 1)
    assert all(each.abs().max() <= 0.4 and not each.requires_grad for each in noise)
    for w, n in zip(weights, noise, strict=True):  # one full step in the sign's direction, cut off at the bound
        assert (n * w.sign() >= 0).all()
    bound = anp.adversary(loss, like, 0.4, 5)
    assert loss(bound) > 0 and all(each.abs().max() <= 0.4 for each in bound)


def test_anps_masks_stay_between_zero_and_one_and_the_models_statistics_as_they_were(parts, same_state):
    seen = []
    original = anp.perturbed

    def spy(model, masks, noise):
        seen.append((min(m.min().item() for m in masks.masks), max(m.max().item() for m in masks.masks)))
        return original(model, masks, noise)

    anp.perturbed = spy
    try:
        defended = ANP(training=Training(lr=50.0, batch=16, epochs=2), allowed=0.99).run(parts[1], parts[3], Context())
    finally:
        anp.perturbed = original
    assert len(seen) == 3 * 2 * 3 and all(low >= 0 and high <= 1 for low, high in seen)
    assert min(low for low, _ in seen) == 0  # at that rate some are driven out
    trained = dict(parts[1].named_buffers())
    assert all(torch.equal(trained[name], buffer) for name, buffer in defended.model.named_buffers())


def test_anp_prunes_what_the_masks_say_as_far_as_validation_allows(parts):
    model = copy.deepcopy(parts[1])
    masks = anp.Masks(model)
    with torch.no_grad():
        masks.masks[0][:2] = 0.1
        masks.masks[-1][:] = 0.5
    answers = observe(model, parts[4].images).logits.argmax(1)  # by which the model as it is has 100 %
    assert len(answers.unique()) > 1
    validation = replace(parts[4], labels=answers)
    kept = anp.prune(model, masks, validation, 0.999)
    assert (kept.get_submodule(masks.names[0]).weight[:2] == 0).all()
    assert (kept.get_submodule(masks.names[-1]).weight == 0).all()
    strict = anp.prune(model, masks, validation, 1e-9)  # without its last layer the model knows nothing
    assert (strict.get_submodule(masks.names[-1]).weight != 0).all()


def test_anp_needs_batch_norm():
    with pytest.raises(ValueError, match="Toy has no batch-norm layer"):
        anp.Masks(Toy())


@pytest.mark.parametrize(
    ("method", "setting"),
    [
        (FP, {"allowed": 0}), (MCR, {"allowed": 1.5}), (MCR, {"points": 0}), (NAD, {"betas": ()}), (NAD, {"power": 0}),
        (ABL, {"isolated": 0}), (ABL, {"bound": -1}), (ANP, {"inner": 0}), (ANP, {"eps": -1}), (ANP, {"alpha": 2}),
        (Training, {"epochs": -1}), (Training, {"lr": 0}),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(method, setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))}="):
        method(**setting)
