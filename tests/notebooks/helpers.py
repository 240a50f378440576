"""What the tests of notebooks share."""

import ast
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMOKE = yaml.safe_load((ROOT / "notebooks" / "params" / "smoke.yaml").read_text(encoding="utf-8"))


def only_imports(source):
    """Whether a cell consists of imports."""
    statements = ast.parse(source).body
    return all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements)
