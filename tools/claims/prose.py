"""Figures in a notebook's prose, and whether a claim stands beside them."""

import re
from collections.abc import Iterator

CLAIM = re.compile(r"<!-- claim: ([\w-]+) -->")
EXCUSE = re.compile(r"<!-- no claim: [^>]*\w[^>]* -->")

# Blocks of prose that say what came out
_SAYS_RESULTS = re.compile(
    r"\*\*What you should see[.,]?\*\*|<details><summary>|^## Recap|^## Quiz"
)
_WORDS = "one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|fifty|ninety|hundred"
_FIGURE = re.compile(
    rf"\d+(?:\.\d+)?(?: ?%| per cent| points| times)|\b\d+\.\d+\b"
    rf"|\b(?:{_WORDS}) (?:per cent|points|times|in ten|of (?:{_WORDS}))\b|\btwice\b",
    re.IGNORECASE,
)
# Numbers that are names: of notebooks, sections, figures, exercises
_NAMES = re.compile(
    r"\[[^\]]*\]\([^)]*\)|\$[^$]*\$|`[^`]*`|<!--.*?-->"
    r"|(?:Eq|Fig|Table|Section|section|notebook|Exercise|exercise)s?\.? \d+(?:\.\d+)?"
)
_END_OF_BLOCK = re.compile(r"\n\s*\n|\n(?=- )")
_END_OF_SENTENCE = re.compile(r"(?:(?<=[.!?])|(?<=-->))\s+(?!\s|<!--)")


def claims_named(source: str) -> list[str]:
    """Return the claims that a cell names."""
    return CLAIM.findall(source)


def unclaimed(source: str) -> list[str]:
    """Return the sentences of a Markdown cell that give figures without a claim or an excuse.

    Args:
        source: of the cell. Those paragraphs and list items count that begin with "What you
            should see", continue it, or stand in a recap or in a quiz. A comment belongs to the
            sentence before it.
    """
    found = []
    for block in _blocks_with_results(source):
        found.extend(
            sentence for sentence in _END_OF_SENTENCE.split(block) if _lacks_claim(sentence)
        )
    return found


def _lacks_claim(sentence: str) -> bool:
    if CLAIM.search(sentence) or EXCUSE.search(sentence):
        return False
    return bool(_FIGURE.search(_NAMES.sub("", sentence)))


def _blocks_with_results(source: str) -> Iterator[str]:
    says_results = False
    for block in _END_OF_BLOCK.split(source):
        if _SAYS_RESULTS.search(block):
            says_results = True
        elif block.startswith(("#", "**")):  # a heading, or "**Why.**"
            says_results = False
        if says_results:
            yield block
