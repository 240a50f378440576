"""Rows of recorded stages, as figures and tables take them."""

from collections.abc import Iterable
from dataclasses import fields

from ..evaluation import Metrics
from .scenario import NO_ATTACK

TARGET = 0  # of every attack that was recorded, but all-to-all


def metrics_by_stage(rows: Iterable[dict]) -> dict[str, Metrics]:
    """Return the metrics after each stage, by the stage's name.

    Args:
        rows: of a record, one for every stage of one run.

    Raises:
        ValueError: where two rows have the same stage.
    """
    names = {field.name for field in fields(Metrics)}
    measured: dict[str, Metrics] = {}
    for row in rows:
        if row["stage"] in measured:
            raise ValueError(f"rows: the stage {row['stage']} is there twice")
        known = {name: value for name, value in row.items() if name in names}
        measured[row["stage"]] = Metrics(**known)
    return measured


def with_target_recall(rows: Iterable[dict], target: int = TARGET) -> list[dict]:
    """Return the rows with the recall of the class that the attacker wants, "target_recall".

    It is None without an attack, and where the record is older than recalls.

    Args:
        rows: of a record, each with "attack".
        target: the class that all attacks want.
    """
    wider = []
    for row in rows:
        wanted = None if row["attack"] == NO_ATTACK else target
        wider.append({**row, "target_recall": recall_of_row(row, wanted)})
    return wider


def recall_of_row(row: dict, target: int | str | None) -> float | None:
    """Return the recall of the class that the attacker wants.

    Args:
        row: of a record, with "recalls" of all classes, or of one that is older than recalls.
        target: as an attack has it: a class, or "all-to-all".

    Returns:
        None where the record has no recalls, and where no single class is wanted.
    """
    if row.get("recalls") and isinstance(target, int):
        return row["recalls"][target]
    return None
