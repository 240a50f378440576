"""Execute a notebook without Jupyter: it, its page and its metrics.json land in one folder.

python -m dlp_lib run 00_quickstart --out build/demo
python -m dlp_lib run 00_quickstart --out build/demo --params notebooks/params/smoke.yaml -p seed=1
"""

import argparse
import json
from pathlib import Path

import nbformat
import papermill
import yaml
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from ..runtime import HOME

NOTEBOOKS = HOME / "notebooks"


def find_notebook(name: str) -> Path:
    """Return the file of a notebook, given its name or its path.

    Raises:
        ValueError: where there is none of that name.
    """
    path = NOTEBOOKS / f"{Path(name).stem}.ipynb"
    if path.is_file():
        return path
    names = ", ".join(file.stem for file in sorted(NOTEBOOKS.glob("*.ipynb")))
    raise ValueError(f"notebook={name!r}: {NOTEBOOKS} has {names or 'no notebooks'}")


def choose_parameters(notebook: Path, parameters: dict, preset: dict) -> dict:
    """Return what a notebook is to be run with.

    Args:
        notebook: its file.
        parameters: for this notebook; they win over the preset.
        preset: may hold parameters of other notebooks, which are left out.

    Raises:
        ValueError: for a parameter that this notebook, or for the preset any notebook, does not
            have. Papermill itself would only warn.
    """
    allowed = _parameter_names(notebook)
    known = set(allowed)
    for other in NOTEBOOKS.glob("*.ipynb"):
        known.update(_parameter_names(other))
    unknown = set(parameters).difference(allowed) | set(preset).difference(known)
    if unknown:
        raise ValueError(
            f"{notebook.name} has no parameter {', '.join(sorted(unknown))}: "
            f"allowed are {', '.join(allowed)}"
        )
    chosen = {name: value for name, value in preset.items() if name in allowed}
    return chosen | parameters


def _parameter_names(notebook: Path) -> list[str]:
    return list(papermill.inspect_notebook(str(notebook)))


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


def execute(notebook: Path, parameters: dict, folder: Path) -> dict:
    """Execute a notebook, and write it and its page into a folder.

    Args:
        notebook: its file.
        parameters: as ``choose_parameters`` returns them.
        folder: must be there; the parameter "out" names it too.

    Returns:
        The content of its metrics.json.
    """
    executed = folder / notebook.name
    papermill.execute_notebook(str(notebook), str(executed), parameters, cwd=str(notebook.parent))
    executed.with_suffix(".html").write_text(to_html(executed), encoding="utf-8")
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    folder = options.out.resolve()
    try:
        notebook = find_notebook(options.notebook)
        parameters = _named_values(options.p) | {"out": str(folder)}
        parameters = choose_parameters(notebook, parameters, _read_preset(options.params))
    except (OSError, ValueError, yaml.YAMLError) as error:
        parser.error(str(error))
    dataset = Path(str(parameters.get("dataset")))
    if dataset.is_dir():  # as seen from here; the notebook runs in its own folder
        parameters["dataset"] = str(dataset.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    metrics = execute(notebook, parameters, folder)
    if "stages" in metrics:
        print(stage_table(metrics), end="\n\n")
    print(f"To read: {folder / notebook.stem}.html")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebook", help="its name, such as 00_quickstart")
    parser.add_argument("--out", type=Path, required=True, help="folder for what comes out")
    parser.add_argument("--params", type=Path, metavar="FILE", help="YAML file of parameters")
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
        ValueError: for an item without a name and "=".
    """
    values = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals):
            raise ValueError(f"-p {item}: allowed is NAME=VALUE")
        values[name] = yaml.safe_load(value)
    return values


def _read_preset(path: Path | None) -> dict:
    """Return the parameters of a YAML file.

    Raises:
        ValueError: where it holds something else.
    """
    if path is None:
        return {}
    preset = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(preset, dict):
        raise ValueError(f"--params {path}: allowed is a file of lines such as 'seed: 1'")
    return preset
