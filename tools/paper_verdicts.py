"""Which claims of the paper held at the paper's scale, by rules that are written here."""

from collections.abc import Callable
from typing import NamedTuple

from .paper_scale import shares_after, span

NOT_TESTED = "not tested"
CA_AFTER_SL = 0.737  # the paper's, mean of five attacks


class Aspect(NamedTuple):
    """One figure that a claim is about, under every attack."""

    name: str
    shares: dict[str, float]  # by attack
    holds: Callable[[str, float], bool]  # of an attack and its share


def verdict(*aspects: Aspect) -> str:
    """Return whether a claim held, and the figures that say so."""
    holds: list[bool] = []
    for aspect in aspects:
        holds += [aspect.holds(attack, share) for attack, share in aspect.shares.items()]
    figures = [f"{aspect.name} {span(list(aspect.shares.values()))}" for aspect in aspects]
    if all(holds):
        return f"held: {', '.join(figures)}"
    if not any(holds):
        return f"did not hold: {', '.join(figures)}"
    return f"in part: {'; '.join(_judged(aspect) for aspect in aspects)}"


def _judged(aspect: Aspect) -> str:
    """Return which attacks a part of a claim holds for."""
    held = {}
    failed = {}
    for attack, share in aspect.shares.items():
        side = held if aspect.holds(attack, share) else failed
        side[attack] = share
    if not held:
        return f"{aspect.name} did not ({span(list(failed.values()))})"
    text = f"{aspect.name} held ({span(list(held.values()))})"
    if failed:
        others = ", ".join(f"{attack} ({span([share])})" for attack, share in failed.items())
        text += f", but not for {others}"
    return text


def not_tested() -> str:
    return NOT_TESTED


def after_sl() -> str:
    """ASR 99.9, CA 73.7."""
    return verdict(
        Aspect("ASR", shares_after("SL", "asr"), lambda _, share: share >= 0.95),
        Aspect("CA", shares_after("SL", "ca"), lambda _, share: abs(share - CA_AFTER_SL) <= 0.03),
    )


def after_au() -> str:
    """ASR falls sharply, CA only slightly: here to 20 % at most, and by 10 points at most."""
    before = shares_after("SL", "ca")
    return verdict(
        Aspect("ASR", shares_after("AU", "asr"), lambda _, share: share <= 0.2),
        Aspect("CA", shares_after("AU", "ca"), lambda attack, ca: before[attack] - ca <= 0.1),
    )


def after_assft() -> str:
    """CA over 90, ASR near 0: here 5 % at most."""
    return verdict(_asr_near_zero(), _ca_over_90())


def not_implanted_again() -> str:
    """After fine-tuning ASR is near 0 still."""
    return verdict(_asr_near_zero())


def _asr_near_zero() -> Aspect:
    return Aspect("ASR", shares_after("ASSFT", "asr"), lambda _, share: share <= 0.05)


def _ca_over_90() -> Aspect:
    return Aspect("CA", shares_after("ASSFT", "ca"), lambda _, share: share > 0.9)


def without_assft() -> str:
    """CA stays low: here below what it was after SL."""
    before = shares_after("SL", "ca")
    aspect = Aspect("CA", shares_after("AU", "ca"), lambda attack, share: share < before[attack])
    return verdict(aspect)


def without_attack() -> str:
    """CA is that of plain training, which was not recorded."""
    ca = shares_after("ASSFT", "ca", attacked=False)["none"]
    return f"{NOT_TESTED}: {span([ca])} after DLP, beside no plain model"
