"""DBD: its head, its choice of samples, and the three stages together."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from dlp_lib import Context, Runtime, Split, Store, after_each, logits_and_features, wrn_16_1
from dlp_lib.defences import DBD, SCE, MixMatch, SimCLR, dbd
from dlp_lib.recipes import CIFAR10, SHAPES10

QUICK = DBD(simclr=SimCLR(epochs=2, batch=128), sce=SCE(epochs=2), mixmatch=MixMatch(epochs=2))


def test_symmetric_cross_entropy_against_loops():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 3
    labels = torch.tensor([0, 3, 1, 2, 2, 0])
    expected = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total = sum(math.exp(value) for value in row)
        ce = 0.0
        rce = 0.0
        for k in range(4):
            p = math.exp(row[k]) / total
            if k == label:
                ce -= math.log(p)
            else:
                rce -= p * -4
        expected.append(0.1 * ce + 2 * rce)
    found = dbd.symmetric_cross_entropy(logits, labels, 0.1, 2.0)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_head_is_trained_alone(model, tampered, same_state):
    before = copy.deepcopy(model)
    dbd.sce(model, tampered[0], SCE(epochs=3), Context(Runtime(0)))
    assert same_state(model.blocks, before.blocks)
    assert same_state(model.bn, before.bn)
    assert not same_state(model.head, before.head)


def test_the_head_against_a_plain_loop(model, tampered):
    split = tampered[0]
    context = Context(Runtime(0))
    plain = copy.deepcopy(model)
    dbd.sce(model, split, SCE(epochs=1, lr=0.3), context)
    features = logits_and_features(plain, split.images).features
    optimiser = torch.optim.SGD(plain.head.parameters(), 0.3, momentum=0.9)
    order = torch.randperm(300, generator=context.runtime.generator("SCE", "order", 1))
    for rows in order.split(128):
        optimiser.zero_grad()
        logits = plain.head(features[rows])
        dbd.symmetric_cross_entropy(logits, split.labels[rows], 0.1, 1.0).mean().backward()
        optimiser.step()
    torch.testing.assert_close(model.head.weight, plain.head.weight)


def test_the_half_of_lowest_loss_keeps_its_labels(model, tampered, monkeypatch):
    split = tampered[0]
    calls = []
    original = dbd.mixmatch

    def spy(model, tampered, trusted, *rest):
        calls.append(trusted)
        return original(model, tampered, trusted, *rest)

    monkeypatch.setattr(dbd, "mixmatch", spy)
    result = QUICK.run(model, split, Context(Runtime(0)))
    (trusted,) = calls
    assert len(trusted) == len(trusted.unique()) == 150
    result.stages["SCE"].load(result.model)
    logits = logits_and_features(result.model, split.images).logits
    losses = dbd.symmetric_cross_entropy(logits, split.labels, 0.1, 1.0)
    is_other = torch.ones(300, dtype=torch.bool).index_fill(0, trusted, False)
    assert losses[trusted].max() <= losses[is_other].min()


def test_the_users_model_is_left_alone_and_every_stage_is_there(
    model, tampered, shapes, same_state
):
    before = copy.deepcopy(model)
    result = QUICK.run(model, tampered[0], Context(Runtime(0)))
    assert same_state(model, before)
    assert list(result.stages) == ["SimCLR", "SCE", "MixMatch"]
    images = [stage.total("images") for stage in result.stages.values()]
    assert images == [2 * 2 * 300, 0, 2 * 3 * 150]
    assert result.total("images") == sum(images)
    assert list(after_each(result, shapes[1])) == list(result.stages)


def test_an_interrupted_run_goes_on_bit_for_bit(model, tampered, tmp_path, same_state):
    first = QUICK.run(model, tampered[0], Context(Runtime(0), Store(tmp_path)))
    name = first.stages["MixMatch"].checkpoints.name
    (tmp_path / name / "2.safetensors").unlink()
    (tmp_path / name / "state.safetensors").unlink()
    computed = []

    def progress(stage, block, blocks, row):
        computed.append((stage, block))

    second = QUICK.run(model, tampered[0], Context(Runtime(0), Store(tmp_path), progress))
    assert same_state(first.model, second.model)
    assert computed == [("MixMatch", 1), ("MixMatch", 2)]


def test_a_set_that_does_not_fill_its_last_batches_works(tampered):
    rows = torch.arange(65)  # one over a batch of 64
    split = Split(tampered[0].images[rows], tampered[0].labels[rows], tampered[0].classes)
    method = DBD(
        simclr=SimCLR(epochs=1, batch=64),
        sce=SCE(epochs=1),
        mixmatch=MixMatch(epochs=1, batch=31, views=3),
    )
    result = method.run(wrn_16_1(10, Runtime(0)), split, Context(Runtime(0)))
    assert all(weight.isfinite().all() for weight in result.model.state_dict().values())
    assert not any(stage.history[-1]["diverged"] for stage in result.stages.values())


@pytest.mark.parametrize(
    ("kind", "setting"),
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
def test_bad_settings_are_refused(kind, setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name}={value}.*allowed are"):
        kind(**setting)


def test_what_cannot_work_is_refused_before_any_work(tampered):
    split = tampered[0]
    context = Context(progress=lambda *_: pytest.fail("it trained"))
    with pytest.raises(ValueError, match="it tells 3 classes apart; allowed are the 10"):
        QUICK.run(wrn_16_1(3, Runtime(0)), split, context)
    with pytest.raises(ValueError, match=r"trusted=0.001: no sample of 300; .* at least 0.00333"):
        replace(QUICK, trusted=0.001).run(wrn_16_1(10, Runtime(0)), split, context)
    with pytest.raises(TypeError, match="features"):
        QUICK.run(torch.nn.Flatten(), split, context)


def test_it_is_one_of_the_recipes_methods():
    assert CIFAR10.defences["DBD"] == DBD()
    assert SHAPES10.defences["DBD"].trusted == 0.5
    assert (DBD.sees, DBD.starts) == ("tampered", "untrained")
