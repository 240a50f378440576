import copy
import shutil

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from dlp_lib import (
    SGD,
    Context,
    FixMatch,
    Runtime,
    Store,
    Supervised,
    fixmatch,
    supervised,
    wrn_16_1,
)
from dlp_lib.models.interface import to_float
from dlp_lib.models.wrn import WideResNet
from dlp_lib.store import Record
from dlp_lib.training.checkpoints import Checkpoints
from dlp_lib.training.loop import train
from dlp_lib.training.steps import Task


def learn(tampered, epochs, store=None, seed=0, progress=lambda *_: None, runtime=None):
    """Stage 1 on 60 images, from the seed's weights."""
    runtime = runtime or Runtime(seed)
    model = wrn_16_1(10, runtime)
    part = tampered[0].subset(torch.arange(60))
    config = Supervised(batch=16, augment=True)
    return model, supervised(
        model, part, epochs, config, Context(runtime, store or Store(), progress)
    )


def rows(stage):
    return [
        {name: value for name, value in row.items() if name != "seconds"} for row in stage.history
    ]


def test_five_epochs_and_then_three_equal_eight(tampered, tmp_path, same_state):
    store = Store(tmp_path)
    learn(tampered, 5, store)
    computed = []
    model, stage = learn(tampered, 8, store, progress=lambda *event: computed.append(event[:3]))
    assert computed == [("SL", 6, 8), ("SL", 7, 8), ("SL", 8, 8)]
    straight, whole = learn(tampered, 8)
    assert same_state(model, straight)
    assert rows(stage) == rows(whole)


def test_one_seed_repeats_and_two_differ(tampered, same_state):
    one, other, same = (learn(tampered, 2, seed=seed)[0] for seed in (0, 1, 0))
    assert same_state(one, same)
    assert not same_state(one, other)


def test_a_shorter_run_is_read_from_a_longer_one(tampered, same_state):
    store = Store()
    learn(tampered, 4, store)
    model, stage = learn(tampered, 2, store, progress=lambda *_: pytest.fail("it was recorded"))
    assert same_state(model, learn(tampered, 2)[0])
    assert (stage.selected_block, stage.total("images")) == (2, 120)


@pytest.mark.parametrize("moment", ["block", "state"])
def test_a_killed_run_resumes_to_the_same_end(moment, tampered, tmp_path, monkeypatch, same_state):
    class Killed(BaseException):
        pass

    store, write = Store(tmp_path), Store.write
    calls = []

    def dies(self, name, tensors, facts):
        calls.append(name)
        if (
            len(calls) == {"block": 5, "state": 6}[moment]
        ):  # while the third block is being recorded
            raise Killed
        write(self, name, tensors, facts)

    monkeypatch.setattr(Store, "write", dies)
    with pytest.raises(Killed):
        learn(tampered, 4, store)
    monkeypatch.undo()
    model, stage = learn(tampered, 4, store)
    straight, whole = learn(tampered, 4)
    assert same_state(model, straight)
    assert rows(stage) == rows(whole)


@pytest.mark.parametrize("name", ["2", "3", "state"])
def test_a_damaged_record_is_computed_again(name, tampered, tmp_path, same_state):
    store = Store(tmp_path)
    straight, whole = learn(tampered, 3, store)
    [path] = tmp_path.glob(f"SL-*/{name}.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    if name == "state":  # all the blocks are there
        model, stage = learn(tampered, 3, store)
        with pytest.warns(UserWarning, match="damaged"):
            longer, _ = learn(tampered, 4, store)
        assert same_state(longer, learn(tampered, 4)[0])
    else:
        with pytest.warns(UserWarning, match="damaged"):
            model, stage = learn(tampered, 3, store)
    assert same_state(model, straight)
    assert rows(stage) == rows(whole)


def test_settings_seeds_and_data_have_records_of_their_own(tampered):
    names = {learn(tampered, 1, seed=seed)[1].checkpoints.name for seed in (0, 1)}
    part, runtime = tampered[0].subset(torch.arange(59)), Runtime()
    for config in (
        Supervised(batch=16, augment=True),
        Supervised(batch=16),
        Supervised(batch=16, lr=0.02),
    ):
        names.add(
            supervised(wrn_16_1(10, runtime), part, 1, config, Context(runtime)).checkpoints.name
        )
    assert len(names) == 5


class Line(torch.nn.Module):
    """A small model with batch-norm, for comparisons step by step."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, stride=4),
            torch.nn.BatchNorm2d(4),
            torch.nn.Flatten(),
            torch.nn.Linear(64, 10),
        )

    def forward(self, images):
        return self.layers(images)


def batches_of(split, size):
    return [
        (to_float(split.images[i : i + size]), split.labels[i : i + size])
        for i in range(0, len(split), size)
    ]


def cross_entropy(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def test_the_loop_against_a_plain_one(shapes):
    """SGD with Nesterov momentum, weight decay, a schedule and an average, by hand."""
    batches = batches_of(shapes[0], 50)
    torch.manual_seed(0)
    model = Line()
    plain, plain_average = copy.deepcopy(model), copy.deepcopy(model)
    config = SGD(lr=0.1, momentum=0.8, weight_decay=0.01, nesterov=True)
    average = copy.deepcopy(model)
    task = Task(
        "test",
        config,
        lambda _: batches,
        cross_entropy,
        lambda *_: Record({}, {}),
        lr=lambda k: 0.1 / (1 + k),
        average=average,
    )
    history = train(model, task, 2, Checkpoints(Store(), "test"), Context())

    speed = {name: torch.zeros_like(weight) for name, weight in plain.named_parameters()}
    losses = []
    for step, batch in enumerate(batches * 2):
        plain.zero_grad()
        loss = cross_entropy(plain.train(), batch)
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for name, weight in plain.named_parameters():
                gradient = weight.grad + 0.01 * weight
                speed[name] = 0.8 * speed[name] + gradient
                weight -= 0.1 / (1 + step) * (gradient + 0.8 * speed[name])
            decay = min(0.999, (1 + step) / (10 + step))
            for mean, value in zip(
                plain_average.state_dict().values(), plain.state_dict().values(), strict=True
            ):
                if mean.is_floating_point():
                    mean.copy_(decay * mean + (1 - decay) * value)
    assert [row["loss"] for row in history] == pytest.approx(
        [sum(losses[:6]) / 6, sum(losses[6:]) / 6], rel=1e-4
    )
    pairs = zip(
        model.named_parameters(), plain_average.named_parameters(), strict=True
    )  # the average is left
    for (name, ours), (_, theirs) in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("with_average", [False, True])
def test_a_loss_that_is_no_longer_finite_ends_the_run_at_the_last_finite_weights(
    with_average, shapes, same_state
):
    torch.manual_seed(0)
    model = Line()
    average = copy.deepcopy(model) if with_average else None
    batches = batches_of(shapes[0], 100)
    kept = []

    def loss(model, batch):
        return cross_entropy(model, batch) * (float("inf") if len(kept) == 2 else 1)

    def record(model, _):
        kept.append(copy.deepcopy(model))
        return Record({}, {})

    task = Task("test", SGD(), lambda _: batches, loss, record, average=average)
    checkpoints = Checkpoints(Store(), "test")
    history = train(model, task, 5, checkpoints, Context())
    assert [row["diverged"] for row in history] == [False, False, True]
    assert history[-1]["loss"] is None
    assert same_state(model, kept[1])
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert train(model, task, 5, checkpoints, Context()) == history  # it is known to have ended


def test_dropout_repeats_and_resumes(shapes, same_state):
    def run(blocks, checkpoints):
        torch.manual_seed(1)
        model = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(768, 10)
        )
        task = Task(
            "test",
            SGD(),
            lambda _: batches_of(shapes[0], 100),
            cross_entropy,
            lambda *_: Record({}, {}),
        )
        train(model, task, blocks, checkpoints, Context())
        return model

    checkpoints = Checkpoints(Store(), "test")
    run(1, checkpoints)
    assert same_state(run(3, checkpoints), run(3, Checkpoints(Store(), "other")))


def test_bad_settings_are_refused():
    for settings in (
        {"lr": 0},
        {"momentum": 1},
        {"weight_decay": -1},
        {"batch": 1},
        {"nesterov": True, "momentum": 0},
    ):
        with pytest.raises(ValueError, match="allowed"):
            SGD(**settings)


def test_a_block_that_is_not_recorded_is_named(model):
    with pytest.raises(LookupError, match="test: block 3 is not recorded"):
        Checkpoints(Store(), "test").load(model, 3)


def narrow(runtime):
    """A small model: one block a group, half as wide as WRN-16-1's first."""
    with runtime.global_stream("init"):
        return WideResNet(10, blocks=1)


def tiny(runtime):
    """A model that compiles in a few seconds."""
    with runtime.global_stream("init"):
        return Line()


def few_steps(runtime, tampered, make_model):
    """Losses of a little of stages 1 and 3, and the scores of stage 1."""
    context, part, model = Context(runtime), tampered[0].subset(slice(96)), make_model(runtime)
    learned = supervised(model, part, 2, Supervised(batch=48), context)
    logits = learned.checkpoints.read(2).tensors["logits"]
    tuned = fixmatch(model, part, torch.arange(24), FixMatch(batch=8, mu=2, steps=2), context)
    return torch.tensor(
        [row["loss"] for stage in (learned, tuned) for row in stage.history]
    ), logits


needs_compiler = pytest.mark.skipif(
    shutil.which("c++") is None, reason="torch.compile wants a C++ compiler"
)


@pytest.mark.parametrize(
    ("settings", "tolerance", "make_model"),
    [
        pytest.param({"precision": "bfloat16"}, 0.02, narrow, id="bfloat16"),
        pytest.param({"compiled": True}, 1e-3, tiny, id="compiled", marks=needs_compiler),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_faster_steps_come_to_the_same(settings, tolerance, make_model, tampered):
    losses, logits = few_steps(Runtime(), tampered, make_model)
    theirs, scores = few_steps(Runtime(**settings), tampered, make_model)
    assert scores.dtype == torch.float32
    assert torch.allclose(theirs, losses, rtol=tolerance)
    assert torch.allclose(scores, logits, atol=20 * tolerance)
    assert not torch.equal(scores, logits)  # it was another way of computing them


def test_precision_is_part_of_a_stages_key(tampered):
    store, names = Store(), []
    for runtime in (Runtime(), Runtime(precision="bfloat16")):
        names.append(learn(tampered, 1, store, runtime=runtime)[1].checkpoints.name)
    assert names[0] != names[1]


aten = torch.ops.aten


class Reads(TorchDispatchMode):
    """Counts what makes a GPU's host wait: values that are read, shapes that depend on data."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        masks = func is aten.index.Tensor and any(
            part is not None and part.dtype == torch.bool for part in args[1]
        )
        self.count += masks or func in (aten._local_scalar_dense.default, aten.nonzero.default)
        return func(*args, **(kwargs or {}))


def reads(function):
    with Reads() as mode:
        function()
    return mode.count


def test_no_step_waits_for_what_it_computed(tampered, model, context):
    """An epoch of four steps reads as much as one of two does."""

    def learned(images):
        part = tampered[0].subset(slice(images))
        return lambda: supervised(
            copy.deepcopy(model), part, 1, Supervised(batch=16, augment=True), Context()
        )

    def tuned(steps):
        config = FixMatch(batch=8, mu=2, steps=steps)
        return lambda: fixmatch(
            copy.deepcopy(model), tampered[0], torch.arange(20), config, Context()
        )

    assert reads(learned(32)) == reads(learned(64)) > 0
    assert reads(tuned(2)) == reads(tuned(4)) > 0
    assert (
        reads(lambda: torch.ones(3)[torch.tensor([True, False, True])].sum().item()) == 2
    )  # it does count


def test_every_weight_learns_in_reduced_precision(tampered):
    """Autocast keeps what it cast without gradient; that must not serve a pass with it."""
    runtime = Runtime(precision="bfloat16")
    model = narrow(runtime)
    before = [weight.detach().clone() for weight in model.parameters()]
    config = FixMatch(batch=8, mu=2, steps=2)
    stage = fixmatch(model, tampered[0], torch.arange(20), config, Context(runtime))
    trained = [
        stage.checkpoints.read("state").tensors[f"model.{name}"]
        for name, _ in model.named_parameters()
    ]
    assert not any(torch.equal(old, new) for old, new in zip(before, trained, strict=True))
