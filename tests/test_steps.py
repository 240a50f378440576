"""Steps: what a batch holds, that no step waits for a GPU, and that steps can be captured."""

import copy
import warnings

import pytest
import torch
from device_rules import NoWaiting, Waits, record_on_tape
from quick_defences import QUICK
from torch import nn
from torch.nn import functional

from dlp_lib import DLP, SGD, Context, FixMatch, Runtime, Store, Supervised, Unlearn
from dlp_lib.data import augment
from dlp_lib.defences import ABL, DBD, SCE, MixMatch, SimCLR, Training
from dlp_lib.store import Record
from dlp_lib.training import capture, loop
from dlp_lib.training.batches import shapes_of, stacked, tensors_of
from dlp_lib.training.checkpoints import Checkpoints
from dlp_lib.training.loop import train
from dlp_lib.training.steps import Step, Task, run_eagerly

CPU = torch.device("cpu")


class Small(nn.Module):
    """A model that has all parts that defences want, and takes no time."""

    def __init__(self, classes=10, dropout=0.0):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4)
        self.bn = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, classes)

    def features(self, images):
        return self.dropout(self.bn(self.conv(images)).relu().mean((2, 3)))

    def forward(self, images):
        return self.head(self.features(images))


def small_model(dropout=0.0):
    with Runtime(0).global_stream("small"):
        return Small(dropout=dropout)


def make_task(loss, batches, **options):
    return Task("test", SGD(lr=0.1), lambda _: batches, loss, lambda *_: Record({}, {}), **options)


def numbers(count, rows=4):
    """Batches of random inputs and labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(count):
        inputs = torch.randn(rows, 5, generator=generator)
        labels = torch.randint(10, (rows,), generator=generator)
        batches.append((inputs, labels))
    return batches


def cross_entropy(model, batch):
    return functional.cross_entropy(model(batch[0]), batch[1])


def linear():
    with Runtime(0).global_stream("linear"):
        return nn.Linear(5, 10)


# Batches


def test_a_batch_holds_tensors_alone():
    draws = augment.StrongDraws(*torch.rand(7, 2))
    assert len(tensors_of((torch.ones(2), draws))) == 8
    for wrong in (1.0, None, [torch.ones(2)], "text"):
        with pytest.raises(TypeError, match=r"a batch holds .*: allowed are tensors and tuples"):
            tensors_of((torch.ones(2), (wrong,)))


def test_a_number_in_a_batch_is_refused_before_the_first_step():
    task = make_task(lambda *_: pytest.fail("a step was made"), [(torch.ones(2), 0.5)])
    with pytest.raises(TypeError, match="a batch holds float"):
        train(linear(), task, 1, Checkpoints(Store(), "test"), Context())


def test_neighbours_of_one_shape_are_sent_together():
    batches = [*numbers(3), *numbers(2, rows=1), *numbers(1)]
    stacks = list(stacked(batches, CPU))
    assert [stack.steps for stack in stacks] == [3, 2, 1]
    unstacked = [batch for stack in stacks for batch in stack.unstack()]
    assert [shapes_of(batch) for batch in unstacked] == [shapes_of(batch) for batch in batches]
    for ours, theirs in zip(unstacked, batches, strict=True):
        assert torch.equal(ours[0], theirs[0])
    part = stacks[0].part(1, 3)
    assert part.steps == 2
    assert torch.equal(part.batch[0][0], batches[1][0])


# No step waits


@pytest.fixture
def watched_steps(monkeypatch):
    """Every step is made where waiting for a device is refused; the names of their stages."""
    names = []
    original = Step.__call__

    def step_without_waiting(self, batch, share):
        names.append(self.task.name)
        tensors_of(batch)
        with NoWaiting():
            original(self, batch, share)

    monkeypatch.setattr(Step, "__call__", step_without_waiting)
    return names


@pytest.mark.parametrize("name", QUICK)
def test_no_step_of_a_defence_waits_for_what_it_computed(name, case, watched_steps):
    result = case.defend(QUICK[name])
    assert set(watched_steps) == {stage.name for stage in result.stages.values()}


def test_no_step_with_augmentation_waits(case, watched_steps):
    config = Supervised(augment=True)
    DLP(gamma=0.05, e1=1, order=("SL",), supervised=config).run(case.untrained, case.tampered)
    assert watched_steps == ["SL"] * 3


PLANTED = {
    "item": lambda logits: logits * logits.sum().item(),
    "bool": lambda logits: logits if logits.sum() > 0 else -logits,
    "mask": lambda logits: logits[logits[:, 0] < 10],
    "mask assigned": lambda logits: logits.clone().index_put_((logits < 0,), torch.zeros(())),
    "nonzero": lambda logits: logits[(logits[:, 0] < 10).nonzero()[:, 0]],
    "unique": lambda logits: logits * len(logits.detach().unique()),
    "bincount": lambda logits: logits * torch.ones(3).long().bincount().sum(),
    "masked_select": lambda logits: logits * logits.masked_select(logits > 0).sum(),
    "equal": lambda logits: logits * torch.equal(logits, logits),
    "copy": lambda logits: logits * torch.empty(2, device="meta").to("cpu").sum(),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_waits_is_noticed(planted, watched_steps):
    def loss(model, batch):
        logits = PLANTED[planted](model(batch[0]))
        return logits.mean()

    with pytest.raises((Waits, NotImplementedError)):
        train(linear(), make_task(loss, numbers(1)), 1, Checkpoints(Store(), "test"), Context())
    assert watched_steps == ["test"]


def test_a_strong_view_takes_at_most_two_hundred_operations():
    draws = augment.draw_strong(1, 448, (32, 32), torch.Generator())
    draws = augment.StrongDraws(*[part[0] for part in draws])
    images = torch.zeros(448, 3, 32, 32, dtype=torch.uint8)
    with NoWaiting() as dispatched:
        augment.apply_strong(images, draws)
    assert dispatched.count <= 200


# Captured steps


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """A runtime that captures on the CPU: on a tape, which repeats operations as a graph does."""
    monkeypatch.setattr(capture.Capture.__init__, "__defaults__", (record_on_tape,))
    runtime = Runtime()
    object.__setattr__(runtime, "captured", True)
    return runtime


@pytest.fixture
def replays(monkeypatch):
    """How many steps were replayed, by stage."""
    counts = {}
    original = capture.Recording.run

    def run(self, stack, first):
        name = self.step.task.name
        counts[name] = counts.get(name, 0) + stack.steps
        original(self, stack, first)

    monkeypatch.setattr(capture.Recording, "run", run)
    return counts


def without_capture(monkeypatch):
    """Steps run eagerly, with the optimiser as captured steps have it."""

    class Eager:
        def __init__(self, step):
            self.step = step

        def run(self, stack, first):
            run_eagerly(self.step, stack, first)

    monkeypatch.setattr(loop, "Capture", Eager)


LONGER = Training(batch=16, epochs=2, augment=True)
CAPTURED = {
    "DLP": DLP(
        gamma=0.05,
        e1=2,
        e2=2,
        supervised=Supervised(batch=16, augment=True),
        unlearn=Unlearn(batch=2, lr=1e-4),
        fixmatch=FixMatch(steps=30, batch=8, mu=2, tau=0.1, immunise=0.5),
    ),
    "ABL": ABL(
        isolation=LONGER,
        training=LONGER,
        isolated=0.1,
        unlearn_epochs=1,
        unlearning=Unlearn(batch=3),
    ),
    "DBD": DBD(
        simclr=SimCLR(batch=32, epochs=2),
        sce=SCE(batch=32, epochs=2),
        mixmatch=MixMatch(batch=16, epochs=2),
    ),
}


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("name", CAPTURED)
def test_captured_steps_equal_eager_ones_bit_for_bit(
    name, dropout, tampered, as_on_a_gpu, replays, monkeypatch, same_state
):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        captured = CAPTURED[name].run(small_model(dropout), tampered[0], Context(as_on_a_gpu))
    without_capture(monkeypatch)
    eager = CAPTURED[name].run(small_model(dropout), tampered[0], Context(as_on_a_gpu))
    assert set(replays) == {stage.name for stage in captured.stages.values()}
    assert min(replays.values()) > 2 * capture.COMPARED
    assert same_state(captured.model, eager.model)
    for stage, other in zip(captured.stages.values(), eager.stages.values(), strict=True):
        for row, other_row in zip(stage.history, other.history, strict=True):
            del row["seconds"], other_row["seconds"]
            assert row == other_row


def run_captured(loss, runtime, batches=None, model=None, **options):
    model = model or linear()
    batches = batches or numbers(20)
    task = make_task(loss, batches, **options)
    history = train(model, task, 2, Checkpoints(Store(), "test"), Context(runtime))
    return model, history


def test_a_learning_rate_and_an_average_follow_their_schedules(
    as_on_a_gpu, replays, monkeypatch, same_state
):
    options = {"lr": lambda number: 0.1 / (1 + number), "average": linear()}
    captured, _ = run_captured(cross_entropy, as_on_a_gpu, **options)
    assert replays == {"test": 17 + 20}  # all but the steps that warm up
    without_capture(monkeypatch)
    options["average"] = linear()
    eager, _ = run_captured(cross_entropy, as_on_a_gpu, **options)
    assert same_state(captured, eager)


def test_a_shorter_last_batch_runs_eagerly_and_a_longer_block_is_recorded_anew(
    as_on_a_gpu, replays, monkeypatch, same_state
):
    blocks = {1: [*numbers(10), *numbers(1, rows=3)], 2: [*numbers(30), *numbers(1, rows=3)]}
    task = make_task(cross_entropy, [])
    task = Task("test", task.config, blocks.get, task.loss, task.measure)
    captured = linear()
    train(captured, task, 2, Checkpoints(Store(), "test"), Context(as_on_a_gpu))
    assert replays == {"test": 7 + 27}
    without_capture(monkeypatch)
    eager = linear()
    train(eager, task, 2, Checkpoints(Store(), "test"), Context(as_on_a_gpu))
    assert same_state(captured, eager)


class Counting(nn.Module):
    """Counts its passes in Python, and answers differently each time."""

    def __init__(self):
        super().__init__()
        self.layer = linear()
        self.passes = 0

    def forward(self, inputs):
        self.passes += 1
        return self.layer(inputs) * (1 + self.passes)


def with_item(model, batch):
    return cross_entropy(model, batch) * batch[0].sum().item() ** 2


REFUSED = {
    "Python state": (cross_entropy, Counting, "is not the same as without capture"),
    "a value that is read": (with_item, linear, "is not the same as without capture"),
    "a count of batches": (
        cross_entropy,
        lambda: nn.Sequential(nn.BatchNorm1d(5, momentum=None), linear()),
        "0 averages its statistics by a count that Python keeps",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_captured_runs_eagerly_and_a_warning_says_so(
    case, as_on_a_gpu, replays, monkeypatch, same_state
):
    loss, make_model, message = REFUSED[case]
    with pytest.warns(UserWarning, match=f"test: steps are not captured, because .*{message}"):
        captured, _ = run_captured(loss, as_on_a_gpu, model=make_model())
    assert replays.get("test", 0) <= capture.COMPARED
    without_capture(monkeypatch)
    if case != "Python state":  # its count goes on where a step was compared
        eager, _ = run_captured(loss, as_on_a_gpu, model=make_model())
        assert same_state(captured, eager)


def test_an_error_while_recording_means_eager_steps(as_on_a_gpu, monkeypatch, same_state):
    def fails(function):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(capture.Capture.__init__, "__defaults__", (fails,))
    message = "test: steps are not captured, because operation not permitted when stream is capt"
    with pytest.warns(UserWarning, match=message):
        captured, _ = run_captured(cross_entropy, as_on_a_gpu)
    without_capture(monkeypatch)
    assert same_state(captured, run_captured(cross_entropy, as_on_a_gpu)[0])


def test_watched_steps_are_not_captured(as_on_a_gpu, replays):
    seen = []
    watch = lambda model: seen.append(copy.deepcopy(model))  # noqa: E731
    with pytest.warns(UserWarning, match="something is watched before every step"):
        run_captured(cross_entropy, as_on_a_gpu, watch=watch)
    assert len(seen) == 40
    assert replays == {}


def test_capture_is_for_gpus():
    with pytest.raises(ValueError, match="captured=True: allowed on a GPU, not with device='cpu'"):
        Runtime(captured=True)
