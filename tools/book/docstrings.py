"""Docstrings with sections in Google's style, as the field lists that Sphinx understands."""

import re
from collections.abc import Iterator

# A section of the docstring, and the field that each of its entries becomes
FIELDS = {"Args:": "param", "Raises:": "raises", "Returns:": "returns", "Yields:": "yields"}
NAMED = ("param", "raises")  # fields whose entries begin with a name and a colon


def to_fields(lines: list[str]) -> list[str]:
    """Return a docstring's lines with every section as a field list.

    Args:
        lines: without the indentation that all of them share.
    """
    converted = []
    place = 0
    while place < len(lines):
        field = FIELDS.get(lines[place])
        place += 1
        if field is None:
            converted.append(lines[place - 1])
            continue
        section = []
        while place < len(lines) and (not lines[place] or lines[place].startswith(" ")):
            section.append(lines[place])
            place += 1
        converted += ["", *_fields(field, section), ""]
    return converted


def _fields(field: str, section: list[str]) -> Iterator[str]:
    """Yield the fields of a section, each as one line."""
    entries: list[str] = []
    for line in filter(str.strip, section):
        depth = len(line) - len(line.lstrip())
        begins = depth == 4 and (field in NAMED or not entries)
        if begins:
            entries.append(line.strip())
        else:
            entries[-1] += f" {line.strip()}"
    for entry in entries:
        if field in NAMED:
            match = re.fullmatch(r"([\w.*]+): (.+)", entry)
            if match is None:
                raise ValueError(f"{entry!r}: an entry begins with a name and a colon")
            name = match[1].replace("*", r"\*")
            yield f":{field} {name}: {match[2]}"
        else:
            yield f":{field}: {entry}"
