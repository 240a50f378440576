"""Say in executed notebooks what made their outputs, and find outputs that are stale or were edited.

python notebooks/stamp.py            writes it (the last step of `make outputs`)
python notebooks/stamp.py --check    prints what is wrong, and exits with 1 if anything is
"""

import argparse
import ast
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parent


def made(notebook: NotebookNode) -> dict:
    """What made the outputs: version of the library, parameters, and a digest of code and outputs together."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    holder = next(cell for cell in code if "parameters" in cell.metadata.get("tags", ()))
    parameters = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(holder.source).body}
    both = json.dumps([[cell.source, cell.outputs] for cell in code], sort_keys=True)
    return {
        "version": version("dlp_lib"),
        "parameters": parameters,
        "digest": hashlib.sha256(both.encode()).hexdigest(),
    }


def problem(notebook: NotebookNode) -> str | None:
    """What is wrong with the outputs, if anything is."""
    said, now = notebook.metadata.get("dlp_lib"), made(notebook)
    if not said:
        return "its outputs do not say what made them"
    for name, value in now.items():
        if said[name] != value:
            what = {"digest": "code or outputs were edited since it was executed"}
            return what.get(name, f"its outputs were made with {name} {said[name]}, now it is {value}")
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, tell what is wrong")
    check, wrong = parser.parse_args().check, 0
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if not check:
            notebook.metadata["dlp_lib"] = made(notebook)
            nbformat.write(notebook, path)
        elif found := problem(notebook):
            wrong += 1
            print(f"{path.name}: {found}: make outputs")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
