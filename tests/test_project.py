"""What holds the project together: import order, light imports, one list of requirements."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from dlp_lib import trials

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dlp_lib"
# A file imports only files that stand before it.
ORDER = [
    "runtime", "store", "models", "architectures", "shapes10", "data", "augment", "train", "attacks", "metrics",
    "filters", "stages", "surrogate", "pipeline", "baselines", "trials", "sweep", "plots", "record",
    "background", "lab", "panels", "widgets", "checks", "doctor",
]  # fmt: skip


def imported(path):
    """The modules of dlp_lib that a file imports, wherever it does."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:  # from the package itself
            yield from [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert not (node.module or "").startswith("dlp_lib"), path


def test_every_file_imports_only_what_stands_above_it():
    files = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    assert {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in files} == set(ORDER)
    for path in files:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for other in imported(path):
            assert ORDER.index(other) < ORDER.index(own), f"{path.name} imports {other}"


def test_files_stay_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert max(lengths.values()) <= 250
    kit = sum(n for path, n in lengths.items() if path.relative_to(PACKAGE).parts[0] in ("checks", "doctor.py"))
    assert sum(lengths.values()) - kit < 5300  # grows with what is added, on purpose and by this line
    assert kit < 1800


def test_nothing_that_computes_a_trial_stands_apart():
    assert min(ORDER.index(name) for name in trials.experiments.APART) > ORDER.index("trials")


LIGHT = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy}:
            raise ImportError(f"{{name}} is not installed here")
sys.meta_path.insert(0, Forbid())
import dlp_lib
split, _ = dlp_lib.load("shapes10", 20, 20)
dlp_lib.evaluate(dlp_lib.wrn_16_1(10, dlp_lib.Runtime()), split, dlp_lib.BadNets())
"""


def test_importing_the_library_takes_torch_and_numpy_alone():
    heavy = {"torchvision", "safetensors", "PIL", "matplotlib", "seaborn", "pandas", "IPython", "ipywidgets", "yaml"}
    heavy |= {"sklearn", "dask", "distributed", "papermill", "nbformat"}
    done = subprocess.run([sys.executable, "-c", LIGHT.format(heavy=heavy)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def names_and_bounds(requirements):
    return {tuple(re.fullmatch(r"([\w-]+)(.*)", requirement.replace(" ", "")).groups()) for requirement in requirements}


@pytest.fixture
def wanted():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    return names_and_bounds(project["dependencies"] + extras)


def test_conda_users_get_the_same_requirements(wanted):
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    conda = names_and_bounds(entry for entry in listed + pip if isinstance(entry, str) and entry != "-e .")
    other = {"pytorch": "torch", "playwright-python": "playwright"}  # conda's names
    conda = {(other.get(name, name), bound) for name, bound in conda} - {("pip", ""), ("python", ">=3.11")}
    assert conda == wanted


def test_the_lock_satisfies_the_requirements(wanted):
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = [re.match(r"([\w.-]+)==([\w.]+)", line).groups() for line in lines]
    for name, bounds in wanted:
        versions = [version for other, version in pinned if other == name]
        assert versions, f"{name} is not in requirements.lock"
        least = re.search(r">=([\d.]+)", bounds)[1]
        for version in versions:
            assert tuple(map(int, version.split("."))) >= tuple(map(int, least.split("."))), name
            assert f"!={version}" not in bounds


def test_cuda_packages_are_for_linux_alone():
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line.startswith(("nvidia-", "cuda-", "triton")):
            assert "sys_platform == 'linux'" in line


def test_nothing_is_ever_unpickled():
    forbidden = r"import pickle|pickle\.load|torch\.load\(|torch\.save\(|allow_pickle"
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(forbidden, path.read_text(encoding="utf-8")), path
