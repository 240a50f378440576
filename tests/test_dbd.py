import copy
import math
from dataclasses import replace

import pytest
import torch

from dlp_lib import Context, Runtime, Split, Store, after_each, logits_and_features, wrn_16_1
from dlp_lib.defences import DBD, SCE, MixMatch, SimCLR, dbd, simclr
from dlp_lib.recipes import CIFAR10, SHAPES10

QUICK = DBD(simclr=SimCLR(epochs=2, batch=128), sce=SCE(epochs=2), mixmatch=MixMatch(epochs=2))


def relabelled(split):
    """The same images, each with the label after its own."""
    return replace(split, labels=(split.labels + 1) % len(split.classes))


def test_nt_xent_against_loops():
    z, temperature = torch.randn(10, 7, generator=torch.Generator().manual_seed(0)), 0.5

    def similarity(i, j):
        return (z[i] @ z[j] / (z[i].norm() * z[j].norm()) / temperature).exp()

    losses = []
    for i in range(10):
        partner = i + 5 if i < 5 else i - 5
        others = sum(similarity(i, j) for j in range(10) if j != i)
        losses.append(-(similarity(i, partner) / others).log())
    torch.testing.assert_close(simclr.nt_xent(z, temperature), torch.stack(losses).mean())


def test_symmetric_cross_entropy_against_loops():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 3
    labels = torch.tensor([0, 3, 1, 2, 2, 0])
    expected = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        p = [math.exp(value) / sum(map(math.exp, row)) for value in row]
        ce = rce = 0.0
        for k in range(4):
            target = float(k == label)
            ce -= target * math.log(p[k])
            rce -= p[k] * (math.log(target) if target else -4)
        expected.append(0.1 * ce + 2 * rce)
    torch.testing.assert_close(
        dbd.symmetric_cross_entropy(logits, labels, 0.1, 2.0), torch.tensor(expected)
    )


def test_sharpening_against_loops():
    p = torch.tensor([[0.5, 0.3, 0.2], [0.0, 0.4, 0.6], [0.0, 1.0, 0.0]])
    for temperature in (0.5, 1.0):
        powers = [[value ** (1 / temperature) for value in row] for row in p.tolist()]
        expected = torch.tensor([[value / sum(row) for value in row] for row in powers])
        torch.testing.assert_close(dbd.sharpen(p, temperature), expected)


def test_mixup_against_loops():
    generator = torch.Generator().manual_seed(0)
    images, labels = (
        torch.rand(4, 3, 2, 2, generator=generator),
        torch.rand(4, 5, generator=generator),
    )
    order, share = torch.tensor([2, 0, 3, 1]), torch.tensor([0.1, 0.9, 0.5, 1.0])
    mixed, soft = dbd.mixup(images, labels, order, share)
    for i, (j, part) in enumerate(zip(order.tolist(), [0.9, 0.9, 0.5, 1.0], strict=True)):
        torch.testing.assert_close(mixed[i], part * images[i] + (1 - part) * images[j])
        torch.testing.assert_close(soft[i], part * labels[i] + (1 - part) * labels[j])


def test_views_show_a_part_of_the_image_in_new_colours(shapes):
    images = torch.zeros(400, 3, 16, 16, dtype=torch.uint8)
    images[:, :, :, 8:] = 255  # black on the left, white on the right
    views = simclr.view(images, 0.2, torch.Generator().manual_seed(0))
    assert views.dtype == torch.uint8 and views.shape == images.shape
    assert all(
        len(view.flatten(1).unique(dim=1).T) <= 2 for view in views
    )  # no third colour, no border
    dark = (
        (views == views[:, :, :, :1]).all(1).double().mean((1, 2))
    )  # share of the left border's colour
    assert dark.min() < 0.3 and dark.max() == 1 and 0.4 < dark.mean() < 0.8
    whole = (
        simclr.view(shapes[0].images, 1.0, torch.Generator().manual_seed(0)).double().mean((2, 3))
        - 127.5
    )
    assert whole.abs().mean() < 60 and whole.std() > 20  # centred, and of every brightness


def test_labels_do_not_matter_to_the_features(model, tampered, same_state):
    split, other = tampered[0], relabelled(tampered[0])
    models = [copy.deepcopy(model) for _ in range(2)]
    for each, data in zip(models, (split, other), strict=True):
        simclr.simclr(each, data, QUICK.simclr, Context(Runtime(0)))  # each with a store of its own
    assert same_state(*models) and not same_state(models[0], model)
    assert same_state(models[0].head, model.head) and not hasattr(models[0], "projection")
    seen = [logits_and_features(each, split.images[:50]).features for each in (models[0], model)]
    assert not torch.allclose(*seen)


def test_the_head_is_trained_alone(model, tampered, same_state):
    before = copy.deepcopy(model)
    dbd.sce(model, tampered[0], SCE(epochs=3), Context(Runtime(0)))
    assert same_state(model.blocks, before.blocks) and same_state(model.bn, before.bn)
    assert not same_state(model.head, before.head)


def test_the_head_against_a_plain_loop(model, tampered):
    context, plain = Context(Runtime(0)), copy.deepcopy(model)
    dbd.sce(model, tampered[0], SCE(epochs=1, lr=0.3), context)
    features = logits_and_features(plain, tampered[0].images).features
    optimiser = torch.optim.SGD(plain.head.parameters(), 0.3, momentum=0.9)
    for rows in torch.randperm(300, generator=context.runtime.generator("SCE", "order", 1)).split(
        128
    ):
        optimiser.zero_grad()
        dbd.symmetric_cross_entropy(
            plain.head(features[rows]), tampered[0].labels[rows], 0.1, 1.0
        ).mean().backward()
        optimiser.step()
    torch.testing.assert_close(model.head.weight, plain.head.weight)


@pytest.fixture
def asked(monkeypatch):
    """The samples that a run of DBD lets keep their labels."""
    asked, mixmatch = [], dbd.mixmatch
    monkeypatch.setattr(dbd, "mixmatch", lambda *given: asked.append(given[2]) or mixmatch(*given))
    return asked


def test_half_of_all_samples_keep_their_labels_those_of_lowest_loss(model, tampered, asked):
    split = tampered[0]
    defended = QUICK.run(model, split, Context(Runtime(0)))
    trusted = asked[0]
    assert len(trusted) == len(trusted.unique()) == 150
    defended.stages["SCE"].checkpoints.load(defended.model, 2)
    losses = dbd.symmetric_cross_entropy(
        logits_and_features(defended.model, split.images).logits, split.labels, 0.1, 1.0
    )
    left = torch.ones(300, dtype=torch.bool).index_fill(0, trusted, False)
    assert losses[trusted].max() <= losses[left].min()


def test_lost_labels_do_not_matter(model, tampered, same_state):
    split, trusted = tampered[0], torch.arange(0, 300, 2)
    labels = relabelled(split).labels.index_copy(
        0, trusted, split.labels[trusted]
    )  # others are all wrong
    models = [copy.deepcopy(model) for _ in range(3)]
    for each, data in zip(
        models, (split, replace(split, labels=labels), relabelled(split)), strict=True
    ):
        dbd.mixmatch(each, data, trusted, QUICK.mixmatch, Context(Runtime(0)))
    assert same_state(*models[:2])
    assert not same_state(models[0], models[2])  # those that are kept do


def test_the_unlabelled_matter_more_from_epoch_to_epoch(model, tampered, monkeypatch):
    seen, trusted = [], torch.arange(100)
    monkeypatch.setattr(dbd, "run_task", lambda task, *_: seen.append(task))
    dbd.mixmatch(
        model,
        tampered[0],
        trusted,
        MixMatch(epochs=3, lambda_u=15.0, batch=64),
        Context(Runtime(0)),
    )
    batches = [list(seen[0].batches(epoch)) for epoch in (1, 2, 3)]
    assert [[batch[3] for batch in part] for part in batches] == [[5.0] * 2, [10.0] * 2, [15.0] * 2]
    for part in batches:
        assert [tuple(map(len, batch[:3])) for batch in part] == [(64, 64, 128), (36, 36, 72)]
        counts = torch.cat([batch[1] for batch in part]).sum(0)
        assert torch.equal(
            counts.long(), tampered[0].labels[:100].bincount(minlength=10)
        )  # each of them once


def test_it_leaves_the_average_and_the_given_model_alone(model, tampered, shapes, same_state):
    before = copy.deepcopy(model)
    defended = QUICK.run(model, tampered[0], Context(Runtime(0)))
    assert same_state(model, before) and list(defended.stages) == ["SimCLR", "SCE", "MixMatch"]
    images = [stage.total("images") for stage in defended.stages.values()]
    assert images == [2 * 2 * 300, 0, 2 * 3 * 150] and defended.total("images") == sum(images)
    assert list(after_each(defended, shapes[1])) == list(
        defended.stages
    )  # every stage's weights are there


@pytest.mark.parametrize("kept", ["all", "all but the end"])
def test_a_second_run_reads_or_goes_on_bit_for_bit(kept, model, tampered, tmp_path, same_state):
    first = QUICK.run(model, tampered[0], Context(Runtime(0), Store(tmp_path)))
    told = []
    if kept != "all":
        checkpoints = first.stages["MixMatch"].checkpoints
        (tmp_path / checkpoints.name / "2.safetensors").unlink()
        (tmp_path / checkpoints.name / "state.safetensors").unlink()
    context = Context(Runtime(0), Store(tmp_path), lambda *what: told.append(what[:2]))
    second = QUICK.run(model, tampered[0], context)
    assert same_state(first.model, second.model)
    assert told == ([] if kept == "all" else [("MixMatch", 1), ("MixMatch", 2)])


def test_features_can_be_had_of_any_size_and_dropped_samples_harm_nobody(tampered):
    split = Split(
        tampered[0].images[:65], tampered[0].labels[:65], tampered[0].classes
    )  # one over a batch of 64
    quick = DBD(
        simclr=SimCLR(epochs=1, batch=64),
        sce=SCE(epochs=1),
        mixmatch=MixMatch(epochs=1, batch=31, views=3),
    )
    defended = quick.run(wrn_16_1(10, Runtime(0)), split, Context(Runtime(0)))
    assert not any(stage.history[-1]["diverged"] for stage in defended.stages.values())


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (DBD, {"trusted": 0}),
        (DBD, {"trusted": 1.0}),
        (SimCLR, {"epochs": 0}),
        (SimCLR, {"temperature": 0.0}),
        (SimCLR, {"crop": 1.5}),
        (SimCLR, {"lr": 0.0}),
        (SCE, {"epochs": 1.5}),
        (SCE, {"alpha": -1.0}),
        (MixMatch, {"epochs": 0}),
        (MixMatch, {"views": 0}),
        (MixMatch, {"temperature": 0.0}),
        (MixMatch, {"temperature": 2.0}),
        (MixMatch, {"alpha": 0.0}),
        (MixMatch, {"lambda_u": -1.0}),
    ],
)
def test_bad_settings_are_refused(kind, given):
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match=f"{name}={value}.*allowed are"):
        kind(**given)


def test_what_cannot_work_is_refused_before_any_work(tampered, context):
    with pytest.raises(ValueError, match=r"model of 3 classes, .* allowed"):
        QUICK.run(wrn_16_1(3, Runtime(0)), tampered[0], context)
    with pytest.raises(ValueError, match="0 samples to trust"):
        DBD(trusted=0.001).run(wrn_16_1(10, Runtime(0)), tampered[0], context)
    with pytest.raises(TypeError, match="features"):
        QUICK.run(torch.nn.Flatten(), tampered[0], context)


def test_it_is_one_of_the_methods():
    assert (
        CIFAR10["DBD"] == DBD()
        and SHAPES10["DBD"].trusted == 0.5
        and (DBD.sees, DBD.starts) == ("tampered", "untrained")
    )
