"""Every notebook runs headlessly at smoke size, agrees with its paired text, and knows its presets' parameters."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PRESETS = sorted((ROOT / "notebooks" / "params").glob("*.yaml"))
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)

specification = importlib.util.spec_from_file_location("run", ROOT / "notebooks" / "run.py")
run = importlib.util.module_from_spec(specification)
specification.loader.exec_module(run)


@each_notebook
@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_presets_name_parameters_that_the_notebook_has(notebook, preset):
    run.check(notebook, yaml.safe_load(preset.read_text(encoding="utf-8")))


@each_notebook
def test_unknown_parameters_are_refused(notebook):
    with pytest.raises(ValueError, match="has no parameter gama: allowed are dataset, n_train"):
        run.check(notebook, {"gama": 0.1, "gamma": 0.1})


@each_notebook
def test_parameters_are_literals(notebook):
    cells = [cell for cell in nbformat.read(notebook, 4).cells if "parameters" in cell.metadata.get("tags", ())]
    assert len(cells) == 1
    for statement in ast.parse(cells[0].source).body:
        ast.literal_eval(statement.value)


@each_notebook
def test_the_paired_text_says_the_same(notebook):
    text = jupytext.read(ROOT / "notebooks" / "py" / f"{notebook.stem}.py")
    ours = [(cell.cell_type, cell.source) for cell in nbformat.read(notebook, 4).cells]
    assert ours == [(cell.cell_type, cell.source) for cell in text.cells]


@each_notebook
def test_cells_are_short_and_explained(notebook):
    cells = nbformat.read(notebook, 4).cells
    lengths = sorted(len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code")
    assert lengths[len(lengths) // 2] <= 8
    assert lengths[-1] <= 30
    kinds = "".join(cell.cell_type[0] for cell in cells)
    assert "ccc" not in kinds
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    assert words / sum(lengths) >= 6


@each_notebook
def test_committed_outputs_are_whole(notebook):
    assert notebook.stat().st_size < 2**20
    cells = [cell for cell in nbformat.read(notebook, 4).cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    for output in outputs:
        if "image/png" in output.get("data", ()):
            assert len(output.metadata["image/png"]["alt"]) > 30
        assert str(ROOT) not in json.dumps(output)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The quick start at smoke size, started from another folder, and its metrics."""
    folder = tmp_path_factory.mktemp("smoke")
    parameters = yaml.safe_load((ROOT / "notebooks" / "params" / "smoke.yaml").read_text(encoding="utf-8"))
    parameters |= {"out": str(folder), "cache": str(folder / "store")}  # nothing is read from an earlier run
    copy = folder / "00_quickstart.ipynb"
    source = ROOT / "notebooks" / "00_quickstart.ipynb"
    papermill.execute_notebook(str(source), str(copy), parameters, cwd=str(folder), progress_bar=False)
    return copy, json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_metrics_say_what_was_run_and_what_came_out(executed):
    _, metrics = executed
    assert metrics["parameters"]["n_train"] == 600
    assert set(metrics["parameters"]) == set(papermill.inspect_notebook(str(NOTEBOOKS[0])))
    assert {"python", "torch", "device", "threads", "commit"} <= set(metrics["environment"])
    assert [row["stage"] for row in metrics["stages"]] == ["SL", "AU", "ASSFT", "undefended"]
    for row in metrics["stages"]:
        assert all(0 <= row[name] <= 1 for name in ("ca", "asr", "ra"))
        assert (row["n_clean"], row["n_triggered"]) == (2000, 1800)
        assert row["seconds"] > 0
    undefended, *defended = (row["images"] for row in reversed(metrics["stages"]))
    assert sum(defended) <= undefended < sum(defended) + 600
    assert set(metrics["filter_precision"]) == {"suspected", "trusted"}


def test_the_page_has_figures_with_alternative_texts(executed):
    page = run.html(executed[0])
    texts = re.findall(r'<img alt="([^"]*)"', page)
    assert len(texts) == 6
    assert all(len(text) > 30 for text in texts)
    assert "No description" not in page


def test_the_table_prints_every_stage(executed):
    lines = run.table(executed[1]).splitlines()
    assert [line.split()[0] for line in lines] == ["stage", "SL", "AU", "ASSFT", "undefended"]
