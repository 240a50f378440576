"""A stored stage answers for its own model alone, and answers whenever that model comes again."""

import copy
import functools
import linecache
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn
from torch.nn import functional

from dlp_lib import (
    DLP,
    SGD,
    Context,
    Diverged,
    FixMatch,
    Runtime,
    Store,
    Supervised,
    Unlearn,
    supervised,
)
from dlp_lib.models.interface import to_float
from dlp_lib.store import Record
from dlp_lib.training.checkpoints import Checkpoints
from dlp_lib.training.loop import train
from dlp_lib.training.steps import Task

DLP_SMALL = DLP(
    gamma=0.1,
    e1=2,
    e2=2,
    supervised=Supervised(batch=32, lr=0.05),
    unlearn=Unlearn(reestimate=40, stop=False),
    fixmatch=FixMatch(batch=8, mu=1, steps=2),
)


class Base(nn.Module):
    """A small model, of which the pairs below change one thing each."""

    slope = 1.0

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 8, 8)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(16, 10)
        self.activation = torch.relu
        self.shift = torch.zeros(4, 1, 1)  # a constant, held as a plain tensor

    def hidden(self, images):
        return self.activation(self.norm(self.stem(images))) * self.slope + self.shift

    def forward(self, images):
        return self.head(helper(self.hidden(images)).flatten(1))


class Heir(Base):
    """Its forward is its base's."""


def helper(x):
    return x


def made(kind=Base):
    torch.manual_seed(0)
    return kind()


def nothing(model, monkeypatch):
    pass


def plain_attribute(model, monkeypatch):
    model.activation = torch.sin


def class_attribute(model, monkeypatch):
    monkeypatch.setattr(type(model), "slope", 2.0)


def constant_tensor(model, monkeypatch):
    model.shift = torch.ones(4, 1, 1)


def edited_base(model, monkeypatch):
    monkeypatch.setattr(Base, "hidden", lambda self, images: torch.sin(self.stem(images)))


def edited_helper(model, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "helper", torch.sin)


def frozen_stem(model, monkeypatch):
    model.stem.requires_grad_(False)


def forward_hook(model, monkeypatch):
    model.stem.register_forward_hook(lambda module, inputs, output: 2 * output)


def patched_forward(model, monkeypatch):
    model.forward = functools.partial(patched, model)


def patched(model, images):
    return model.head(torch.sin(model.hidden(images)).flatten(1))


CHANGES = [
    plain_attribute,
    class_attribute,
    constant_tensor,
    edited_base,
    edited_helper,
    frozen_stem,
    forward_hook,
    patched_forward,
]


def run(model, tampered, store, computed=None):
    """DLP on 80 images; the names of computed stages are added to ``computed``."""

    def progress(stage, block, blocks, row):
        if computed is not None and stage not in computed:
            computed.append(stage)

    part = tampered[0].subset(slice(80))
    return DLP_SMALL.run(model, part, Context(Runtime(), store, progress))


@pytest.mark.parametrize("place", ["memory", "disk"])
@pytest.mark.parametrize("kind", [Base, Heir], ids=["class", "inherited"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_models_that_differ_never_answer_for_each_other(
    change, kind, place, tampered, tmp_path, monkeypatch, same_state
):
    store = Store(tmp_path if place == "disk" else None)
    plain = run(made(kind), tampered, store)
    model = made(kind)
    change(model, monkeypatch)
    on_warm_store = run(model, tampered, store)
    on_fresh_store = run(model, tampered, Store())
    assert same_state(on_warm_store.model, on_fresh_store.model)
    assert not same_state(on_warm_store.model, plain.model)


def test_a_frozen_layer_stays_as_it_was(tampered, monkeypatch):
    store = Store()
    run(made(), tampered, store)
    model = made()
    frozen_stem(model, monkeypatch)
    result = run(model, tampered, store)
    assert torch.equal(result.model.stem.weight, model.stem.weight)


class Lazy(Base):
    """It makes tensors in its passes: one for good, one for evaluation, one anew each time."""

    def forward(self, images):
        if not hasattr(self, "grid"):
            self.grid = torch.linspace(0, 1, 4).view(4, 1, 1)
        if self.training and not hasattr(self, "in_training"):
            self.in_training = torch.ones(1)
        self.last = images.detach().mean()
        self.passes = getattr(self, "passes", 0) + 1
        return self.head((self.hidden(images) + self.grid).flatten(1))


class Tied(Base):
    """Its classifier is stored under two names."""

    def __init__(self):
        super().__init__()
        self.again = self.head


class Empty(Base):
    """A container without members: its truth value is False."""

    def __len__(self):
        return 0


def in_a_cell():
    """A model of a class that was typed into a notebook cell."""
    source = textwrap.dedent(
        """
        class Typed(Base):
            def forward(self, images):
                return self.head(self.hidden(images).flatten(1))
        """
    )
    name = "<ipython-input-1-0123456789ab>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    names = {"Base": Base, "__name__": "__main__"}
    exec(compile(source, name, "exec"), names)
    return made(names["Typed"])


def compiled():
    return torch.compile(made(), backend="eager")


MODELS = {
    "plain": made,
    "lazy": lambda: made(Lazy),
    "tied": lambda: made(Tied),
    "empty": lambda: made(Empty),
    "notebook cell": in_a_cell,
    "compiled": compiled,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("name", MODELS)
def test_the_same_model_is_trained_once(name, tampered, tmp_path, same_state):
    first, second = [], []
    cold = run(MODELS[name](), tampered, Store(tmp_path), first)
    warm = run(MODELS[name](), tampered, Store(tmp_path), second)
    assert first == ["SL", "AU", "ASSFT"]
    assert second == []
    assert same_state(cold.model, warm.model)


def test_a_model_that_was_used_before_is_the_same_model(tampered):
    store, computed = Store(), []
    model = made(Lazy)
    run(model, tampered, store)
    model.eval()(torch.rand(2, 3, 16, 16))
    run(model, tampered, store, computed)
    assert computed == []


SCRIPT = """
import sys
import torch
from test_records import DLP_SMALL, made, Lazy, frozen_stem
from dlp_lib import BadNets, Context, Runtime, Split, Store, poison
from dlp_lib.data import shapes10

images, labels = shapes10.draw(80)
tampered, _ = poison(Split.from_arrays(images, labels, shapes10.CLASSES), BadNets(), 0.2, Context())
for frozen in (False, True):
    model = made(Lazy)
    if frozen:
        frozen_stem(model, None)
    before = model.stem.weight.clone()
    computed = set()
    context = Context(Runtime(), Store(sys.argv[1]), lambda stage, *_: computed.add(stage))
    result = DLP_SMALL.run(model, tampered, context)
    print(sorted(computed), (result.model.stem.weight - before).abs().max().item() > 0)
"""


def test_other_processes_read_what_one_has_stored(tmp_path, request):
    def answer():
        command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
        folder = request.path.parent
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    everything = "['ASSFT', 'AU', 'SL']"
    assert answer() == [f"{everything} True", f"{everything} False"]
    assert answer() == ["[] True", "[] False"]


def test_what_cannot_be_identified_is_trained_unstored_and_says_so(tampered, tmp_path):
    store = Store(tmp_path)
    model = made()
    model.log = (tmp_path / "log.txt").open("w")
    with pytest.warns(UserWarning, match="SL is not stored, as .*log"):
        stage = supervised(model, tampered[0], 1, Supervised(), Context(Runtime(), store))
    model.log.close()
    assert len(stage.history) == 1
    assert list(tmp_path.glob("SL*")) == []


class AdamConfig(SGD):
    """Adam in place of SGD; with two parameter groups, of which the first learns faster."""

    groups = 1

    def optimiser(self, parameters):
        first, *rest = parameters
        if self.groups == 1:
            return torch.optim.Adam([first, *rest], self.lr)
        return torch.optim.Adam([{"params": [first], "lr": 2 * self.lr}, {"params": rest}], self.lr)


class TwoGroups(AdamConfig):
    groups = 2


def adam_task(split, config):
    batches = [(to_float(images), split.labels[:50]) for images in split.images[:50].split(50)]

    def loss(model, batch):
        return functional.cross_entropy(model(batch[0]), batch[1])

    def record(model, _):
        return Record({}, {})

    def learning_rate(step):
        return config.lr / (1 + step)

    return Task("test", config, lambda block: batches * 3, loss, record, learning_rate)


@pytest.mark.parametrize("kind", [AdamConfig, TwoGroups])
@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_any_optimiser_resumes_to_the_bit(kind, killed_after, shapes, same_state):
    task = adam_task(shapes[0], kind(lr=0.01))
    straight = made()
    train(straight, task, 4, Checkpoints(Store(), "straight"), Context())

    checkpoints = Checkpoints(Store(), "killed")

    def kill(stage, block, blocks, row):
        if block == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(made(), task, 4, checkpoints, Context(progress=kill))
    resumed = made()
    train(resumed, task, 4, checkpoints, Context())
    assert same_state(resumed, straight)


def test_every_group_keeps_its_share_of_the_learning_rate(shapes):
    optimisers = []

    class Watched(TwoGroups):
        def optimiser(self, parameters):
            optimisers.append(super().optimiser(parameters))
            return optimisers[-1]

    task = adam_task(shapes[0], Watched(lr=0.01))
    train(made(), task, 1, Checkpoints(Store(), "test"), Context())
    rates = [group["lr"] for group in optimisers[0].param_groups]
    assert rates == pytest.approx([0.02 / 3, 0.01 / 3])  # after three steps


def test_modes_are_as_before(tampered):
    model = made()
    model.norm.eval()
    supervised(model, tampered[0], 1, Supervised(), Context())
    assert model.training
    assert not model.norm.training


def test_a_first_stage_that_diverges_stops_dlp(tampered):
    dlp = DLP(gamma=0.1, e1=2, supervised=Supervised(lr=1e6))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 64), nn.ReLU(), nn.Linear(64, 10))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(Diverged, match="SL diverged in block"):
        dlp.run(model, tampered[0])
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)
