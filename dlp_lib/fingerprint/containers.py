"""The rules for containers. Where a set or a dict has no order, the contents give one."""

import collections
import types

from .instances import beyond
from .walk import Walk, plain, rule


@rule(tuple, in_place=True)
def _tuple(value: tuple, walk: Walk) -> None:
    _sequence(value, tuple, walk)


@rule(list, in_place=True)
def _list(value: list, walk: Walk) -> None:
    _sequence(value, list, walk)


@rule(collections.deque, in_place=True)
def _deque(value: collections.deque, walk: Walk) -> None:
    walk.visit(value.maxlen)
    _sequence(value, collections.deque, walk)


@rule(set, in_place=True)
def _set(value: set, walk: Walk) -> None:
    _sequence(walk.in_order(set.__iter__(value)), list, walk)
    walk.feed("as a set")
    beyond(value, set, walk)


@rule(frozenset, in_place=True)
def _frozenset(value: frozenset, walk: Walk) -> None:
    _sequence(walk.in_order(frozenset.__iter__(value)), list, walk)
    walk.feed("as a frozenset")
    beyond(value, frozenset, walk)


@rule(dict, in_place=True)
def _dict(value: dict, walk: Walk) -> None:
    held = {id(key): item for key, item in dict.items(value)}
    keys = walk.in_order(dict.keys(value))
    walk.feed("dict", len(keys))
    for key in keys:
        walk.visit(key)
        walk.visit(held[id(key)], _step(key))
    beyond(value, dict, walk)


@rule(collections.OrderedDict, in_place=True)
def _ordered_dict(value: collections.OrderedDict, walk: Walk) -> None:
    walk.feed("ordered dict", len(value))
    for key, item in collections.OrderedDict.items(value):
        walk.visit(key)
        walk.visit(item, _step(key))
    beyond(value, collections.OrderedDict, walk)


@rule(collections.defaultdict, in_place=True)
def _default_dict(value: collections.defaultdict, walk: Walk) -> None:
    walk.feed("default dict")
    walk.visit(value.default_factory, "default_factory")
    _dict(value, walk)


@rule(types.MappingProxyType, in_place=True)
def _mapping_proxy(value: types.MappingProxyType, walk: Walk) -> None:
    walk.feed("mapping proxy")
    walk.visit(dict(value))


def _sequence(items, base: type, walk: Walk) -> None:
    """Items as the built-in type holds them, whatever a subclass makes of that."""
    walk.feed(base.__name__, base.__len__(items))
    for place, item in enumerate(base.__iter__(items)):
        walk.visit(item, str(place))
    beyond(items, base, walk)


def _step(key) -> str:
    if isinstance(key, str):
        return key
    return repr(key) if plain(key) is not None else type(key).__name__
