"""Execute a notebook without Jupyter: it, its page and its metrics.json land in one folder.

python -m dlp_lib run 00_quickstart --out build/demo
python -m dlp_lib run 00_quickstart --out build/demo --params smoke -p seed=1
"""

import argparse
import json
import sys
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from ..checking import match_name
from ..data.datasets import DATASETS, expect_folder
from ..files import explain_errors, write_atomically
from ..places import PROJECT
from . import options as read
from .notebook_files import (
    NotebookFailed,
    check_parameters,
    execute_notebook,
    kernel_for,
    parameters_of,
)
from .values import parse, split_assignment

NOTEBOOKS = PROJECT / "notebooks"


def find_notebook(name: str) -> Path:
    """Return the file of a notebook, given its name or its path.

    Raises:
        ValueError: where there is none of that name.
    """
    path = Path(name).expanduser()
    if path.name != name:  # it has a folder
        if path.suffix != ".ipynb" or not path.is_file():
            raise ValueError(f"notebook={name!r}: there is no such notebook")
        return path.resolve()
    names = [file.stem for file in sorted(NOTEBOOKS.glob("*.ipynb"))]
    own = match_name("notebook", name.removesuffix(".ipynb"), names)
    return NOTEBOOKS / f"{own}.ipynb"


def choose_parameters(notebook: Path, parameters: dict, preset: dict) -> dict:
    """Return what a notebook is to be run with.

    Args:
        notebook: its file.
        parameters: for this notebook; they win over the preset.
        preset: may hold parameters of other notebooks, which are left out.

    Raises:
        ValueError: for a parameter that this notebook, or for the preset any notebook, does not
            have, and for a value that it cannot have.
    """
    own = parameters_of(notebook)
    of_others = set(preset) - set(own)
    if of_others:
        for other in NOTEBOOKS.glob("*.ipynb"):
            of_others.difference_update(parameters_of(other))
    # What is left is unknown to all, and an error in the check
    chosen = {name: preset[name] for name in preset if name in own or name in of_others}
    return check_parameters(notebook, chosen | parameters)


def to_html(notebook: Path) -> str:
    """Return an executed notebook as a page whose figures carry their alternative texts."""
    executed = nbformat.read(notebook, as_version=4)
    # Progress lines overwrite each other
    executed, _ = CoalesceStreamsPreprocessor().preprocess(executed, {})
    body, _ = HTMLExporter().from_notebook_node(executed)
    page = BeautifulSoup(body, "html.parser")
    texts = []
    for cell in executed.cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", ()):
                texts.append(output["metadata"]["image/png"]["alt"])
    for image, text in zip(page.select(".jp-RenderedImage img"), texts, strict=True):
        image["alt"] = text
    return str(page)


def stage_table(metrics: dict) -> str:
    """Return the stages of a metrics.json as a table of text, rates in per cent."""
    lines = [f"{'stage':<12}{'CA %':>7}{'ASR %':>7}{'RA %':>7}{'seconds':>9}  images"]
    for row in metrics["stages"]:
        line = f"{row['stage']:<12}"
        for name in ("ca", "asr", "ra"):
            line += f"{100 * row[name]:7.1f}"
        line += f"{row['seconds']:9.1f}  {row['images']:,}"
        if row["collapsed"]:
            line += "  collapsed"
        lines.append(line)
    return "\n".join(lines)


def execute(notebook: Path, parameters: dict, folder: Path, kernel: str) -> dict:
    """Execute a notebook, and write it and its page into a folder.

    Args:
        notebook: its file.
        parameters: as ``choose_parameters`` returns them.
        folder: must be there; the parameter "out" names it too.
        kernel: in which it runs.

    Returns:
        The content of its metrics.json.

    Raises:
        NotebookFailed: where a cell raises an error, naming the cell, and where no metrics.json is
            written.
    """
    executed = folder / notebook.name
    metrics = folder / "metrics.json"
    metrics.unlink(missing_ok=True)  # of an earlier run
    execute_notebook(notebook, executed, parameters, kernel)
    page = to_html(executed).encode(errors="backslashreplace")
    write_atomically(executed.with_suffix(".html"), page)
    if not metrics.is_file():
        raise NotebookFailed(f"{notebook.name} has written no metrics.json")
    return json.loads(metrics.read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with status 2 and a sentence for what cannot work, before any work; with status
            1 where the notebook stops at an error.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    folder = options.out.resolve()
    try:
        notebook = find_notebook(options.notebook)
        parameters = _named_values(options.p) | {"out": str(folder)}
        parameters = choose_parameters(notebook, parameters, options.params)
        parameters |= _absolute_folders(parameters)
        kernel = kernel_for(notebook)
    except ValueError as error:
        parser.error(str(error))
    with explain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        metrics = execute(notebook, parameters, folder, kernel)
    except RuntimeError as error:  # NotebookFailed, and a kernel that does not start or dies
        sys.exit(f"\nrun: {error}\nUp to there: {folder / notebook.name}")
    if "stages" in metrics:
        print(stage_table(metrics), end="\n\n")
    print(f"To read: {folder / notebook.stem}.html")


def _absolute_folders(parameters: dict) -> dict:
    """Return the folders among parameters as seen from here: a notebook runs in its own folder.

    Raises:
        ValueError: where there is no data set of that name, and no such folder.
    """
    folders = {}
    if "cache" in parameters:  # a relative one lies in the project, as the notebooks say
        folders["cache"] = str(Path(parameters["cache"]).expanduser())
    name = parameters.get("dataset", "shapes10")
    if name.lower() in DATASETS:
        return folders | {"dataset": name.lower()} if "dataset" in parameters else folders
    folder = Path(name).expanduser()
    beside_notebooks = NOTEBOOKS / folder
    if not folder.is_dir() and beside_notebooks.is_dir():
        folder = beside_notebooks
    try:
        expect_folder(folder)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from None
    return folders | {"dataset": str(folder.resolve())}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebook", help="its name, such as 00_quickstart")
    parser.add_argument("--out", type=read.folder, required=True, help="folder for what comes out")
    parser.add_argument(
        "--params",
        type=preset,
        default={},
        metavar="FILE",
        help=f"YAML file of parameters, or one of these: {', '.join(sorted(_presets()))}",
    )
    parser.add_argument(
        "-p",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter; it wins over the file's",
    )
    return parser


def _named_values(items: list[str]) -> dict:
    """Return the parameters of ``-p``; a value is read as YAML.

    Raises:
        ValueError: for an item without a name and "=", and for one that another option gives.
    """
    values = {}
    for item in items:
        name, text = split_assignment(item)
        if name == "out":
            raise ValueError(f"-p {item}: allowed is --out FOLDER")
        values[name] = parse(f"-p {name}", text)
    return values


def _presets() -> dict[str, Path]:
    """Return the files of parameters that come with the library, by name."""
    return {path.stem: path for path in (NOTEBOOKS / "params").glob("*.yaml")}


def preset(text: str) -> dict:
    """Return the parameters of a YAML file; the library's own are known by name."""
    parameters = read.yaml_file(str(_presets().get(text, text)))
    if parameters is None:  # an empty file
        return {}
    if not isinstance(parameters, dict):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is a file of lines such as 'seed: 1'")
    return parameters
