"""The rules for single values, most of them of the standard library."""

import dataclasses
import datetime
import decimal
import enum
import functools
import logging
import operator
import random
import re
import weakref
from pathlib import PurePath

from .instances import attributes, beyond
from .walk import Walk, plain, rule


@rule(int, float, complex, str, bytes, in_place=True)
def _subclass_of_plain(value, walk: Walk) -> None:
    base = next(kind for kind in type(value).__mro__ if kind in _CONVERT)
    walk.feed("subclass of plain", plain(_CONVERT[base](value)))
    beyond(value, base, walk)


_CONVERT = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    str: str.__str__,
    bytes: bytes.__bytes__,
}


@rule(bytearray)
def _bytearray(value: bytearray, walk: Walk) -> None:
    walk.feed("bytearray", bytes(value))
    beyond(value, bytearray, walk)


@rule(slice, in_place=True)
def _slice(value: slice, walk: Walk) -> None:
    walk.feed("slice")
    walk.visit(value.start)
    walk.visit(value.stop)
    walk.visit(value.step)


@rule(enum.Enum, in_place=True)
def _enum(value: enum.Enum, walk: Walk) -> None:
    walk.feed("enum")
    walk.visit(type(value))
    walk.visit(value.name)
    walk.visit(value.value)


@rule(PurePath, in_place=True)
def _path(value: PurePath, walk: Walk) -> None:
    walk.feed("path", value.as_posix())
    if type(value).__module__.partition(".")[0] != "pathlib":
        walk.visit(type(value))
        walk.visit(getattr(value, "__dict__", {}))


@rule(re.Pattern, in_place=True)
def _pattern(value: re.Pattern, walk: Walk) -> None:
    walk.feed("pattern", value.flags)
    walk.visit(value.pattern)


@rule(
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    operator.attrgetter,
    operator.itemgetter,
    operator.methodcaller,
    in_place=True,
)
def _reduced(value, walk: Walk) -> None:
    walk.feed("reduced")
    walk.visit(value.__reduce__())
    walk.visit(getattr(value, "__dict__", {}))


@rule(datetime.timezone, in_place=True)
def _timezone(value: datetime.timezone, walk: Walk) -> None:
    walk.feed("timezone")
    walk.visit(value.__getinitargs__())


@rule(functools.partial)
def _partial(value: functools.partial, walk: Walk) -> None:
    walk.feed("partial")
    walk.visit(type(value))
    walk.visit(attributes(value))


@rule(random.Random)
def _random(value: random.Random, walk: Walk) -> None:
    walk.feed("random")
    walk.visit(type(value))
    walk.visit(value.getstate())
    walk.visit(attributes(value))


@rule(weakref.ref)
def _weak_reference(value: weakref.ref, walk: Walk) -> None:
    walk.feed("weak reference")
    walk.visit(value())


@rule(logging.Logger)
def _logger(value: logging.Logger, walk: Walk) -> None:
    walk.feed("logger", value.name)


@rule(dataclasses.Field)
def _field(value: dataclasses.Field, walk: Walk) -> None:
    walk.feed("field", value.name, value._field_type.name)
    walk.visit(value.default, "default")
    walk.visit(value.default_factory, "default_factory")
    walk.visit((value.init, value.repr, value.hash, value.compare, value.kw_only))
    walk.visit(dict(value.metadata), "metadata")
