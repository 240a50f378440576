"""Recording beside the next block: the same records, in order, and no error is lost."""

import threading

import pytest
import torch

from dlp_lib import Context, Runtime, Store, Supervised, supervised, wrn_16_1
from dlp_lib.training import loop
from dlp_lib.training.checkpoints import Checkpoints
from dlp_lib.training.recording import BlockRecord, Recorder, copy_to_cpu, flatten, unflatten


@pytest.fixture
def in_background(monkeypatch):
    """Blocks are written by a thread, as on a GPU."""

    def recorder(checkpoints, in_background):
        return Recorder(checkpoints, in_background=True)

    monkeypatch.setattr(loop, "Recorder", recorder)


def learn(split, store, progress=lambda *_: None, epochs=3):
    runtime = Runtime()
    model = wrn_16_1(10, runtime)
    context = Context(runtime, store, progress)
    return model, supervised(model, split, epochs, Supervised(batch=32), context)


def block(number, value):
    tensors = {"weight": torch.full((3,), value)}
    return BlockRecord(number, tensors, {"diverged": False}, tensors, {"block": number, "step": 1})


def test_records_are_the_same_as_those_that_are_written_at_once(
    tampered, tmp_path, request, same_state
):
    split = tampered[0].subset(slice(64))
    model, stage = learn(split, Store(tmp_path / "at once"))
    request.getfixturevalue("in_background")
    events = []
    other, later = learn(split, Store(tmp_path / "beside"), lambda *event: events.append(event[1]))
    assert same_state(model, other)
    assert events == [1, 2, 3]
    for name in (1, 2, 3, "state"):
        ours = later.checkpoints.read(name)
        theirs = stage.checkpoints.read(name)
        assert ours.tensors.keys() == theirs.tensors.keys()
        for key, value in ours.tensors.items():
            assert torch.equal(value, theirs.tensors[key])


def test_a_block_is_reported_when_it_can_be_read(tampered, in_background):
    store = Store()
    name = learn(tampered[0].subset(slice(64)), store, epochs=1)[1].checkpoints.name
    other_store = Store()
    found = []

    def progress(stage, block, blocks, row):
        assert threading.current_thread() is threading.main_thread()
        found.append(Checkpoints(other_store, name).read(block) is not None)

    learn(tampered[0].subset(slice(64)), other_store, progress)
    assert found == [True] * 3


def test_tensors_may_change_as_soon_as_they_are_handed_over():
    checkpoints = Checkpoints(Store(), "test")
    go_on = threading.Event()
    original = checkpoints.write

    def slow(*arguments):
        go_on.wait(10)
        original(*arguments)

    checkpoints.write = slow
    record = block(1, 1.0)
    with Recorder(checkpoints, in_background=True) as recorder:
        recorder.write(record, lambda: None)
        record.tensors["weight"].zero_()
        go_on.set()
    assert checkpoints.read(1).tensors["weight"].tolist() == [1, 1, 1]


def test_an_error_while_writing_is_raised_in_the_run(tampered, in_background, monkeypatch):
    class FullDisk(Store):
        def write(self, name, tensors, facts):
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        learn(tampered[0].subset(slice(64)), FullDisk())


def test_a_block_under_way_is_written_where_an_error_ends_the_run():
    checkpoints = Checkpoints(Store(), "test")
    reported = []
    with pytest.raises(KeyboardInterrupt), Recorder(checkpoints, in_background=True) as recorder:
        recorder.write(block(1, 1.0), lambda: reported.append(1))
        raise KeyboardInterrupt
    assert checkpoints.read(1) is not None
    assert checkpoints.read("state") is not None
    assert reported == []


def test_an_interrupted_run_goes_on(tampered, in_background, same_state):
    split = tampered[0].subset(slice(64))
    straight, _ = learn(split, Store())

    def interrupt(stage, block, blocks, row):
        if block == 2:
            raise KeyboardInterrupt

    store = Store()
    with pytest.raises(KeyboardInterrupt):
        learn(split, store, interrupt)
    resumed, _ = learn(split, store)
    assert same_state(resumed, straight)


def test_flat_bytes_give_back_every_dtype_and_shape():
    tensors = [
        torch.tensor([2**40, -1]),
        torch.tensor(1.5, dtype=torch.float64),
        torch.rand(2, 3).T,
        torch.tensor([1.5, 2.5, 3.5], dtype=torch.bfloat16),
        torch.tensor([True, False, True]),
        torch.zeros(0),
    ]
    tensors.sort(key=lambda tensor: -tensor.element_size())
    flat = flatten(tensors)
    assert flat.dtype == torch.uint8
    for view, tensor in zip(unflatten(flat, tensors), tensors, strict=True):
        assert view.dtype == tensor.dtype
        assert torch.equal(view, tensor)


def test_copies_on_the_cpu_share_no_memory():
    tensor = torch.ones(3)
    (copied,), event = copy_to_cpu([tensor])
    assert event is None
    tensor.zero_()
    assert copied.tolist() == [1, 1, 1]


def test_other_threads_have_the_global_stream_while_a_block_is_written(tampered, monkeypatch):
    taken = []

    class Asking(Store):
        def write(self, name, tensors, facts):
            def take():
                with Runtime().global_stream("other"):
                    taken.append(name)

            other = threading.Thread(target=take, daemon=True)
            other.start()
            other.join(5)
            return super().write(name, tensors, facts)

    store = Asking()
    learn(tampered[0].subset(slice(64)), store, epochs=1)
    assert len(taken) == 2  # the block and the state
