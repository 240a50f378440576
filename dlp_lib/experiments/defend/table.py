"""suspects.csv: a row for every image, which a spreadsheet can open without harm."""

import csv
import io

# How a cell begins that spreadsheets take for a formula. Some take the wide forms as well.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def to_csv(rows: list[dict]) -> bytes:
    """Return rows as CSV in UTF-8, numbers with 6 digits.

    A text that a spreadsheet would take for a formula gets a harmless beginning: "./" before a
    path, which it remains, and an apostrophe before any other text. What UTF-8 cannot write, as in
    a file name of broken bytes, is written as \\\\udcff and the like.

    Args:
        rows: at least one; "file" is a relative path, other texts are names.
    """
    text = io.StringIO()
    table = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    table.writerow(rows[0])
    for row in rows:
        table.writerow([_cell(name, value) for name, value in row.items()])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(name: str, value: object) -> object:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"./{value}" if name == "file" else f"'{value}"
    return value
