"""Another model or edited code has another fingerprint; a harmless change has the same one."""

import collections
import copy
import datetime
import enum
import functools
import importlib.util
import linecache
import os
import re
import subprocess
import sys
import threading
import typing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dlp_lib.fingerprint import CannotFingerprint, fingerprint, neutral

HELPER = """
def weak(x):
    return x + 1

def strong(x):
    return x + 2
"""
TOY = '''
"""A toy."""
import enum
import functools

import torch
from torch import nn

import helper

SCALE = 2.0


def twice(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args) * 2
    return inner


def shift(x):
    return x - 3


def unrelated(x):
    return x - 4


@twice
def wrapped(x):
    return x / 5


def outer(x):
    def nested(y):
        return y ** 6
    return nested(x)


def lazy(x):
    from helper import strong
    return strong(x)


def counter(start):
    return lambda x: x + start


class Colour(enum.Enum):
    RED = 1


class Base(nn.Module):
    gain = 7

    def __init__(self):
        super().__init__()
        self.block = nn.Linear(2, 2)
        self.act = torch.relu

    @property
    def width(self):
        return 8

    @staticmethod
    def clip(x):
        return x.clamp(0, 9)

    def forward(self, x):
        """Go forward."""
        x = helper.weak(shift(x)) * SCALE  # a comment
        return self.act(self.block(x))


class Net(Base):
    colour = Colour.RED
    pick = lambda self, x: x[10]
    counted = counter(11)

    def score(self, x, k=12):
        return wrapped(outer(lazy(x)))


def make():
    torch.manual_seed(0)
    return Net()
'''


def load(folder, toy=TOY, helper=HELPER):
    """The module ``toy``, loaded from a file together with its own ``helper``."""
    folder.mkdir(exist_ok=True)
    for name, text in (("helper", helper), ("toy", toy)):
        path = folder / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))
    return module


@pytest.fixture(autouse=True)
def without_toys():
    yield
    for name in ("helper", "toy"):
        sys.modules.pop(name, None)


def edited(text, old, new):
    assert text.count(old) == 1
    return text.replace(old, new)


EDITS = {
    "global constant": ("SCALE = 2.0", "SCALE = 2.5"),
    "type of a constant": ("SCALE = 2.0", "SCALE = 2"),
    "helper function": ("x - 3", "x - 30"),
    "wrapped function": ("x / 5", "x / 50"),
    "decorator": ("function(*args) * 2", "function(*args) * 20"),
    "nested function": ("y ** 6", "y ** 60"),
    "class attribute": ("gain = 7", "gain = 70"),
    "property": ("return 8", "return 80"),
    "static method": ("clamp(0, 9)", "clamp(0, 90)"),
    "inherited forward": ("self.act(self.block(x))", "self.block(self.act(x))"),
    "enum member": ("RED = 1", "RED = 10"),
    "lambda": ("x[10]", "x[100]"),
    "closure value": ("counter(11)", "counter(110)"),
    "default argument": ("k=12", "k=120"),
    "function attribute": ("self.act = torch.relu", "self.act = torch.sin"),
    "base class": ("class Base(nn.Module)", "class Base(nn.Flatten)"),
    "lazy import": ("from helper import strong", "from helper import weak as strong"),
}
HARMLESS = {
    "comment": ("# a comment", "# another comment"),
    "docstring": ('"""Go forward."""', '"""Go on."""\n'),
    "docstring of the module": ('"""A toy."""', '"""A toy.\n\nFor tests."""'),
    "formatting": ("x.clamp(0, 9)", "x.clamp(\n            0,  9,\n        )"),
    "lines in front": ("SCALE = 2.0", "\n\n\nSCALE = 2.0"),
    "unrelated function": ("x - 4", "x - 40"),
    "annotation": ("def shift(x)", "def shift(x: int) -> int"),
}


@pytest.mark.parametrize("old, new", EDITS.values(), ids=EDITS)
def test_edited_code_differs(tmp_path, old, new):
    before = fingerprint(load(tmp_path / "a").make())
    assert fingerprint(load(tmp_path / "b", edited(TOY, old, new)).make()) != before


@pytest.mark.parametrize("old, new", HARMLESS.values(), ids=HARMLESS)
def test_a_harmless_edit_does_not_count(tmp_path, old, new):
    before = fingerprint(load(tmp_path / "a").make())
    assert fingerprint(load(tmp_path / "b", edited(TOY, old, new)).make()) == before


@pytest.mark.parametrize("used, old", [("weak", "x + 1"), ("strong", "x + 2")])
def test_a_helper_in_another_module_counts(tmp_path, used, old):
    before = fingerprint(load(tmp_path / "a").make())
    after = fingerprint(load(tmp_path / "b", helper=edited(HELPER, old, f"{old}0")).make())
    assert after != before, used


@pytest.mark.parametrize(
    "reads, counts",
    [
        ("return helper.weak(x)", False),
        ("import helper as h\n    return h.weak(x)", False),
        ("from helper import weak\n    return weak(x)", False),
        ("return helper.strong(x)", True),
        ("import helper as h\n    return h.strong(x)", True),
        ("from helper import strong as s\n    return s(x)", True),
        ("return getattr(helper, 'str' + 'ong')(x)", True),
        ("h = helper\n    return h.strong(x)", True),
    ],
)
def test_of_a_module_counts_what_is_read(tmp_path, reads, counts):
    toy = f"import helper\n\ndef run(x):\n    {reads}\n"
    before = fingerprint(load(tmp_path / "a", toy).run)
    after = fingerprint(load(tmp_path / "b", toy, edited(HELPER, "x + 2", "x + 20")).run)
    assert (before != after) == counts


def make_net():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.1), nn.Linear(3, 3))
    net.constant = torch.ones(3)
    net.act = torch.relu
    net.part = functools.partial(torch.add, alpha=1)
    net.register_buffer("kept", torch.zeros(2))
    net.register_buffer("passing", torch.zeros(2), persistent=False)
    return net


def double(*args):
    return args[-1] * 2


CHANGES = {
    "weight": lambda net: net[0].weight.data.add_(1),
    "plain tensor": lambda net: net.constant.add_(1),
    "function attribute": lambda net: setattr(net, "act", torch.sin),
    "partial argument": lambda net: net.part.keywords.update(alpha=2),
    "buffer": lambda net: net.kept.add_(1),
    "non-persistent buffer": lambda net: net.passing.add_(1),
    "persistence": lambda net: net.register_buffer("kept", net.kept, persistent=False),
    "learns": lambda net: net[0].weight.requires_grad_(False),
    "forward hook": lambda net: net[0].register_forward_hook(double),
    "pre-hook": lambda net: net[0].register_forward_pre_hook(double),
    "tensor hook": lambda net: net[0].weight.register_hook(double),
    "patched forward": lambda net: setattr(net[0], "forward", double),
    "frozen part": lambda net: net[1].eval(),
    "tied parameters": lambda net: setattr(net[3], "weight", net[0].weight),
    "tied memory": lambda net: setattr(net[3].weight, "data", net[0].weight.data),
    "tied modules": lambda net: net.__setitem__(3, net[0]),
    "dropout": lambda net: setattr(net[2], "p", 0.2),
    "another part": lambda net: net.append(nn.ReLU()),
    "compiled in place": lambda net: net.compile(),
    "type of numbers": lambda net: net.bfloat16(),
}


def make_twins():
    """Like ``make_net``, with equal parts that are not the same."""
    net = make_net()
    net[3].load_state_dict(net[0].state_dict())
    return net


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_model_differs(change):
    net = make_twins()
    change(net)
    assert fingerprint(net) != fingerprint(make_twins())


def test_a_hook_that_takes_keyword_arguments_differs():
    one, other = make_net(), make_net()
    one.register_forward_hook(double)
    other.register_forward_hook(double, with_kwargs=True)
    assert fingerprint(one) != fingerprint(other)


def test_a_method_put_into_a_class_differs(tmp_path, monkeypatch):
    net = make_net()
    before = fingerprint(net)
    monkeypatch.setattr(nn.Linear, "forward", double)
    assert fingerprint(net) != before
    toy = load(tmp_path)
    before = fingerprint(toy.make())
    toy.Base.forward = double
    assert fingerprint(toy.make()) != before


def test_a_compiled_model_counts_as_compiled():
    net = make_net()
    before = fingerprint(net)
    compiled = torch.compile(net, backend="eager")
    assert fingerprint(compiled) != before
    assert fingerprint(compiled) == fingerprint(torch.compile(make_net()))
    compiled.eval()(torch.rand(4, 3))
    assert fingerprint(net) == before


def fill_gradients(net):
    net(torch.rand(4, 3)).sum().backward()
    net[1].load_state_dict(make_net()[1].state_dict())


SAME = {
    "eval": lambda net: net.eval(),
    "gradients": fill_gradients,
    "hook removed": lambda net: net.register_forward_hook(double).remove(),
    "memory": lambda net: setattr(net[0].weight, "data", net[0].weight.data.t().clone().t()),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_same_model_has_the_same(change):
    net = make_net()
    change(net)
    assert fingerprint(net) == fingerprint(make_net()) == fingerprint(copy.deepcopy(net))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2)),
        lambda: nn.LazyLinear(2),
        lambda: nn.DataParallel(nn.Linear(2, 2)),
        lambda: nn.LSTM(2, 2),
        lambda: torch.fx.symbolic_trace(nn.Linear(2, 2)),
        lambda: torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1, momentum=0.9),
    ],
    ids=["weight_norm", "spectral_norm", "lazy", "DataParallel", "LSTM", "fx", "SGD"],
)
def test_what_torch_makes_of_models(make):
    prints = set()
    for _ in range(2):
        torch.manual_seed(0)
        prints.add(fingerprint(make()))
    assert len(prints) == 1


class Colour(enum.IntFlag):
    RED = 1
    BLUE = 2


class Pair(typing.NamedTuple):
    a: int
    b: int = 2


@dataclass(frozen=True)
class Frozen:
    a: object = 1
    b: list = field(default_factory=list)


class Sized(typing.Generic[typing.TypeVar("T")]):
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


class Text(str):
    pass


PLAIN = (None, ..., 1, 1.0, True, "1", b"1", 1j, 0.0, -0.0, float("nan"), float("inf"), 10**5000)
CONTAINERS = ((1, 2), [1, 2], {1, 2}, frozenset({1, 2}), {1: 2}, (), [], [[1], 2], [1, [2]])
DICTS = ({"a": 1}, collections.OrderedDict(a=1), collections.defaultdict(list, a=1))
STANDARD = (range(2), slice(1, 2), Text("1"), Path("a/b"), "a/b", re.compile("a"), list[int], len)
TIMES = (datetime.timedelta(1), datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1))
INSTANCES = (Pair(1), Frozen(), Frozen(2), Sized(1), Sized(2), object())
CLASSES = (Pair, Frozen, Sized, Colour, int, nn.Linear)
MEMBERS = (Colour.RED, Colour.BLUE, Colour.RED | Colour.BLUE)
TENSORS = (torch.tensor(1), torch.tensor(1.0), torch.tensor([1]), torch.tensor([[1]]))
MORE_TENSORS = (torch.zeros(2), torch.zeros(2).bfloat16(), torch.zeros(2, requires_grad=True))
OF_TORCH = (torch.Size([1]), torch.float32, torch.device("cpu"), torch.ops.aten.relu, torch.relu)
ARRAYS = (np.zeros(2), np.zeros(2, "f4"), np.float32(0), np.float64(0), np.array([None]))
STREAMS = (torch.Generator().manual_seed(0), torch.Generator().manual_seed(1))
MORE_STREAMS = (np.random.default_rng(0), np.random.default_rng(1))
METHODS = (torch.Tensor.relu, np.ndarray.sum, np.add, [].append, str.upper, "a".upper)
PARTIALS = (functools.partial(int), functools.partial(int, base=2))
DISTINCT = [
    *(*PLAIN, *CONTAINERS, *DICTS, *STANDARD, *TIMES, *INSTANCES, *CLASSES, *MEMBERS, *TENSORS),
    *(*MORE_TENSORS, *OF_TORCH, *ARRAYS, *STREAMS, *MORE_STREAMS, *METHODS, *PARTIALS),
]


def test_different_values_differ():
    prints = [fingerprint(value) for value in DISTINCT]
    assert len(set(prints)) == len(prints)
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in prints)


@pytest.mark.parametrize(
    "one, other",
    [
        ({"a": 1, 2: "b", None: 3, (1,): 4}, {(1,): 4, None: 3, 2: "b", "a": 1}),
        (torch.arange(6.0).view(2, 3), torch.arange(6.0).view(2, 3).t().contiguous().t()),
        (torch.rand(0, 3), torch.zeros(0, 3)),
        ([[1], [1]], [[1]] * 2),
        ([Frozen(), Frozen()], [Frozen()] * 2),
        ({double, make_net, "a", 1}, {1, "a", make_net, double}),
    ],
)
def test_equal_values_are_the_same(one, other):
    assert fingerprint(one) == fingerprint(other)


def test_memory_format_does_not_count():
    images = torch.rand(2, 3, 4, 4)
    assert fingerprint(images) == fingerprint(images.to(memory_format=torch.channels_last))


def test_one_tensor_twice_is_not_two_equal_ones():
    one = torch.ones(2)
    assert fingerprint([one, one]) != fingerprint([one, one.clone()])
    assert fingerprint({"a": one, "b": [one]}) != fingerprint({"a": one, "b": [one.clone()]})


def test_code_without_source():
    def run(text):
        names = {"constant": 1}
        exec(text, names)
        return fingerprint(names["f"])

    first = run("def f(x):\n    return x + constant")
    assert first == run("def f(x):\n    return (x +\n   constant)  # a comment")
    assert first != run("def f(x):\n    return x - constant")
    assert first != run("def f(x):\n    return x + 1")
    assert first != run("def f(x):\n    return x + missing")
    assert run("f = lambda x: x + 1") != run("f = lambda x: x + 1.0")


def test_a_function_whose_source_is_gone_is_not_taken_for_the_new_one(tmp_path):
    toy = load(tmp_path / "a")
    (tmp_path / "a" / "toy.py").write_text(edited(TOY, "x - 3", "x - 30"))
    gone = fingerprint(toy.shift)
    assert gone == fingerprint(toy.shift)
    assert gone != fingerprint(load(tmp_path / "b", edited(TOY, "x - 3", "x - 30")).shift)


def test_two_lambdas_on_one_line_differ():
    one, other = (lambda x: x + 1), (lambda x: x + 2)
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("before", [True, False], ids=["asked before", "asked first after"])
def test_what_counts_is_the_code_that_was_loaded(tmp_path, before):
    expected = fingerprint(load(tmp_path / "a").make())
    toy = load(tmp_path / "b")
    if before:
        assert fingerprint(toy.make()) == expected
    path = tmp_path / "b" / "toy.py"
    path.write_text("import os\n" + edited(TOY, "x - 4", "x - 4\n\n\ndef added():\n    pass"))
    assert fingerprint(toy.make()) == expected
    path.write_text(edited(TOY, "x - 3", "x - 30"))
    assert fingerprint(toy.make()) == expected
    reloaded = load(tmp_path / "b", edited(TOY, "x - 3", "x - 30"))
    assert fingerprint(reloaded.make()) != expected


SCRIPT = """
import linecache, sys
sys.path.insert(0, sys.argv[1])
import toy
from dlp_lib.fingerprint import fingerprint
cell = "def f(x):\\n    return {'a', 'b', 'c', x}\\n"
linecache.cache["<cell>"] = (len(cell), None, cell.splitlines(True), "<cell>")
exec(compile(cell, "<cell>", "exec"))
print(fingerprint(toy.make()), fingerprint(f, {"a", "b", "c", toy.Net}, {toy.Net: 1, int: 2}))
"""


def test_another_process_has_the_same(tmp_path):
    load(tmp_path)
    root = str(Path(sys.modules[fingerprint.__module__].__file__).parents[2])
    printed = set()
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": root}
        command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        printed.add(done.stdout)
    assert len(printed) == 1
    assert printed.pop().split()[0] == fingerprint(load(tmp_path).make())


def test_a_notebook_cell_counts_by_its_syntax():
    def cell(text):
        linecache.cache["<cell>"] = (len(text), None, text.splitlines(True), "<cell>")
        names = {"__name__": "__main__"}
        exec(compile(text, "<cell>", "exec"), names)
        return fingerprint(names["f"])

    text = 'def f(x):\n    """Say."""\n    return x + 1\n'
    assert cell(text) == cell(text.replace("Say", "Tell"))
    assert cell(text) != cell(text.replace("1", "2"))
    del linecache.cache["<cell>"]


def numbers():
    yield 1


@pytest.mark.parametrize(
    "make, kind",
    [
        (lambda: Path(__file__).open(), "_io.TextIOWrapper"),  # noqa: SIM115
        (numbers, "builtins.generator"),
        (threading.Lock, "_thread.lock"),
        (lambda: torch.eye(2).to_sparse(), "torch.Tensor"),
        (lambda: torch.empty(2, device="meta"), "torch.Tensor"),
    ],
)
def test_what_cannot_be_read_is_named(make, kind):
    net = nn.Sequential(nn.Sequential(nn.ReLU()))
    thing = make()
    net[0][0].note = {"a": [1, thing]}
    expected = re.escape(f"model.0.0.note.a.1 has the type {kind}, which ")
    with pytest.raises(CannotFingerprint, match=expected):
        fingerprint({"model": net})
    if hasattr(thing, "close"):
        thing.close()


def countdown(n):
    return countdown(n - 1) if n else 0


def even(n):
    return odd(n - 1) if n else True


def odd(n):
    return even(n - 1) if n else False


def loop():
    items = [1]
    items.append(items)
    return items


def family():
    parent = nn.Sequential(nn.Linear(1, 1))
    with torch.no_grad():
        parent[0].weight.fill_(1)
        parent[0].bias.fill_(1)
    parent[0].parents = [parent]
    parent[0].__dict__["parent"] = parent
    return parent


def chain():
    last = None
    for _ in range(3000):
        node = Sized(1)
        node.b = last
        last = node
    return last


@pytest.mark.parametrize("make", [loop, family, chain])
def test_cycles_and_depth(make):
    assert fingerprint(make()) == fingerprint(make())


def test_recursive_functions():
    prints = {fingerprint(countdown), fingerprint(even), fingerprint(odd), fingerprint(even, odd)}
    assert len(prints) == 4


def test_what_is_neutral_counts_by_name(tmp_path):
    marked = "from dlp_lib.fingerprint import neutral\n\n\n@neutral\ndef shift"
    toy = edited(TOY, "def shift", marked)
    first = fingerprint(load(tmp_path / "a", toy).make())
    assert first == fingerprint(load(tmp_path / "b", edited(toy, "x - 3", "x - 30")).make())
    assert first != fingerprint(load(tmp_path / "c").make())


def test_neutral_is_neither_inherited_nor_copied():
    @neutral
    class Shown:
        def __init__(self, a):
            self.a = a

    class Counted(Shown):
        pass

    @neutral
    def shown():
        return 1

    @functools.wraps(shown)
    def one():
        return 2

    @functools.wraps(shown)
    def other():
        return 3

    assert fingerprint(Shown(1)) == fingerprint(Shown(2))
    assert fingerprint(Counted(1)) != fingerprint(Counted(2))
    assert fingerprint(one) != fingerprint(other)


def test_a_class_can_say_what_counts():
    class Said:
        def __init__(self, a, b):
            self.a = a
            self.b = b

        def __fingerprint__(self):
            return self.a

    assert fingerprint(Said(1, threading.Lock())) == fingerprint(Said(1, 2))
    assert fingerprint(Said(1, 2)) != fingerprint(Said(2, 2))


def test_a_class_stays_the_same_when_an_instance_is_copied_or_pickled():
    class Copied:
        pass

    before = fingerprint(Copied)
    copy.deepcopy(Copied())
    assert "__slotnames__" in vars(Copied)  # this is what copying leaves
    assert fingerprint(Copied) == before
