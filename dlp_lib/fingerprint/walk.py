"""A walk over everything that a value consists of, each thing told to a hash.

Plain data and containers are described where they are met. Everything else gets a number when it is
first met and is described later, in the order of the numbers. So cycles end, two references to one
tensor differ from two equal tensors, and the depth of a graph of objects does not matter.
"""

import enum
import functools
import hashlib
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import NamedTuple

_MARK = "__fingerprint_neutral__"
_IN_PLACE = set()  # rules whose values are described where they are met


class CannotFingerprint(TypeError):
    """A part holds something whose content cannot be read. The message names the part."""


class Place(enum.Enum):
    """How something was reached; a model's own training mode counts only inside of others."""

    DATA = "from the parts, through data"
    INSIDE = "from a function, a class or a model"
    SUBMODULE = "as a submodule of a model that was reached before"


class Entry(NamedTuple):
    """A numbered thing that waits for its description."""

    value: object
    path: tuple[str, ...]
    place: Place


def neutral(target):
    """Mark a function or class as one that does not decide what comes out.

    It says only where or how something is kept or shown. It then counts by its name alone, and so
    does an instance of the class. A subclass counts in full.

    Args:
        target: The function or class.

    Returns:
        The same function or class.
    """
    setattr(target, _MARK, _written_name(target))
    return target


def is_neutral(target) -> bool:
    """Whether the function or class has the mark itself: ``functools.wraps`` copies it."""
    mark = vars(target).get(_MARK)
    return mark is not None and mark == _written_name(target)


def _written_name(target) -> str:
    code = getattr(target, "__code__", None)
    if code is not None:
        return code.co_qualname
    if isinstance(target, type):
        return target.__qualname__
    return type(target).__qualname__


@functools.singledispatch
def describe(value, walk: "Walk") -> None:
    """Tell the walk what a value consists of. ``rule`` adds types."""
    raise walk.refusal(value, "for which there is no rule")


def rule(*kinds: type, in_place: bool = False) -> Callable:
    """Register a function ``(value, walk)`` as the description of the values of some types.

    Args:
        kinds: The types. Their subclasses follow the rule too unless they have one of their own.
        in_place: True for immutable values and for containers, whose identity does not count.
    """

    def register(function: Callable) -> Callable:
        for kind in kinds:
            describe.register(kind, function)
        if in_place:
            _IN_PLACE.add(function)
        return function

    return register


def rule_for(kind: type) -> Callable:
    """The description of the instances of a type."""
    if getattr(kind, "__fingerprint__", None) is not None:
        return _by_own_method
    if is_neutral(kind):
        return _by_name
    if issubclass(kind, enum.Enum):
        return describe.dispatch(enum.Enum)
    return describe.dispatch(kind)


def _by_own_method(value, walk: "Walk") -> None:
    walk.feed("own method")
    walk.visit(type(value))
    walk.visit(type(value).__fingerprint__(value), "__fingerprint__()")


def _by_name(value, walk: "Walk") -> None:
    walk.feed("neutral instance", type(value).__qualname__)


def plain(value) -> bytes | None:
    """What a plain value is, as bytes; None for everything else."""
    kind = type(value)
    if kind is str:
        return b"str " + value.encode("utf-8", "surrogatepass")
    if kind is bytes:
        return b"bytes " + value
    if kind is int:
        return b"int " + hex(value).encode()  # unlike repr, it has no limit of digits
    if kind in _PLAIN:
        return f"{kind.__name__} {value!r}".encode()
    return None


_PLAIN = {type(None), bool, float, complex, range, type(...), type(NotImplemented)}


class Walk:
    """Feeds one hash. A rule calls ``feed`` for facts and ``visit`` for values in a fixed order."""

    def __init__(self, path: Iterable[str] = (), above: dict | None = None, place=Place.DATA):
        self.place = place
        self._path = list(path)
        self._open = dict(above or {})  # containers whose description has not ended, by identity
        self._numbers = {}
        self._memory = {}
        self._queue = []
        self._hash = hashlib.sha256()

    def feed(self, *facts: str | bytes | int) -> None:
        """Tell the hash some facts. Each has its length in front: no two sequences are alike."""
        for fact in facts:
            data = fact if isinstance(fact, bytes) else str(fact).encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:" % len(data))
            self._hash.update(data)

    def feed_memory(self, array) -> None:
        """Tell the hash the bytes of a contiguous numpy array, without a copy."""
        self._hash.update(b"%d:" % array.nbytes)
        self._hash.update(array)

    def visit(self, value, step: str = "") -> None:
        """Tell the hash a value, which ``step`` leads to from the one that is described now."""
        token = plain(value)
        if token is not None:
            self.feed(token)
            return
        if step:
            self._path.append(step)
        chosen = rule_for(type(value))
        if chosen in _IN_PLACE or _is_frozen(type(value)):
            self._describe_here(value, chosen)
        else:
            self.feed("object", self.number(value))
        if step:
            self._path.pop()

    def number(self, value, steps: Iterable[str] = (), place: Place | None = None) -> int:
        """The number of a value. A new one is described later, as if reached from here."""
        known = self._numbers.get(id(value))
        if known is not None:
            return known
        self._numbers[id(value)] = len(self._queue)
        self._queue.append(Entry(value, (*self._path, *steps), place or self.place))
        return self._numbers[id(value)]

    def memory(self, where: tuple) -> int:
        """The number of a place in memory: two tensors in one place change together."""
        return self._memory.setdefault(where, len(self._memory))

    def finish(self) -> str:
        """Describe what has a number, and whatever gets one by that; the hash in hex digits."""
        for entry in self._queue:  # it grows while it is read
            self._path = list(entry.path)
            self.place = entry.place
            rule_for(type(entry.value))(entry.value, self)
        return self._hash.hexdigest()

    def in_order(self, values: Iterable) -> list:
        """The values in an order that depends only on what they are."""
        return sorted(values, key=self._rank)

    def refusal(self, value, why: str) -> CannotFingerprint:
        """The error that says what cannot be read, and where it was found."""
        kind = type(value)
        where = ".".join(self._path) or "A part"
        return CannotFingerprint(
            f"{where} has the type {kind.__module__}.{kind.__qualname__}, {why}."
        )

    def _describe_here(self, value, chosen: Callable) -> None:
        depth = self._open.get(id(value))
        if depth is not None:
            self.feed("above", len(self._open) - depth)
            return
        self._open[id(value)] = len(self._open)
        chosen(value, self)
        del self._open[id(value)]

    def _rank(self, value) -> bytes:
        token = plain(value)
        if token is not None:
            return token
        if isinstance(value, (type, FunctionType)) and "<locals>" not in value.__qualname__:
            return f"{value.__module__}.{value.__qualname__}".encode()
        walk = Walk(self._path, self._open, self.place)
        walk.visit(value)
        return walk.finish().encode()


def _is_frozen(kind: type) -> bool:
    """Whether instances are frozen dataclasses, which are values: a copy is as good."""
    settings = getattr(kind, "__dataclass_params__", None)
    return settings is not None and settings.frozen
