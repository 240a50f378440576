"""The rules for instances of any class, and for what subclasses of built-in types add."""

import contextlib
import types

from .origin import is_genuine, release_of
from .walk import Walk, rule

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made while Python was running


@rule(object)
def _instance(value, walk: Walk) -> None:
    kind = type(value)
    if kind.__module__ == "typing":
        _typing(value, walk)
        return
    hidden = kind is not object and not _shows_its_state(value)
    if hidden and is_genuine(value):
        walk.feed("named object", value.__module__, value.__name__, release_of(value.__module__))
        return
    if hidden:
        raise walk.refusal(value, "which keeps its state where Python code cannot read it")
    walk.feed("instance")
    walk.visit(kind)
    walk.visit(attributes(value))


def attributes(value) -> dict:
    """The attributes that an instance itself has, also those in slots."""
    found = {}
    for kind in type(value).__mro__:
        for name, item in vars(kind).items():
            if not isinstance(item, types.MemberDescriptorType):
                continue
            with contextlib.suppress(AttributeError):  # a slot that was never filled
                found[name] = item.__get__(value)
    found.update(getattr(value, "__dict__", {}))
    return found


def _shows_its_state(value) -> bool:
    """Whether all that an instance holds is in its ``__dict__`` and in slots.

    A class written in C has a ``__new__`` of its own, or neither a ``__dict__`` nor slots.
    """
    for kind in type(value).__mro__[:-1]:
        maker = vars(kind).get("__new__")
        if not kind.__flags__ & _HEAP_TYPE or isinstance(maker, types.BuiltinFunctionType):
            return False
    slotted = any("__slots__" in vars(kind) for kind in type(value).__mro__)
    return slotted or hasattr(value, "__dict__")


@rule(types.GenericAlias, types.UnionType, in_place=True)
def _typing(value, walk: Walk) -> None:
    text = repr(value)
    if " at 0x" in text:
        raise walk.refusal(value, "whose text holds an address in memory")
    walk.feed("typing", text)


@rule(types.SimpleNamespace)
def _namespace(value: types.SimpleNamespace, walk: Walk) -> None:
    walk.feed("namespace")
    walk.visit(type(value))
    walk.visit(attributes(value))


def beyond(value, base: type, walk: Walk) -> None:
    """What an instance of a subclass of a built-in type has beyond the value of that type."""
    if type(value) is base:
        walk.feed("no subclass")
        return
    walk.feed("subclass")
    walk.visit(type(value))
    walk.visit(attributes(value))
