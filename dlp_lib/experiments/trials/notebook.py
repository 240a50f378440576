"""A whole notebook as a trial."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...fingerprint import fingerprint, neutral
from ...store import digest
from ..notebook_files import (
    NotebookFailed,
    check_parameters,
    execute_notebook,
    kernel_for,
    parameters_of,
    read_notebook,
)
from .flatten import flatten

NOT_RESULTS = ("parameters", "environment")  # of metrics.json


@neutral
def _library_code() -> list[str]:
    """Return the text of every file of this library: a notebook's imports cannot be followed."""
    folder = Path(__file__).resolve().parents[2]
    return [file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*.py"))]


@dataclass(frozen=True)
class Notebook:
    """A trial that executes a notebook and returns the figures of its metrics.json, flattened.

    The notebook writes metrics.json into the folder that its parameter ``out`` names, as all of
    this project do. That folder also holds the executed notebook. Stages go into the sweep's store
    if the notebook has a parameter ``cache``.

    Raises:
        ValueError: where there is no such file.
    """

    path: str  # the same on every machine
    attempts: int = 3  # how often a kernel may fail to start

    def __post_init__(self):
        is_path = isinstance(self.path, (str, Path))
        path = Path(self.path).expanduser() if is_path else None
        if path is None or not path.is_file():
            raise ValueError(f"notebook={self.path!r}: there is no such file")
        object.__setattr__(self, "path", str(path.resolve()))

    def __fingerprint__(self) -> tuple:
        """The notebook's code, and all that it could import of this library."""
        return self.source, _library_code()

    @property
    def name(self) -> str:
        """The trial's name."""
        return f"notebook.{Path(self.path).stem}"

    @cached_property
    def source(self) -> str:
        """The code of the notebook's cells, as it was when it was first asked for."""
        return self._read_code()

    def _read_code(self) -> str:
        cells = read_notebook(Path(self.path)).cells
        return "\n".join(cell.source for cell in cells if cell.cell_type == "code")

    def check(self, parameters: dict) -> dict:
        """Return parameters as the notebook takes them; papermill itself would only warn.

        Raises:
            ValueError: for a parameter that the notebook does not have, and for a wrong value.
        """
        path = Path(self.path)
        if "out" not in parameters_of(path):
            raise ValueError(f"{path.name} has no parameter out, the folder for its metrics.json")
        return check_parameters(path, parameters, hidden=("out", "cache"))

    def __call__(self, parameters: dict) -> dict:
        """Execute the notebook, and return what it wrote.

        Args:
            parameters: the notebook's, and "store", a folder.

        Raises:
            RuntimeError: where the notebook has changed since the sweep began.
            NotebookFailed: where a cell raises an error.
        """
        if self._read_code() != self.source:
            raise RuntimeError(f"{self.path} has changed since the sweep began")
        values = {name: value for name, value in parameters.items() if name != "store"}
        folder = self._folder(Path(parameters["store"]), values)
        metrics = folder / "metrics.json"
        metrics.unlink(missing_ok=True)
        own = parameters_of(Path(self.path))
        for name, place in {"out": str(folder), "cache": parameters["store"]}.items():
            if name in own:
                values[name] = place
        self._execute(folder / Path(self.path).name, values)
        content = json.loads(metrics.read_text(encoding="utf-8"))
        results = {name: value for name, value in content.items() if name not in NOT_RESULTS}
        return flatten(results)

    def _folder(self, store: Path, values: dict) -> Path:
        """Return the folder of one execution, which is made where it is missing."""
        key = digest(fingerprint(self), values)
        folder = store / "notebooks" / Path(self.path).stem / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _execute(self, executed: Path, parameters: dict) -> None:
        """Execute the notebook; a kernel that does not start is tried again."""
        from nbclient.exceptions import DeadKernelError

        notebook = Path(self.path)
        kernel = kernel_for(notebook)
        for attempt in range(1, self.attempts + 1):
            try:
                execute_notebook(notebook, executed, parameters, kernel, progress_bar=False)
                return
            except (DeadKernelError, NotebookFailed):  # it stopped in the middle of a cell
                raise
            except RuntimeError:  # jupyter_client's: the kernel did not start
                if attempt == self.attempts:
                    raise
