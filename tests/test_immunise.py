"""Immunised fine-tuning: what the suspects show of a trigger, and on which images it is put."""

import copy
import importlib
from dataclasses import replace

import pytest
import torch

from dlp_lib import DLP, Context, FixMatch, Runtime, Split, Store, Unlearn, fixmatch
from dlp_lib.defences import TriggerEstimate, estimate_trigger, immunise

TRUSTED = torch.arange(200, 260)
BRIEF = FixMatch(batch=8, mu=2, steps=3, tau=0.2, lr=0.05)
HALF = replace(BRIEF, immunise=0.5)
SUSPECTED = torch.arange(20)


def patch(images):
    stamped = images.clone()
    stamped[:, :, 2:4, 1:3] = torch.tensor([0, 255, 90]).view(3, 1, 1)
    return stamped


def blend(images):
    """Of numbers that 5 divides, so that nothing is rounded."""
    pattern = torch.arange(3 * 8 * 8).view(3, 8, 8) % 51 * 5
    return images * 0.8 + pattern * 0.2


def wave(images):
    return images + torch.arange(8) % 3 * 20 - 20


KINDS = {
    "patch": (patch, lambda x: patch(torch.zeros_like(x))[0]),
    "blend": (blend, lambda x: blend(torch.zeros_like(x))[0]),
    "wave": (wave, lambda x: wave(torch.zeros_like(x))[0]),
}


def twins(trigger, n=40):
    """The same n images twice: first with the trigger, then as they are. No pixel is clipped."""
    draws = torch.randint(5, 46, (n, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    images = draws.float() * 5
    both = torch.cat([trigger(images), images])
    labels = torch.arange(2 * n) % 4
    return Split(both.to(torch.uint8), labels, tuple("abcd"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_is_exact_where_the_trigger_is_an_affine_map(kind):
    trigger, shift_of = KINDS[kind]
    split = twins(trigger)
    found = estimate_trigger(split, torch.arange(40))
    scale = torch.full((3, 8, 8), 0.8 if kind == "blend" else 1.0)
    if kind == "patch":
        scale[:, 2:4, 1:3] = 0
    torch.testing.assert_close(found.scale, scale, rtol=0, atol=1e-5)
    shift = shift_of(torch.zeros(1, 3, 8, 8)).float()
    torch.testing.assert_close(found.shift, shift, rtol=0, atol=1e-3)
    assert torch.equal(found.apply(split.images[40:]), split.images[:40])


def test_the_estimate_against_a_plain_reference(tampered):
    images = tampered[0].images.double()
    suspects = images[SUSPECTED]
    others = images[20:]
    a = (suspects.std(0, correction=0) / others.std(0, correction=0)).clamp(0, 1)
    b = suspects.mean(0) - a * others.mean(0)
    found = estimate_trigger(tampered[0], SUSPECTED)
    torch.testing.assert_close(found.scale, a.float())
    torch.testing.assert_close(found.shift, b.float(), rtol=1e-4, atol=1e-4)


def test_the_estimate_looks_at_no_label(tampered):
    lied_to = replace(tampered[0], labels=tampered[0].labels.flip(0))
    pairs = zip(
        estimate_trigger(tampered[0], SUSPECTED), estimate_trigger(lied_to, SUSPECTED), strict=True
    )
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_pixel_that_all_others_share_keeps_its_scale():
    split = twins(patch)
    split.images[40:, :, 0, 0] = 7
    found = estimate_trigger(split, torch.arange(40))
    assert torch.equal(found.scale[:, 0, 0], torch.ones(3))
    assert found.scale.isfinite().all()


@pytest.mark.parametrize(
    ("suspected", "message"),
    [
        (torch.tensor([3]), "suspected: 1 of 80 samples; allowed are 2 to 78"),
        (torch.tensor([3, 3]), "suspected: 1 of 80 samples; allowed are 2 to 78"),
        (torch.arange(79), "suspected: 79 of 80 samples"),
        (torch.tensor([0, 80]), "suspected: indices from 0 to 80"),
        (torch.arange(0), "suspected: there are none"),
    ],
)
def test_too_few_suspects_or_others_are_refused(suspected, message):
    with pytest.raises(ValueError, match=message):
        estimate_trigger(twins(patch), suspected)


@pytest.mark.parametrize("share", [-0.1, 1.01, "half", True, float("nan"), None])
def test_a_bad_share_is_refused(share):
    with pytest.raises(ValueError, match=r"immunise=.*: allowed are finite numbers ≥ 0 and ≤ 1"):
        FixMatch(immunise=share)


def test_a_missing_or_unfit_trigger_is_refused_before_any_work(model, tampered, same_state):
    before = copy.deepcopy(model)
    context = Context()
    with pytest.raises(ValueError, match=r"immunise=0.5: allowed is 0 without a trigger"):
        fixmatch(model, tampered[0], TRUSTED, HALF, context)
    with pytest.raises(TypeError, match="trigger=3: allowed is TriggerEstimate"):
        fixmatch(model, tampered[0], TRUSTED, HALF, context, 3)
    small = estimate_trigger(twins(patch), SUSPECTED)
    with pytest.raises(
        ValueError, match=r"trigger: of shape \(3, 8, 8\); allowed is \(3, 16, 16\)"
    ):
        fixmatch(model, tampered[0], TRUSTED, HALF, context, small)
    assert same_state(model, before)


def test_off_is_the_papers_form_bit_for_bit(model, tampered, same_state):
    """A trigger that is handed in changes nothing, as none of the draws is moved by it."""
    twin = copy.deepcopy(model)
    trigger = estimate_trigger(tampered[0], SUSPECTED)
    fixmatch(model, tampered[0], TRUSTED, BRIEF, Context())
    fixmatch(twin, tampered[0], TRUSTED, BRIEF, Context(), trigger)
    assert same_state(model, twin)


def test_on_all_images_is_training_on_images_with_the_trigger(model, tampered, same_state):
    """Without pseudo-labels, which come from images as they are."""
    twin = copy.deepcopy(model)
    trigger = estimate_trigger(tampered[0], SUSPECTED)
    config = replace(BRIEF, lambda_u=0)
    triggered = replace(tampered[0], images=trigger.apply(tampered[0].images))
    fixmatch(model, tampered[0], TRUSTED, replace(config, immunise=1), Context(), trigger)
    fixmatch(twin, triggered, TRUSTED, config, Context())
    assert same_state(model, twin)


def test_pseudo_labels_come_from_images_without_the_trigger(model, tampered):
    """In the first step the share that counts depends on the weak views alone."""
    config = replace(BRIEF, steps=1)
    black = TriggerEstimate(torch.zeros(3, 16, 16), torch.zeros(3, 16, 16))
    stages = []
    for share in (0, 1):
        start = copy.deepcopy(model)
        chosen = replace(config, immunise=share)
        stages.append(fixmatch(start, tampered[0], TRUSTED, chosen, Context(), black))
    confident = [stage.history[0]["confident"] for stage in stages]
    assert confident[0] == confident[1] > 0
    assert stages[0].history[0]["loss"] != stages[1].history[0]["loss"]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_each_image_is_drawn_with_the_share(share, model, tampered, monkeypatch):
    drawn = []

    def spy(images, trigger, chosen):
        drawn.append(chosen)
        return immunise.immunise(images, trigger, chosen)

    module = importlib.import_module("dlp_lib.defences.fixmatch")
    monkeypatch.setattr(module, "immunise", spy)
    trigger = estimate_trigger(tampered[0], SUSPECTED)
    config = FixMatch(batch=16, mu=3, steps=20, immunise=share)
    context = Context(Runtime(4))
    fixmatch(model, tampered[0], TRUSTED, config, context, trigger)
    chosen = torch.cat(drawn).view(20, 64)  # labelled images first, in every step
    stream = context.runtime.generator("ASSFT", "immunise", 1)
    assert torch.equal(chosen, torch.rand(20, 64, generator=stream) < share)
    for part in (chosen[:, :16], chosen[:, 16:]):
        assert abs(part.double().mean() - share) < 0.1


def test_chosen_images_alone_are_changed(tampered):
    images = tampered[0].images[:6]
    trigger = TriggerEstimate(torch.zeros(3, 16, 16), torch.full((3, 16, 16), 300.0))
    chosen = torch.tensor([True, False, False, True, False, True])
    changed = immunise.immunise(images, trigger, chosen)
    assert (changed[chosen] == 255).all()  # clipped
    assert torch.equal(changed[~chosen], images[~chosen])
    assert changed.dtype == torch.uint8


@pytest.mark.parametrize("order", [("SL", "AU", "ASSFT"), ("SL", "ASSFT")], ids="-".join)
@pytest.mark.parametrize("exclude_easiest", [0.0, 0.2])
def test_dlp_estimates_from_all_suspects_and_stores_by_the_share(
    order, exclude_easiest, model, tampered, same_state
):
    done = []
    context = Context(store=Store(), progress=lambda stage, *_: done.append(stage))
    plain = DLP(
        gamma=0.05,
        e1=1,
        e2=1,
        order=order,
        exclude_easiest=exclude_easiest,
        unlearn=Unlearn(reestimate=100),
        fixmatch=BRIEF,
    )
    off = plain.run(model, tampered[0], context)
    done.clear()
    on = replace(plain, fixmatch=HALF).run(model, tampered[0], context)
    assert done == ["ASSFT"]  # stages before it are shared
    assert not same_state(on.model, off.model)
    start = copy.deepcopy(model)
    on.stages[order[-2]].load(start)
    done.clear()
    again = replace(plain, fixmatch=HALF).run(model, tampered[0], context)
    assert done == []
    assert same_state(again.model, on.model)
    if not exclude_easiest:
        trigger = estimate_trigger(tampered[0], on.selection.suspected)
        fixmatch(start, tampered[0], on.selection.trusted, HALF, context, trigger)
        assert done == []  # the same run: it was stored under the same name
        assert same_state(start, on.model)


def test_another_trigger_is_another_run(model, tampered):
    done = []
    context = Context(store=Store(), progress=lambda stage, *_: done.append(stage))
    for suspected in (SUSPECTED, SUSPECTED + 1):
        trigger = estimate_trigger(tampered[0], suspected)
        fixmatch(copy.deepcopy(model), tampered[0], TRUSTED, HALF, context, trigger)
    assert done == ["ASSFT"] * 2
