"""Measured tables: what took hours, kept as small JSON files under data/recorded/, to be shown beside a run's own.

`python -m dlp_lib.record NAME` measures one again.
"""

import json
from pathlib import Path

from ..runtime import HOME, Runtime, environment
from ..store import write_atomically

FOLDER = HOME / "data" / "recorded"


def write(name: str, rows: list[dict], made: dict, folder: Path = FOLDER) -> None:
    """Keep plain rows under a name, and how they were made."""
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)  # a row a line: changes show in a diff
    text = f'{{"made": {json.dumps(made)},\n"rows": [\n{lines}\n]}}\n'
    write_atomically(folder / f"{name}.json", text.encode())


def read(name: str, folder: Path = FOLDER) -> list[dict]:
    """The rows of a table; FileNotFoundError where it was not recorded."""
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["rows"]


def paper(table: str) -> dict[str, dict[str, list[float | None]]]:
    """The paper's own figures, method by attack: CA and ASR as fractions. ``table``: "table 3" or "table 6"."""
    return json.loads((HOME / "data" / "paper.json").read_text(encoding="utf-8"))[table]


def runs(rows: list[dict], column: str) -> list[list]:
    """A column seed by seed: (seeds, rows of a seed)."""
    return [[row[column] for row in rows if row["seed"] == seed] for seed in dict.fromkeys(row["seed"] for row in rows)]


def spread(rows: list[dict], by: list[str], columns: list[str]):
    """A pandas table in per cent, a row for every value of ``by``, in the rows' order: "mean (least to most)".

    Where there is one value, it stands alone.
    """
    import pandas as pd

    def cell(values) -> str:
        values = 100 * values.dropna()
        if len(values) < 2:
            return f"{values.iloc[0]:.1f}" if len(values) else "–"
        return f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})"

    return pd.DataFrame(rows).groupby(by, sort=False)[columns].agg(cell)


def report(folder: Path, parameters: dict, runtime: Runtime, **results) -> None:
    """Write a run's metrics.json: its parameters, where it ran, and what came out."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"parameters": parameters, "environment": environment(runtime), **results}
    (folder / "metrics.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
