"""Stamp executed notebooks with what made their outputs, and find outputs that are stale.

python -m tools.stamp            writes the stamps (the last step of `make outputs`)
python -m tools.stamp --check    prints what is wrong, and exits with 1 if anything is
"""

import argparse
import ast
import hashlib
import json
import sys
from importlib.metadata import version

import nbformat
from nbformat import NotebookNode

from dlp_lib.experiments.classroom import is_tagged

from .kit import NOTEBOOKS
from .links import INSTALLING

_EDITED = "code or outputs were edited since it was executed"


def current_stamp(notebook: NotebookNode) -> dict:
    """Return the library's version, the parameters, and a digest of code and outputs together.

    The cell that installs on Colab does not count: the project's address makes it.
    """
    contents = []
    parameters = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or is_tagged(cell, INSTALLING):
            continue
        contents.append([cell.source, cell.outputs])
        if is_tagged(cell, "parameters"):
            parameters = _literals(cell.source)
    text = json.dumps(contents, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"version": version("dlp_lib"), "parameters": parameters, "digest": digest}


def _literals(source: str) -> dict:
    """Return what a cell of assignments assigns."""
    values = {}
    for statement in ast.parse(source).body:
        values[statement.targets[0].id] = ast.literal_eval(statement.value)
    return values


def find_problem(notebook: NotebookNode) -> str | None:
    """Return what is wrong with the outputs, or None."""
    stamp = notebook.metadata.get("dlp_lib")
    if not stamp:
        return "its outputs do not say what made them"
    current = current_stamp(notebook)
    for name in ("version", "parameters"):
        if stamp[name] != current[name]:
            return f"its outputs were made with {name} {stamp[name]}, now it is {current[name]}"
    if stamp["digest"] != current["digest"]:
        return _EDITED
    return None


def write_stamps() -> None:
    """Stamp every notebook."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata["dlp_lib"] = current_stamp(notebook)
        nbformat.write(notebook, path)


def check_stamps() -> int:
    """Print what is wrong with each notebook; return how many are wrong."""
    wrong = 0
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        problem = find_problem(nbformat.read(path, as_version=4))
        if problem is not None:
            wrong += 1
            print(f"{path.name}: {problem}: make outputs")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.stamp",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="change nothing, tell what is wrong")
    options = parser.parse_args(arguments)
    if not options.check:
        write_stamps()
        return 0
    return 1 if check_stamps() else 0


if __name__ == "__main__":
    sys.exit(main())
