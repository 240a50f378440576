"""The rules for classes, for what stands in their bodies, and for modules of Python code."""

import collections
import enum
import functools
import types

from .functions import is_own_function
from .instances import beyond
from .origin import is_genuine, release_of
from .walk import Place, Walk, is_neutral, rule

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made while Python was running
_NOT_CONTENT = {
    "__abstractmethods__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__qualname__",
    "__slotnames__",  # copyreg adds it when an instance is copied or pickled
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
    "_autograd_function_id",  # torch counts the classes of a process
    "_backward_cls",  # torch makes it of the class
}
_OF_ENUMS = {
    "_hashable_values_",
    "_member_map_",
    "_unhashable_values_",
    "_unhashable_values_map_",
    "_value2member_map_",
}
_Pair = collections.namedtuple("_Pair", ["first", "second"])  # shows the type of its fields


@rule(type)
def _class(kind: type, walk: Walk) -> None:
    walk.place = Place.INSIDE
    if is_neutral(kind):
        walk.feed("neutral class", kind.__qualname__)
        return
    release = release_of(kind.__module__)
    written_in_c = not kind.__flags__ & _HEAP_TYPE
    if release is None and written_in_c:
        raise walk.refusal(kind, "which is compiled code without a version")
    if release is not None and (written_in_c or is_genuine(kind)):
        walk.feed("class", kind.__module__, kind.__qualname__, release)
        _bases(kind, walk)
        _items(_patches(kind), walk)
        return
    walk.feed("own class", kind.__qualname__)
    walk.visit(type(kind))
    _bases(kind, walk)
    _items(_body(kind), walk)


def _bases(kind: type, walk: Walk) -> None:
    bases = kind.__mro__[1:-1]
    walk.feed("bases", len(bases))
    for base in bases:
        walk.visit(base, base.__name__)


def _items(items: dict, walk: Walk) -> None:
    walk.feed("items", len(items))
    for name in sorted(items):
        walk.feed(name)
        walk.visit(items[name], name)


def _patches(kind: type) -> dict:
    """One's own functions that were put into the class of someone else."""
    return {name: item for name, item in vars(kind).items() if is_own_function(item)}


def _body(kind: type) -> dict:
    """What the body of a class defines."""
    found = {name: item for name, item in vars(kind).items() if name not in _NOT_CONTENT}
    found = {name: item for name, item in found.items() if not _is_slot(item)}
    if issubclass(kind, enum.Enum):
        members = kind.__members__
        hidden = _OF_ENUMS.union(members)
        found = {name: item for name, item in found.items() if name not in hidden}
        found["members"] = [(name, member.value) for name, member in members.items()]
    return found


def _is_slot(item) -> bool:
    return isinstance(item, types.MemberDescriptorType)


@rule(staticmethod)
def _static_method(item: staticmethod, walk: Walk) -> None:
    walk.feed("static method")
    walk.visit(item.__func__)
    beyond(item, staticmethod, walk)


@rule(classmethod)
def _class_method(item: classmethod, walk: Walk) -> None:
    walk.feed("class method")
    walk.visit(item.__func__)
    beyond(item, classmethod, walk)


@rule(property)
def _property(item: property, walk: Walk) -> None:
    walk.feed("property")
    walk.visit(item.fget)
    walk.visit(item.fset)
    walk.visit(item.fdel)
    beyond(item, property, walk)


@rule(functools.cached_property)
def _cached_property(item: functools.cached_property, walk: Walk) -> None:
    walk.feed("cached property")
    walk.visit(item.func)
    beyond(item, functools.cached_property, walk)


@rule(type(_Pair.first), in_place=True)
def _named_tuple_field(item, walk: Walk) -> None:
    walk.feed("field of a named tuple", item.__reduce__()[1][0])


@rule(types.ModuleType)
def _module(module: types.ModuleType, walk: Walk) -> None:
    """All of a module: code that passes one on may then read anything from it."""
    walk.place = Place.INSIDE
    release = release_of(module.__name__)
    walk.feed("python module", module.__name__)
    if release is not None:
        walk.feed(release)
        return
    names = [name for name in vars(module) if not name.startswith("__")]
    _items({name: vars(module)[name] for name in names}, walk)
