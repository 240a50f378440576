import copy
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import dlp_lib
from dlp_lib import (
    Context,
    FixMatch,
    Runtime,
    Store,
    Supervised,
    Unlearn,
    accuracy,
    fixmatch,
    predict,
)
from dlp_lib.data import augment
from dlp_lib.models.interface import to_float
from dlp_lib.training import stage as stages


@pytest.fixture
def suspected(tampered):
    return tampered[1].poisoned.nonzero()[:20, 0]


@pytest.fixture
def trusted(tampered):
    return (~tampered[1].poisoned).nonzero()[:50, 0]


def test_supervised_against_a_plain_loop(model, tampered, context):
    plain = copy.deepcopy(model)
    stage = dlp_lib.supervised(model, tampered[0], 1, Supervised(lr=0.05, batch=64), context)
    order = torch.randperm(300, generator=context.runtime.generator("SL", "order", 1))
    optimiser = torch.optim.SGD(plain.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    plain.train()
    for rows in order.split(64):
        optimiser.zero_grad()
        F.cross_entropy(
            plain(to_float(tampered[0].images[rows])), tampered[0].labels[rows]
        ).backward()
        optimiser.step()
    for ours, theirs in zip(model.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)
    logits = stage.checkpoints.read(1).tensors["logits"]
    torch.testing.assert_close(logits, predict(plain, tampered[0].images))  # in data-set order
    assert stage.history[0]["accuracy"] == accuracy(logits, tampered[0].labels)


def test_a_probe_is_watched_before_every_step_and_changes_nothing(
    model, tampered, context, same_state
):
    alone, watched, untrained = model, copy.deepcopy(model), copy.deepcopy(model)
    dlp_lib.supervised(alone, tampered[0], 2, Supervised(), context)
    probe = torch.tensor([4, 250, 17])
    stage = dlp_lib.supervised(watched, tampered[0], 2, Supervised(), context, probe)
    assert same_state(alone, watched)
    first, second = (stage.checkpoints.read(epoch).tensors for epoch in (1, 2))
    assert first["steps"].shape == (
        3,
        3,
        10,
    )  # 300 samples in batches of 128, three of them watched
    torch.testing.assert_close(first["steps"][0], predict(untrained, tampered[0].images[probe]))
    torch.testing.assert_close(second["steps"][0], first["logits"][probe])
    reduced = Context(Runtime(precision="bfloat16"))
    stage = dlp_lib.supervised(
        copy.deepcopy(untrained), tampered[0], 1, Supervised(), reduced, probe
    )
    assert torch.equal(
        stage.checkpoints.read(1).tensors["steps"][0], first["steps"][0]
    )  # scores are float32 in any case


def test_a_last_batch_of_one_is_left_out_and_no_other(tampered):
    """A set of one image gives it twice."""
    for n, sizes in ((33, [16, 16]), (34, [16, 16, 2]), (32, [16, 16]), (1, [2])):
        split = tampered[0].subset(torch.arange(n))
        batches = stages.draw_epoch(split, 16, torch.Generator())
        assert [len(batch.rows) for batch in batches] == sizes


@pytest.mark.parametrize("batchnorm", ["train", "eval"])
def test_unlearning_against_a_plain_ascent(batchnorm, model, tampered, suspected, context):
    plain = copy.deepcopy(model)
    config = Unlearn(lr=0.01, batch=64, batchnorm=batchnorm, reestimate=100, stop=False)
    stage = dlp_lib.unlearn(model, tampered[0], suspected, 3, config, context)
    images, labels = to_float(tampered[0].images[suspected]), tampered[0].labels[suspected]
    speed = {}
    for _ in range(3):
        plain.train(batchnorm == "train")
        loss = F.cross_entropy(plain(images), labels)
        gradients = torch.autograd.grad(loss, list(plain.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(plain.parameters(), gradients, strict=True):
                speed[weight] = 0.9 * speed.get(weight, 0) + gradient
                weight += 0.01 * speed[weight]  # up the slope
    as_left = copy.deepcopy(model)
    stage.checkpoints.load(as_left, 3)
    for ours, theirs in zip(
        as_left.state_dict().values(), plain.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert stage.history[2]["accuracy"] == accuracy(
        predict(plain, tampered[0].images[suspected]), labels
    )
    assert (
        stage.history[0]["loss"] > stage.history[2]["loss"]
    )  # the loss that is minimised is minus cross-entropy


def test_batchnorm_is_reestimated_on_tampered_images(model, tampered, suspected, context):
    stage = dlp_lib.unlearn(
        model, tampered[0], suspected, 2, Unlearn(reestimate=300, stop=False), context
    )
    seen = []
    model.bn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    model.train()
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    rows = torch.randperm(300, generator=context.runtime.generator("AU", "reestimate"))
    for part in rows.chunk(2):  # all 300, at most 250 in a batch
        model(to_float(tampered[0].images[part]))
    mean, var = (
        torch.stack([of(x, (0, 2, 3)) for x in seen]).mean(0) for of in (torch.mean, torch.var)
    )
    torch.testing.assert_close(statistics["bn.running_mean"], mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(statistics["bn.running_var"], var, rtol=1e-3, atol=1e-4)
    left = copy.deepcopy(model)
    stage.checkpoints.load(left, 2)
    assert not torch.allclose(left.bn.running_mean, statistics["bn.running_mean"], rtol=0.05)


def test_the_stop_is_the_first_epoch_at_chance_and_the_whole_ascent_is_recorded(
    model, tampered, suspected, context, same_state
):
    dlp_lib.supervised(
        model, tampered[0], 3, Supervised(lr=0.05), context
    )  # enough to know the trigger
    learned = copy.deepcopy(model)
    config = Unlearn(lr=0.02, reestimate=300)
    stage = dlp_lib.unlearn(model, tampered[0], suspected, 20, config, context)
    at_chance = [row["accuracy_reestimated"] <= 0.1 for row in stage.history]
    assert not at_chance[0]
    assert True in at_chance
    assert stage.selected_block == at_chance.index(True) + 1
    assert len(stage.history) == 20
    judged = predict(model, tampered[0].images[suspected])
    row = stage.history[stage.selected_block - 1]
    assert accuracy(judged, tampered[0].labels[suspected]) == row["accuracy_reestimated"]

    unstopped = Unlearn(lr=0.02, reestimate=300, stop=False)
    off = dlp_lib.unlearn(copy.deepcopy(learned), tampered[0], suspected, 5, unstopped, context)
    assert off.selected_block == 5
    prefix = dlp_lib.unlearn(learned, tampered[0], suspected, stage.selected_block, config, context)
    assert prefix.checkpoints.name == stage.checkpoints.name
    assert same_state(learned, model)


def test_unlearning_without_batchnorm_and_of_one_sample(tampered, context):
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 10))
    stage = dlp_lib.unlearn(plain, tampered[0], torch.tensor([5]), 3, Unlearn(), context)
    assert [row["accuracy"] == row["accuracy_reestimated"] for row in stage.history] == [True] * 3
    assert stage.total("images") == 3


def test_an_ascent_that_diverges_ends_finite_and_says_so(model, tampered, suspected, context):
    config = Unlearn(lr=1e6, batchnorm="eval", reestimate=100, stop=False)
    stage = dlp_lib.unlearn(model, tampered[0], suspected, 20, config, context)
    assert stage.history[-1]["diverged"]
    assert len(stage.history) < 20
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("poisoned_share", [0, 0.5, 1])
def test_unlearning_any_suspects_ends_finite_and_tells_a_collapse(
    poisoned_share, model, tampered, context
):
    split, truth = tampered
    count = round(30 * poisoned_share)
    rows = [truth.poisoned.nonzero()[:count, 0], (~truth.poisoned).nonzero()[: 30 - count, 0]]
    dlp_lib.supervised(model, split, 6, Supervised(lr=0.05), context)
    stage = dlp_lib.unlearn(
        model, split, torch.cat(rows), 15, Unlearn(lr=0.5, reestimate=300, stop=False), context
    )
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert stage.history[-1]["collapsed"]
    answers = predict(model, split.images).argmax(1)  # all 300 images are the sample, in some order
    recalls = [(answers[split.labels == label] == label).double().mean() for label in range(10)]
    assert sum(recalls) / 10 < 0.15


def test_no_epochs_change_nothing(model, tampered, suspected, trusted, context, same_state):
    before = copy.deepcopy(model)
    assert dlp_lib.unlearn(model, tampered[0], suspected, 0, Unlearn(), context).history == []
    assert fixmatch(model, tampered[0], trusted, FixMatch(steps=0), context).selected_block == 0
    assert same_state(model, before)


def test_fixmatch_against_a_plain_reference(model, tampered, trusted, context):
    """Three steps, each loss from its formula and each view from the same draws."""
    plain = copy.deepcopy(model)
    config = FixMatch(batch=8, mu=2, tau=0.2, lambda_u=0.5, steps=3, lr=0.05)
    stage = fixmatch(model, tampered[0], trusted, config, context)
    images, labels = tampered[0].images, tampered[0].labels
    order, views = (
        context.runtime.generator("ASSFT", purpose, 1) for purpose in ("order", "views")
    )
    others = torch.tensor([i for i in range(300) if i not in trusted.tolist()])
    labelled = trusted[torch.randperm(50, generator=order)[:24]]
    unlabelled = others[torch.randperm(250, generator=order)[:48]]
    average, losses, shares = copy.deepcopy(plain), [], []
    labelled_draws = augment.draw_weak(3, 8, (16, 16), views)
    weak_draws = augment.draw_weak(3, 16, (16, 16), views)
    strong_draws = augment.draw_strong(3, 16, (16, 16), views)
    optimiser = torch.optim.SGD(
        plain.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    for k in range(3):
        rows, other = labelled[8 * k : 8 * k + 8], unlabelled[16 * k : 16 * k + 16]
        on_labelled = augment.apply_weak(images[rows], labelled_draws[k])
        weak = augment.apply_weak(images[other], weak_draws[k])
        draws = augment.StrongDraws(*[part[k] for part in strong_draws])
        strong = augment.apply_strong(images[other], draws)
        teacher = copy.deepcopy(plain).train()  # a copy: its statistics are not to count
        shares_of_classes = teacher(to_float(weak)).detach().softmax(1)
        logits = plain.train()(to_float(torch.cat([on_labelled, strong])))
        loss = F.cross_entropy(logits[:8], labels[rows])
        confident = 0
        for p, z in zip(shares_of_classes, logits[8:], strict=True):
            if p.max() >= 0.2:
                confident += 1
                loss = loss + 0.5 * F.cross_entropy(z[None], p.argmax()[None]) / 16
        shares.append(confident / 16)
        losses.append(loss.item())
        optimiser.param_groups[0]["lr"] = 0.05 * math.cos(7 * math.pi * k / (16 * 3))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay = (1 + k) / (10 + k)
        for mean, value in zip(
            average.state_dict().values(), plain.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.copy_(decay * mean + (1 - decay) * value)
    assert stage.history[0]["loss"] == pytest.approx(sum(losses) / 3, rel=1e-4)
    assert stage.history[0]["confident"] == pytest.approx(sum(shares) / 3)
    assert 0 < sum(shares) < 3
    assert stage.total("images") == 3 * 8 * 3
    ours, theirs = model.state_dict(), average.state_dict()
    for name in ours:
        if ours[name].is_floating_point():
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4, msg=name)


def test_fixmatch_never_reads_an_untrusted_label(model, tampered, trusted, context, same_state):
    twin, labels = copy.deepcopy(model), torch.full_like(tampered[0].labels, 7)
    labels[trusted] = tampered[0].labels[trusted]
    lied_to = replace(tampered[0], labels=labels)
    assert not torch.equal(lied_to.labels, tampered[0].labels)
    fixmatch(model, tampered[0], trusted, FixMatch(batch=8, mu=2, steps=3), context)
    fixmatch(
        twin, lied_to, trusted, FixMatch(batch=8, mu=2, steps=3), Context(context.runtime, Store())
    )
    assert same_state(model, twin)


def test_fixmatch_resumes_in_the_middle(model, tampered, trusted, runtime, same_state):
    config, store, twin = FixMatch(batch=4, mu=1, steps=45), Store(), copy.deepcopy(model)

    def interrupt(stage, block, blocks, row):
        assert blocks == 3  # of 20, 20 and 5 steps
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fixmatch(
            copy.deepcopy(model), tampered[0], trusted, config, Context(runtime, store, interrupt)
        )
    stage = fixmatch(model, tampered[0], trusted, config, Context(runtime, store))
    fixmatch(twin, tampered[0], trusted, config, Context(runtime))
    assert same_state(model, twin)
    assert [row["images"] for row in stage.history] == [160, 160, 40]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: FixMatch(steps=-1), "steps=-1"),
        (lambda: FixMatch(steps=1.5), "steps=1.5"),
        (lambda: FixMatch(mu=0), "mu=0"),
        (lambda: FixMatch(tau=1.1), "tau=1.1"),
        (lambda: FixMatch(lambda_u=-1), "lambda_u=-1"),
        (lambda: Unlearn(batchnorm="off"), "batchnorm='off'"),
        (lambda: Unlearn(reestimate=1), "reestimate=1"),
        (lambda: Unlearn(lr=-0.01), "lr=-0.01: allowed are finite numbers > 0"),
    ],
)
def test_bad_settings_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        config()


class Plain(torch.nn.Module):
    """A model of one's own, with a buffer that its state leaves out."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5), persistent=False)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 8, 8), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.5)
        )
        self.head = torch.nn.Linear(16, 10)

    def forward(self, images):
        return self.head(self.layers(images - self.mean).flatten(1))


def test_a_model_of_ones_own_repeats_whatever_the_global_stream(
    tampered, suspected, context, same_state
):
    torch.manual_seed(0)
    models = [Plain()]
    models.append(copy.deepcopy(models[0]))
    for seed, each in enumerate(models):
        torch.manual_seed(seed)
        unlearning = Context(context.runtime, Store())
        dlp_lib.unlearn(
            each, tampered[0], suspected, 2, Unlearn(reestimate=100, stop=False), unlearning
        )
    assert same_state(*models)


def test_an_edited_model_never_answers_from_the_cache(tampered, trusted, context, monkeypatch):
    torch.manual_seed(0)
    model, names = Plain(), []
    for edited in (False, True):
        if edited:
            monkeypatch.setattr(
                Plain, "forward", lambda self, images: self.head(self.layers(images).flatten(1))
            )
        stage = fixmatch(
            copy.deepcopy(model), tampered[0], trusted, FixMatch(batch=4, mu=1, steps=1), context
        )
        names.append(stage.checkpoints.name)
    assert len(set(names)) == 2


SCRIPT = """
import sys, torch
sys.path.insert(0, {package!r})
import dlp_lib
from dlp_lib import BadNets, Context, Runtime, Split, Store, Unlearn, poison, unlearn, wrn_16_1
from dlp_lib.data import shapes10
assert dlp_lib.__file__.startswith({package!r})
images, labels = shapes10.draw(40)
tampered, _ = poison(Split.from_arrays(images, labels, shapes10.CLASSES), BadNets(), 0.2, Context())
context = Context(Runtime(), Store({store!r}), lambda *_: print("computed"))
arguments = torch.arange(8), 1, Unlearn(reestimate=40), context
for _ in range(2):
    stage = unlearn(wrn_16_1(10, Runtime()), tampered, *arguments)
    print(stage.checkpoints.name, stage.history[0]["loss"])
"""


def test_an_edited_stage_never_answers_from_the_cache(tmp_path):
    package = tmp_path / "dlp_lib"
    shutil.copytree(
        Path(dlp_lib.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )

    def run():
        script = SCRIPT.format(package=str(tmp_path), store=str(tmp_path / "store"))
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    first = run()
    assert first == ["computed", first[1], first[1]]  # the second time read from the store
    source = package / "defences" / "unlearn.py"
    text = source.read_text(encoding="utf-8")
    edited = text.replace("return -cross_entropy(", "return cross_entropy(")
    assert edited != text
    source.write_text(edited, encoding="utf-8")
    mutated = run()
    assert mutated == ["computed", mutated[1], mutated[1]]
    assert float(mutated[1].split()[1]) == pytest.approx(-float(first[1].split()[1]))


def test_runtime_seed_is_part_of_what_happens(tampered, trusted, model, same_state):
    twin = copy.deepcopy(model)
    for each, seed in ((model, 0), (twin, 1)):
        fixmatch(
            each, tampered[0], trusted, FixMatch(batch=8, mu=1, steps=2), Context(Runtime(seed))
        )
    assert not same_state(model, twin)
