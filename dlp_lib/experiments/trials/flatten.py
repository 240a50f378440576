"""Nested results as one flat dict, for a row of a table."""


def flatten(value, prefix: str = "") -> dict:
    """Return nested dicts and lists as one dict, with names joined by points.

    ``{"stages": [{"stage": "SL", "ca": 0.4}]}`` becomes ``{"stages.SL.ca": 0.4}``. A table's row
    goes by its texts where these tell the rows apart. Anything else in a list goes by its place.
    """
    if isinstance(value, list):
        value = _by_name(value)
    if not isinstance(value, dict):
        return {prefix: value}
    flat = {}
    for name, part in value.items():
        flat |= flatten(part, f"{prefix}.{name}".lstrip("."))
    return flat


def _by_name(rows: list) -> dict:
    """Return the rows by the texts in them or, where these are not enough, by their place."""
    names = [_name(row) for row in rows]
    if not all(names) or len(set(names)) < len(rows):
        return dict(enumerate(rows))
    return {name: _without_texts(row) for name, row in zip(names, rows, strict=True)}


def _name(row) -> str:
    if not isinstance(row, dict):
        return ""
    return ".".join(cell for cell in row.values() if isinstance(cell, str))


def _without_texts(row: dict) -> dict:
    return {name: cell for name, cell in row.items() if not isinstance(cell, str)}
