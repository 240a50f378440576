"""What the tests of notebooks share."""

import ast
import importlib.util
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMOKE = yaml.safe_load((ROOT / "notebooks" / "params" / "smoke.yaml").read_text(encoding="utf-8"))


def tool(name):
    """A script beside the notebooks, as a module."""
    specification = importlib.util.spec_from_file_location(name, ROOT / "notebooks" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def only_imports(source):
    return all(isinstance(line, (ast.Import, ast.ImportFrom)) for line in ast.parse(source).body)
