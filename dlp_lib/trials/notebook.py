"""A whole notebook as a trial."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..store import digest


@dataclass(frozen=True)
class Notebook:
    """A trial that executes a notebook headlessly and returns the figures of its metrics.json, flattened.

    The notebook writes metrics.json into the folder that its parameter ``out`` names, as all of ours do; it is kept
    there, with the executed notebook. Stages go where its parameter ``cache`` says, if it has one: the sweep's store.
    ``path``: the same on every machine. ``attempts``: how often a kernel may fail to start.
    """

    path: str
    attempts: int = 3

    def __post_init__(self):
        if not Path(self.path).is_file():
            raise ValueError(f"notebook={self.path!r}: there is no such file")
        object.__setattr__(self, "path", str(Path(self.path).resolve()))

    @property
    def name(self) -> str:
        return f"notebook.{Path(self.path).stem}"

    @cached_property
    def source(self) -> str:
        return self._cells()

    def _cells(self) -> str:
        import nbformat

        return "\n".join(cell.source for cell in nbformat.read(self.path, 4).cells if cell.cell_type == "code")

    def check(self, parameters: dict) -> None:
        """ValueError for a parameter that the notebook does not have (papermill itself only warns)."""
        has = self._parameters()
        if "out" not in has:
            raise ValueError(f"{Path(self.path).name} has no parameter out, the folder for its metrics.json")
        allowed = [name for name in has if name not in ("out", "cache")]
        if unknown := sorted(set(parameters) - set(allowed)):
            what = f"{Path(self.path).name} has no parameter {', '.join(unknown)} to sweep"
            raise ValueError(f"{what}: allowed are {', '.join(allowed)}")

    def _parameters(self) -> list[str]:
        import papermill

        return list(papermill.inspect_notebook(self.path))

    def __call__(self, parameters: dict) -> dict:
        if self._cells() != self.source:
            raise RuntimeError(f"{self.path} has changed since the sweep began")
        given = {name: value for name, value in parameters.items() if name != "store"}
        folder = Path(parameters["store"]) / "notebooks" / Path(self.path).stem / digest(self.source, given)
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / "metrics.json"
        written.unlink(missing_ok=True)
        places = {"out": str(folder), "cache": parameters["store"]}
        given |= {name: place for name, place in places.items() if name in self._parameters()}
        self._execute(folder / Path(self.path).name, given)
        metrics = json.loads(written.read_text(encoding="utf-8"))
        return flat({name: value for name, value in metrics.items() if name not in ("parameters", "environment")})

    def _execute(self, copy: Path, parameters: dict) -> None:
        import papermill
        from nbclient.exceptions import DeadKernelError

        for attempt in range(1, self.attempts + 1):
            try:
                cwd = str(Path(self.path).parent)
                papermill.execute_notebook(self.path, str(copy), parameters, cwd=cwd, progress_bar=False)
                return
            except DeadKernelError:  # in the middle of a cell
                raise
            except RuntimeError:  # jupyter_client's: it did not start
                if attempt == self.attempts:
                    raise


def flat(value, prefix: str = "") -> dict:
    """Nested dicts and lists as one dict: {"stages": [{"stage": "SL", "ca": 0.4}]} becomes {"stages.SL.ca": 0.4}.

    A table's row goes by its texts where these tell the rows apart, and anything else in a list by its place.
    """
    if isinstance(value, list):
        value = _named(value)
    if not isinstance(value, dict):
        return {prefix: value}
    parts = (flat(part, f"{prefix}.{name}".lstrip(".")) for name, part in value.items())
    return {name: leaf for part in parts for name, leaf in part.items()}


def _named(rows: list) -> dict:
    texts = [[cell for cell in row.values() if isinstance(cell, str)] if isinstance(row, dict) else [] for row in rows]
    names = [".".join(row) for row in texts]
    if not all(names) or len(set(names)) < len(rows):
        return dict(enumerate(rows))
    numbers = [{name: cell for name, cell in row.items() if not isinstance(cell, str)} for row in rows]
    return dict(zip(names, numbers, strict=True))
