"""Execute a notebook headlessly with checked parameters: the notebook, its HTML and metrics.json land in one folder.

python notebooks/run.py 00_quickstart --out build/demo [--params notebooks/params/smoke.yaml] [-p seed=1 -p e1=6]
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

NOTEBOOKS = Path(__file__).resolve().parent


def check(notebook: Path, given: dict, preset: dict) -> dict:
    """What the notebook is run with; ValueError for a parameter that it does not have (papermill itself only warns).

    A preset may also hold parameters of other notebooks, which are left out.
    """
    allowed, known = _parameters(notebook), {name for other in NOTEBOOKS.glob("*.ipynb") for name in _parameters(other)}
    unknown = sorted((set(given) - set(allowed)) | (set(preset) - known))
    if unknown:
        raise ValueError(f"{notebook.name} has no parameter {', '.join(unknown)}: allowed are {', '.join(allowed)}")
    return {name: value for name, value in preset.items() if name in allowed} | given


def _parameters(notebook: Path) -> list[str]:
    return list(papermill.inspect_notebook(str(notebook)))


def html(notebook: Path) -> str:
    """The executed notebook as a page whose figures carry their alternative texts."""
    executed = nbformat.read(notebook, as_version=4)
    executed, _ = CoalesceStreamsPreprocessor().preprocess(executed, {})  # progress lines overwrite each other
    page = BeautifulSoup(HTMLExporter().from_notebook_node(executed)[0], "html.parser")
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    texts = [output["metadata"]["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", ())]
    for image, text in zip(page.select(".jp-RenderedImage img"), texts, strict=True):
        image["alt"] = text
    return str(page)


def table(metrics: dict) -> str:
    """The stages of metrics.json, in per cent."""
    lines = [f"{'stage':<12}{'CA %':>7}{'ASR %':>7}{'RA %':>7}{'seconds':>9}  images"]
    for row in metrics["stages"]:
        shares = "".join(f"{100 * row[name]:7.1f}" for name in ("ca", "asr", "ra"))
        note = "  collapsed" if row["collapsed"] else ""
        lines.append(f"{row['stage']:<12}{shares}{row['seconds']:9.1f}  {row['images']:,}{note}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", help="its name, such as 00_quickstart")
    parser.add_argument("--out", type=Path, required=True, help="folder for what comes out")
    parser.add_argument("--params", type=Path, help="YAML file of parameters")
    parser.add_argument("-p", action="append", default=[], metavar="NAME=VALUE", help="a parameter, after the file's")
    arguments = parser.parse_args()
    source = NOTEBOOKS / f"{Path(arguments.notebook).stem}.ipynb"
    preset = yaml.safe_load(arguments.params.read_text(encoding="utf-8")) if arguments.params else None
    given = {name: yaml.safe_load(value) for name, _, value in (item.partition("=") for item in arguments.p)}
    folder = arguments.out.resolve()
    try:
        parameters = check(source, given | {"out": str(folder)}, preset or {})
    except ValueError as error:
        parser.error(str(error))
    if Path(str(parameters.get("dataset"))).is_dir():  # seen from here; the notebook runs in its own folder
        parameters["dataset"] = str(Path(parameters["dataset"]).resolve())
    folder.mkdir(parents=True, exist_ok=True)
    executed = folder / source.name
    papermill.execute_notebook(str(source), str(executed), parameters, cwd=str(NOTEBOOKS))
    executed.with_suffix(".html").write_text(html(executed), encoding="utf-8")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if "stages" in metrics:
        print(table(metrics), end="\n\n")
    print(f"To read: {executed.with_suffix('.html')}")


if __name__ == "__main__":
    main()
