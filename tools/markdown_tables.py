"""Tables in Markdown, with mean and range of recorded rows in their cells."""

from collections.abc import Callable, Iterable

from dlp_lib.experiments.record import per_cent


def where(rows: list[dict], **values) -> list[dict]:
    """Return the rows that have these values."""
    wanted = values.items()
    return [row for row in rows if all(row[name] == value for name, value in wanted)]


def values_of(rows: list[dict], column: str) -> list:
    """Return the different values of a column, in the rows' order."""
    return list(dict.fromkeys(row[column] for row in rows))


def cell(rows: list[dict], *columns: str) -> str:
    """Return mean and range of columns, with " / " between them; "–" without rows."""
    if not rows:
        return "–"
    return " / ".join(per_cent(row[column] for row in rows) for column in columns)


def ca_and_asr(rows: list[dict]) -> str:
    """Return "CA / ASR" of rows that measure the same."""
    return cell(rows, "ca", "asr")


def markdown(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """Return a table."""
    header = list(header)
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def grid(corner: str, down: dict, across: Iterable, content: Callable[..., str]) -> str:
    """Return a table of one cell for each pair of values.

    Args:
        corner: what stands above the names of the rows.
        down: a name for every value that has a row.
        across: a value for every column.
        content: gives a cell for a value of ``down`` and one of ``across``.
    """
    across = list(across)
    lines = []
    for value, name in down.items():
        lines.append([name, *(content(value, other) for other in across)])
    return markdown([corner, *map(str, across)], lines)


def by_own_name(values: Iterable) -> dict:
    """Return rows of a grid whose names are their values."""
    return {value: str(value) for value in values}


def as_per_cent(share: float) -> str:
    """Return a setting such as 0.1 as "10 %"."""
    return f"{100 * share:g} %"
