"""Ascents: runs of active unlearning, with what the model was worth after each epoch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..training import Stage

if TYPE_CHECKING:
    import pandas

COLUMNS = ("ca", "asr", "ra")


@dataclass(frozen=True)
class Ascent:
    """One run of active unlearning."""

    stage: Stage
    rows: list[dict]  # of ``audit``, one for each epoch
    n_classes: int

    @property
    def stop(self) -> int | None:
        """The epoch after which the suspects were at chance, or None where they never were.

        Chance is 1 / n_classes, with re-estimated batch-norm.
        """
        epoch = self.stage.selected_block
        if not epoch:
            return None
        accuracy = self.stage.history[epoch - 1]["accuracy_reestimated"]
        return epoch if accuracy <= 1 / self.n_classes else None

    def selected(self) -> dict:
        """Return the row of the epoch that the stage selected, and that epoch as "stop"."""
        epoch = self.stage.selected_block
        return self.rows[epoch - 1] | {"stop": epoch}

    def summary(self) -> dict[tuple[str, str], object]:
        """Return texts for a table: CA, ASR and RA in per cent at the stop and at the end."""
        cells: dict[tuple[str, str], object] = {("stop", "epoch"): self.stop or "–"}
        at_stop = self.rows[self.stop - 1] if self.stop else None
        for moment, row in (("stop", at_stop), ("end", self.rows[-1])):
            for column in COLUMNS:
                share = f"{100 * row[column]:.1f}" if row else "–"
                cells[moment, column.upper()] = share
        cells["end", "collapsed"] = self.stage.history[-1]["collapsed"]
        return cells


def table_of_ascents(ascents: dict[object, Ascent], name: str | None = None) -> "pandas.DataFrame":
    """Return a table with a row for each ascent.

    Args:
        ascents: by what was varied.
        name: of what was varied.
    """
    import pandas

    summaries = {key: ascent.summary() for key, ascent in ascents.items()}
    return pandas.DataFrame(summaries).T.rename_axis(name)
