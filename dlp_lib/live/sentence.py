"""The live lab's sentence: what a setting has led to. Plain numbers in, plain text out.

The lab page of the book has the same texts: ``record lab`` writes ``TEXTS`` beside the numbers.
"""

from dataclasses import dataclass

AGREED = 0.98  # share of the suspects that have one label, as agreed_e1 asks for
TEXTS = {
    "labels": "{most} of {suspects} suspects carry the label “{label}”.",
    "agreed": "Poison does that, and so do clean samples of a class that is learned first.",
    "seen": (
        "After {epochs} of unlearning the model is right on {right} of them (chance: {chance})."
    ),
    "found": (
        "{poisoned} of {suspects} suspects are poisoned, {clean} of the trusted samples are clean."
    ),
    "unlearned": (
        "{epochs} of unlearning {has} taken ASR from {asr_before} to {asr}"
        " and CA from {ca_before} to {ca} ({difference})."
    ),
    "tuned": "Fine-tuning has brought CA to {ca} and ASR to {asr}.",
    "collapsed": (
        "The model has collapsed: it does hardly better than one answer for everything,"
        " which is no defence."
    ),
    "gained": "{points} gained",
    "lost": "{points} lost",
    "unchanged": "unchanged",
}


@dataclass(frozen=True)
class Facts:
    """What the sentence tells of. Shares are fractions."""

    suspects: int
    label: str  # the class that most suspects carry
    label_share: float  # of the suspects, that carry it
    chance: float  # share of right answers of a model that guesses
    e2: int  # epochs of unlearning
    poisoned: float  # share of the suspects: the truth
    clean: float  # share of the trusted samples: the truth
    learned: dict | None = None  # ca and asr after stage 1: the truth
    unlearned: dict | None = None  # after E2 epochs of stage 2: those, and what is seen of it
    tuned: dict | None = None  # ca and asr after stage 3: the truth


def percent(share: float) -> str:
    """Return a share as a whole number of per cent."""
    return f"{round(100 * share)}%"


def difference(before: float, after: float) -> str:
    """Return what lies between two shares, in points of what ``percent`` says of them."""
    points = round(100 * after) - round(100 * before)
    if points == 0:
        return TEXTS["unchanged"]
    text = TEXTS["gained" if points > 0 else "lost"]
    return text.format(points=count(abs(points), "point"))


def count(number: int, noun: str) -> str:
    """Return a number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def tell(facts: Facts, truth: bool) -> str:
    """Return what a setting has led to, in words.

    Args:
        facts: of the setting.
        truth: whether to say what no defender can see.
    """
    parts = list(_true_parts(facts) if truth else _visible_parts(facts))
    if facts.unlearned is not None and facts.unlearned["collapsed"]:
        parts.append(TEXTS["collapsed"])
    return " ".join(parts)


def _visible_parts(facts: Facts) -> list[str]:
    most = round(facts.label_share * facts.suspects)
    parts = [TEXTS["labels"].format(most=most, suspects=facts.suspects, label=facts.label)]
    if facts.label_share >= AGREED:
        parts.append(TEXTS["agreed"])
    if facts.unlearned is not None:
        text = TEXTS["seen"].format(
            epochs=count(facts.e2, "epoch"),
            right=percent(facts.unlearned["accuracy_reestimated"]),
            chance=percent(facts.chance),
        )
        parts.append(text)
    return parts


def _true_parts(facts: Facts) -> list[str]:
    poisoned = round(facts.poisoned * facts.suspects)
    text = TEXTS["found"].format(
        poisoned=poisoned, suspects=facts.suspects, clean=f"{facts.clean:.1%}"
    )
    parts = [text]
    if facts.learned and facts.unlearned:
        parts.append(_unlearned(facts))
    if facts.tuned:
        ca = percent(facts.tuned["ca"])
        asr = percent(facts.tuned["asr"])
        parts.append(TEXTS["tuned"].format(ca=ca, asr=asr))
    return parts


def _unlearned(facts: Facts) -> str:
    before = facts.learned
    after = facts.unlearned
    return TEXTS["unlearned"].format(
        epochs=count(facts.e2, "epoch"),
        has="has" if facts.e2 == 1 else "have",
        asr_before=percent(before["asr"]),
        asr=percent(after["asr"]),
        ca_before=percent(before["ca"]),
        ca=percent(after["ca"]),
        difference=difference(before["ca"], after["ca"]),
    )
