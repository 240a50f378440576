"""Every notebook runs at smoke size, agrees with its paired text, and knows its parameters."""

import ast
import json
import re
import shutil

import jupytext
import nbformat
import papermill
import pytest
import yaml
from helpers import NOTEBOOKS, ROOT, SMOKE
from jupyter_client import KernelManager
from nbclient import NotebookClient
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from dlp_lib.experiments import run
from dlp_lib.experiments.classroom import is_tagged

PRESETS = sorted((ROOT / "notebooks" / "params").glob("*.yaml"))
BANDS = yaml.safe_load((ROOT / "tests" / "notebooks" / "bands.yaml").read_text(encoding="utf-8"))
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_presets_name_parameters_that_some_notebook_has(notebook, preset):
    settings = yaml.safe_load(preset.read_text(encoding="utf-8"))
    names = papermill.inspect_notebook(str(notebook))
    taken = run.choose_parameters(notebook, {}, settings)
    assert taken == {name: settings[name] for name in names if name in settings}
    assert {"n_train", "out"} <= set(taken)


@each_notebook
def test_unknown_parameters_are_refused(notebook):
    message = f"{notebook.name} has no parameter gama: allowed are dataset, n_train"
    with pytest.raises(ValueError, match=message):
        run.choose_parameters(notebook, {"gama": 0.1, "n_train": 1}, {})
    with pytest.raises(ValueError, match=message):
        run.choose_parameters(notebook, {"n_train": 1}, {"gama": 0.1})


def test_a_preset_may_hold_other_notebooks_parameters_and_a_user_may_not():
    attacks = ROOT / "notebooks" / "01_backdoor_attacks.ipynb"
    taken = run.choose_parameters(attacks, {"seed": 1}, {"e1": 5, "epochs": 3, "seed": 0})
    assert taken == {"epochs": 3, "seed": 1}
    with pytest.raises(ValueError, match="no parameter e1"):
        run.choose_parameters(attacks, {"e1": 5}, {})


@each_notebook
def test_parameters_are_literals(notebook):
    cells = nbformat.read(notebook, 4).cells
    (parameters,) = [cell for cell in cells if is_tagged(cell, "parameters")]
    for statement in ast.parse(parameters.source).body:
        ast.literal_eval(statement.value)


@each_notebook
def test_the_paired_text_says_the_same(notebook):
    text = jupytext.read(ROOT / "notebooks" / "py" / f"{notebook.stem}.py")
    ours = [(cell.cell_type, cell.source) for cell in nbformat.read(notebook, 4).cells]
    assert ours == [(cell.cell_type, cell.source) for cell in text.cells]


@each_notebook
def test_cells_are_short_and_explained(notebook):
    cells = []
    for cell in nbformat.read(notebook, 4).cells:
        if not is_tagged(cell, "colab"):  # which the project's address makes
            cells.append(cell)
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
def cache(tmp_path_factory):
    """One store for all, empty at first: nothing is read from an earlier run."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def kernel():
    """One kernel for most: it starts slowly, and its namespace is emptied before each notebook."""
    manager = KernelManager()
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


KERNEL_OF_ITS_OWN = {"09_sweeps"}  # it starts processes, which ask for what a reset takes away


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request, cache, kernel, tmp_path_factory):
    """A notebook at smoke size, started from another folder, and its metrics."""
    folder = tmp_path_factory.mktemp("smoke")
    own = request.param.stem in KERNEL_OF_ITS_OWN
    return execute(request.param, folder, cache, None if own else kernel)


FRESH = """
%cd {folder}
import matplotlib.pyplot
matplotlib.pyplot.close("all")
matplotlib.pyplot.rcdefaults()
%matplotlib inline
get_ipython().reset(new_session=True)
"""


def execute(notebook, folder, cache, kernel=None, bands=None):
    """Execute a notebook in a folder, in a kernel that runs or in one of its own."""
    bands = BANDS[notebook.stem] if bands is None else bands
    own = bands.get("parameters", {}) | {"out": str(folder), "cache": str(cache)}
    parameters = run.choose_parameters(notebook, own, SMOKE)
    content = parameterize_notebook(load_notebook_node(str(notebook)), parameters)
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(content, kernel, timeout=600, resources=place)  # seconds a cell
    if kernel:
        content.cells.insert(0, nbformat.v4.new_code_cell(FRESH.format(folder=folder)))
    try:
        client.execute()
    finally:
        if kernel and client.kc:  # otherwise the client ends its own
            client.kc.stop_channels()
    if kernel:
        del content.cells[0]
    copy = folder / notebook.name
    nbformat.write(content, copy)
    return copy, json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_metrics_say_what_was_run(executed):
    copy, metrics = executed
    wanted = SMOKE | BANDS[copy.stem].get("parameters", {})
    assert metrics["parameters"]["n_train"] == wanted["n_train"]
    names = papermill.inspect_notebook(str(ROOT / "notebooks" / copy.name))
    assert set(metrics["parameters"]) == set(names)
    assert {"python", "torch", "device", "threads", "commit"} <= set(metrics["environment"])


FIGURES = {
    "00_quickstart": 6,
    "01_backdoor_attacks": 4,
    "02_learning_speed_gap": 6,
    "03_entropy_filtering": 7,
    "04_active_unlearning": 6,
    "05_semi_supervised_finetuning": 3,
    "06_dlp_pipeline": 4,
    "07_live_lab": 2,
    "08_baselines": 6,
    "09_sweeps": 4,
    "10_architectures": 4,
    "11_limits": 7,
    "12_dbd": 5,
}


def test_the_page_has_figures_with_alternative_texts(executed):
    page = run.to_html(executed[0])
    texts = re.findall(r'<img alt="([^"]*)"', page)
    assert len(texts) == FIGURES[executed[0].stem]
    assert all(len(text) > 30 for text in texts)
    assert "No description" not in page


RESULTS = {  # what else a notebook's metrics.json must hold
    "00_quickstart": {
        "curves",
        "entropy",
        "stages",
        "filter_precision",
        "unlearning",
        "au_stop",
        "ascent",
        "without_au",
    },
    "01_backdoor_attacks": {"attacks", "rates"},
    "02_learning_speed_gap": {"curves", "steps"},
    "03_entropy_filtering": {
        "average_precision",
        "by_gamma",
        "agreement",
        "purity",
        "fires",
        "picked",
    },
    "04_active_unlearning": {
        "stop",
        "learned",
        "loss_before",
        "losses",
        "hidden",
        "left",
        "ascent",
        "ends",
        "gamma_ends",
        "mixture_ends",
        "in_evaluation_mode",
        "fast",
        "rates",
        "modes",
        "mixtures",
        "gammas",
    },
    "05_semi_supervised_finetuning": {
        "unlearned",
        "first_step",
        "finetuned",
        "pseudo_labels",
        "survival",
        "untriggered",
    },
    "06_dlp_pipeline": {"table", "orders"},
    "07_live_lab": {"settings"},
    "08_baselines": {"defences", "thresholds", "ascents", "dbd_disks"},
    "09_sweeps": {"alpha_gamma", "lengths", "rerun_seconds"},
    "10_architectures": {"costs", "table", "learned", "purity", "found"},
    "11_limits": {
        "clean_label",
        "found",
        "clean_ra",
        "remedy",
        "rates",
        "beyond",
        "epoch_by_epoch",
    },
    "12_dbd": {
        "defences",
        "neighbours",
        "trusted_poisoned",
        "losses",
        "target_class",
        "labels_kept",
        "untriggered",
    },
}


def test_metrics_say_what_came_out(executed):
    copy, metrics = executed
    assert set(metrics) == RESULTS[copy.stem] | {"parameters", "environment"}
    for row in metrics.get("stages", []) + metrics.get("attacks", [])[1:]:
        assert all(0 <= row[name] <= 1 for name in ("ca", "asr", "ra"))
        assert (row["n_clean"], row["n_triggered"]) == (2000, 1800)
    if "stages" in metrics:
        assert [row["stage"] for row in metrics["stages"]] == ["SL", "AU", "ASSFT", "undefended"]
        assert all(row["seconds"] > 0 for row in metrics["stages"])
        undefended, *defended = (row["images"] for row in reversed(metrics["stages"]))
        assert sum(defended) <= undefended < sum(defended) + metrics["parameters"]["n_train"]
        lines = run.stage_table(metrics).splitlines()
        assert [line.split()[0] for line in lines] == ["stage", "SL", "AU", "ASSFT", "undefended"]


def outside(metrics, bands):
    """The bands that the metrics leave."""
    for band in bands:
        value = metrics
        for key in band["path"]:
            value = value[key]
        if not band.get("least", value) <= value <= band.get("most", value):
            yield f"{band['path']} is {value}: {band['why']}"


def test_metrics_keep_to_their_bands(executed):
    copy, metrics = executed
    assert list(outside(metrics, BANDS[copy.stem]["bands"])) == []


MUTATIONS = {  # a file, and what is put in the place of what
    "the ascent descends": (
        "defences/unlearn.py",
        "return -cross_entropy(",
        "return cross_entropy(",
    ),
    "the order of entropy is reversed": (
        "defences/selection.py",
        "return suspicion.argsort(descending=True, stable=True)",
        "return suspicion.argsort(descending=False, stable=True)",
    ),
    "the mask is shifted by one": (
        "attacks/poisoning.py",
        "index_fill(0, rows, True)\n",
        "index_fill(0, rows, True).roll(1)\n",
    ),
}


LATE_MUTATIONS = {  # of stage 3, and of what is measured after it
    "labelled images do not count": (
        "defences/fixmatch.py",
        '{"loss": supervised + config.lambda_u * unsupervised,',
        '{"loss": config.lambda_u * unsupervised,',
    ),
    "the learning rate is a tenth": (
        "defences/fixmatch.py",
        "return config.lr * math.cos(",
        "return config.lr / 10 * math.cos(",
    ),
    "the target's own images count for ASR": (
        "evaluation/metrics.py",
        "victims = goal != test.labels",
        "victims = goal == goal",
    ),
}
QUICKSTART = "00_quickstart"
FINE_TUNED = BANDS[QUICKSTART]["fine-tuned"]


@pytest.fixture(scope="module")
def fine_tuned(cache, kernel, tmp_path_factory):
    """The metrics of the quick start at a size at which fine-tuning works."""
    folder = tmp_path_factory.mktemp("fine_tuned")
    notebook = ROOT / "notebooks" / f"{QUICKSTART}.ipynb"
    return execute(notebook, folder, cache, kernel, FINE_TUNED)[1]


def test_metrics_after_fine_tuning_keep_to_their_bands(fine_tuned):
    assert list(outside(fine_tuned, FINE_TUNED["bands"])) == []


@pytest.mark.parametrize("mutation", LATE_MUTATIONS)
def test_a_late_break_is_noticed(mutation, fine_tuned, cache, tmp_path, monkeypatch):
    """Stages that the break leaves as they were are read from the store."""
    metrics = broken(LATE_MUTATIONS[mutation], FINE_TUNED, cache, tmp_path, monkeypatch)
    assert list(outside(metrics, FINE_TUNED["bands"]))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_break_is_noticed(mutation, cache, tmp_path, monkeypatch):
    """What the break leaves as it was may be read from the store."""
    bands = BANDS[QUICKSTART]
    metrics = broken(MUTATIONS[mutation], bands, cache, tmp_path, monkeypatch)
    assert list(outside(metrics, bands["bands"]))


def broken(mutation, bands, cache, tmp_path, monkeypatch):
    """The metrics of the quick start in a copy of the library with a break."""
    for part in ("dlp_lib", "data/recorded", "docs", "notebooks"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")  # it says what is ours
    file, old, new = mutation
    source = (tmp_path / "dlp_lib" / file).read_text(encoding="utf-8")
    assert source.count(old) == 1
    (tmp_path / "dlp_lib" / file).write_text(source.replace(old, new), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "out").mkdir()
    notebook = tmp_path / "notebooks" / f"{QUICKSTART}.ipynb"
    parameters = {**bands["parameters"], "skip_au": False}  # bands do not look at it
    return execute(notebook, tmp_path / "out", cache, bands={**bands, "parameters": parameters})[1]
