"""The rules for what can be called: functions with all that they refer to, methods, wrappers."""

import functools
import importlib
import importlib.util
import sys
import types

from .origin import is_genuine, release_of
from .source import read
from .uses import Chain, Chains, Import
from .walk import Place, Walk, is_neutral, rule

_ABSENT = object()  # stands for what is not there when asked for
_NOT_CONTENT = ("__wrapped__", "__fingerprint_neutral__", "_torchdynamo", "_dynamo")


@rule(types.FunctionType)
def _function(function: types.FunctionType, walk: Walk) -> None:
    walk.place = Place.INSIDE
    home = function.__globals__.get("__name__")
    release = release_of(home)
    if is_neutral(function):
        walk.feed("neutral function", function.__qualname__)
    elif release is None:
        _own_function(function, walk)
    elif is_genuine(function):
        walk.feed("function", home, function.__qualname__, release)
    elif home.startswith("torch._dynamo") and hasattr(function, "_torchdynamo_orig_callable"):
        walk.feed("compiled function")
        walk.visit(function._torchdynamo_orig_callable)
    elif function.__code__.co_qualname == "singledispatch.<locals>.wrapper":
        walk.feed("single dispatch")
        walk.visit(dict(function.registry))
    else:
        walk.feed("made function", home, function.__code__.co_qualname, release)
        _state(function, {}, walk)


def _own_function(function: types.FunctionType, walk: Walk) -> None:
    names = function.__globals__
    digest, uses = read(function.__code__, names)
    walk.feed("own function", function.__code__.co_qualname, digest)
    _state(function, uses.locals, walk)
    walk.feed("names", len(uses.globals))
    for name, chains in uses.globals.items():
        walk.feed(name)
        _follow(names.get(name, _ABSENT), chains, name, walk)
    walk.feed("imports", len(uses.imports))
    for item in uses.imports:
        _import(item, names, walk)


def _state(function: types.FunctionType, chains: dict[str, Chains], walk: Walk) -> None:
    """What a function object holds beyond its code."""
    walk.visit(function.__defaults__, "__defaults__")
    walk.visit(function.__kwdefaults__, "__kwdefaults__")
    cells = function.__closure__ or ()
    walk.feed("closure", len(cells))
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        walk.feed(name)
        _follow(_content(cell), chains.get(name, ((),)), name, walk)
    walk.visit(_extras(function))
    walk.visit(getattr(function, "__wrapped__", None), "__wrapped__")


def _extras(function) -> dict:
    """The attributes that were set on a function."""
    pairs = vars(function).items()
    return {name: value for name, value in pairs if not name.startswith(_NOT_CONTENT)}


def _content(cell: types.CellType):
    try:
        return cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return _ABSENT


def _follow(value, chains: Chains, step: str, walk: Walk) -> None:
    """Visit what code reaches by a name: of a module only what is read from it."""
    if not isinstance(value, types.ModuleType):
        _visit_or_absent(value, step, walk)
        return
    walk.feed("module", len(chains))
    for chain in chains:
        walk.feed(".".join(chain))
        _visit_or_absent(_descend(value, chain), ".".join((step, *chain)), walk)


def _visit_or_absent(value, step: str, walk: Walk) -> None:
    if value is _ABSENT:
        walk.feed("absent")
    else:
        walk.visit(value, step)


def _descend(value, chain: Chain):
    """What a chain of attributes leads to, at most to the first thing that is no module.

    For the code of others that is their module, unless someone put a function of their own there.
    """
    holder = value
    for name in chain:
        if not isinstance(value, types.ModuleType):
            break
        holder = value
        value = _attribute(holder, name)
    foreign = release_of(holder.__name__) is not None
    return holder if foreign and not is_own_function(value) else value


def _attribute(module: types.ModuleType, name: str):
    if name in vars(module):
        return vars(module)[name]
    if release_of(module.__name__) is not None:
        return _ABSENT
    try:
        return getattr(module, name)  # a module can have a ``__getattr__``
    except Exception:
        return _ABSENT


def _import(item: Import, names: dict, walk: Walk) -> None:
    """Visit what an import inside of a function brings; others' modules are not imported for it."""
    walk.feed("import", item.level, item.module, str(item.attribute))
    name = "." * item.level + item.module
    try:
        name = importlib.util.resolve_name(name, names.get("__package__") or "")
    except ImportError:
        walk.feed("absent")
        return
    release = release_of(name)
    if release is not None:
        walk.feed(name, release)
        return
    _follow(_imported(name, item), item.chains, item.attribute or item.module, walk)


def _imported(name: str, item: Import):
    try:
        module = importlib.import_module(name)
        if item.binds_top:
            return sys.modules[name.partition(".")[0]]
        if item.attribute is None:
            return module
        if not hasattr(module, item.attribute):
            return importlib.import_module(f"{name}.{item.attribute}")
        return getattr(module, item.attribute)
    except Exception:  # whatever an import runs into, the function would too
        return _ABSENT


def is_own_function(value) -> bool:
    """Whether this is a Python function whose code is in no release."""
    if not isinstance(value, types.FunctionType):
        return False
    return release_of(value.__globals__.get("__name__")) is None


@rule(types.MethodType, in_place=True)
def _method(method: types.MethodType, walk: Walk) -> None:
    walk.feed("method")
    walk.visit(method.__func__)
    if not (isinstance(method.__func__, types.FunctionType) and is_neutral(method.__func__)):
        walk.visit(method.__self__, "__self__")


@rule(type(functools.cache(len)))
def _cached(function, walk: Walk) -> None:
    if is_neutral(function):
        walk.feed("neutral function", function.__qualname__)
        return
    walk.feed("cached function")
    walk.visit(function.__wrapped__)
    walk.visit(_extras(function))


@rule(types.BuiltinFunctionType)
def _builtin(function: types.BuiltinFunctionType, walk: Walk) -> None:
    walk.feed("builtin", function.__qualname__)
    home = function.__module__
    if home is None:
        walk.visit(function.__self__, "__self__")
        return
    release = release_of(home)
    if release is None:
        raise walk.refusal(function, "which is compiled code without a version")
    walk.feed(home, release)


@rule(
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
def _descriptor(descriptor, walk: Walk) -> None:
    walk.feed("descriptor", descriptor.__name__)
    if release_of(descriptor.__objclass__.__module__) is None and not _is_slot(descriptor):
        raise walk.refusal(descriptor, "which is compiled code without a version")
    walk.visit(descriptor.__objclass__)


def _is_slot(descriptor) -> bool:
    return isinstance(descriptor, types.MemberDescriptorType)


@rule(types.MethodWrapperType, in_place=True)
def _method_wrapper(method: types.MethodWrapperType, walk: Walk) -> None:
    walk.feed("method wrapper", method.__name__)
    walk.visit(method.__self__, "__self__")
