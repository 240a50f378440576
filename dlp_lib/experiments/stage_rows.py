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
        recalls = row.get("recalls") or ()
        recall = None
        if recalls and row["attack"] != NO_ATTACK:
            recall = recalls[target]
        wider.append({**row, "target_recall": recall})
    return wider
