"""A claim, and whether its values bear it out."""

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .sources import SourceError, Sources

FILE = Path(__file__).resolve().parents[2] / "tests" / "notebooks" / "claims.yaml"
KEYS = ("id", "notebook", "of", "is", "why")


class ClaimError(ValueError):
    """A claim is not written as one."""


class Claim(NamedTuple):
    """What a notebook says of a value."""

    id: str
    notebook: str  # without its ending
    of: Mapping  # whose value; see Sources.value
    said: Mapping  # comparisons by name, all of which hold
    why: str

    def fault(self, sources: Sources) -> str | None:
        """Return how the values contradict the claim, or None."""
        try:
            value = sources.value(self.of)
            if value in ([], {}):
                return f"{self.id}: there is no value"
            for name, expected in self.said.items():
                if name != "by" and not self._holds(name, value, expected, sources):
                    return f"{self.id}: {_shown(value)} is not {name} {expected}"
        except SourceError as error:
            return f"{self.id}: {error}"
        return None

    def _holds(self, name: str, value: Any, expected: Any, sources: Sources) -> bool:
        if name in _OF_NAMES:
            return _OF_NAMES[name](value, expected)
        if name in _OF_OTHERS:
            other = sources.value(expected)
            margin = self.said.get("by", 0)
            return all(_OF_OTHERS[name](each, other, margin) for each in _listed(value))
        return all(_OF_NUMBERS[name](each, expected) for each in _listed(value))


def read_claims(file: Path = FILE) -> list[Claim]:
    """Return the claims of a file.

    Raises:
        ClaimError: where one is not written as a claim, naming it.
    """
    claims = []
    for entry in yaml.safe_load(file.read_text(encoding="utf-8")):
        if set(entry) != set(KEYS):
            raise ClaimError(f"{entry}: a claim has {', '.join(KEYS)}")
        unknown = set(entry["is"]) - {*_OF_NUMBERS, *_OF_OTHERS, *_OF_NAMES, "by"}
        if unknown or not entry["is"]:
            known = ", ".join([*_OF_NUMBERS, *_OF_OTHERS, *_OF_NAMES])
            raise ClaimError(f"{entry['id']}: is={entry['is']}: allowed are {known}")
        claims.append(Claim(*(entry[key] for key in KEYS)))
    return claims


def _listed(value: Any) -> list:
    """Return numbers as a list: one, those of a list, or those of a dict."""
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list) else [value]


def _is_printed(value: float, text: str) -> bool:
    """Return whether a number is printed as a text, like "1.90", "97.4 %" or "0.6 points"."""
    digits, unit = re.fullmatch(r"([-−]?\d+(?:\.\d+)?)( %| points)?", text).groups()
    decimals = len(digits.partition(".")[2])
    shown = 100 * value if unit else value
    return f"{shown:.{decimals}f}" == digits.replace("−", "-")


def _has_largest(values: Mapping, name: str) -> bool:
    return max(values, key=values.__getitem__) == name


def _has_smallest(values: Mapping, name: str) -> bool:
    return min(values, key=values.__getitem__) == name


def _falls(values: Mapping, names: list) -> bool:
    """Return whether the values of these names fall from each to the next."""
    chosen = [values[name] for name in names]
    return all(one > other for one, other in pairwise(chosen))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(each) for each in value) + "]"
    return str(value)


_OF_NUMBERS: dict[str, Callable[[float, Any], bool]] = {
    "at least": lambda value, bound: value >= bound,
    "at most": lambda value, bound: value <= bound,
    "equal to": lambda value, other: value == other,
    "printed as": _is_printed,
}
_OF_OTHERS: dict[str, Callable[[float, float, float], bool]] = {
    "above": lambda value, other, margin: value > other + margin,
    "below": lambda value, other, margin: value < other - margin,
}
_OF_NAMES: dict[str, Callable[[Mapping, Any], bool]] = {
    "largest at": _has_largest,
    "smallest at": _has_smallest,
    "falling along": _falls,
}
