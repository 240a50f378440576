"""What the tests of notebooks share."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMOKE = yaml.safe_load((ROOT / "notebooks" / "params" / "smoke.yaml").read_text(encoding="utf-8"))
