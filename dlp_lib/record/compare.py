"""All defences on the same data (notebook 08)."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from ..attacks import SHAPES10
from ..baselines import SHAPES10 as BASELINES
from ..baselines import clean_part, defend
from ..metrics import evaluate
from ..pipeline import Defended, agreed_e1
from .bench import ATTACKS, GAMMA, Bench


def measure_baselines(bench: Bench) -> Iterator[dict]:
    """Table 3: every defence against every attack, on the test set without the clean part; DLP's E1 as in Table 1.

    "images" and "seconds" are the defence's own: what starts from a trained model needs that one besides.
    """
    for name in ("none", *SHAPES10):
        yield from against(bench, name)


def against(bench: Bench, name: str) -> Iterator[dict]:
    """Table 3's rows of one attack, or of "none"."""
    attack, tampered, _ = (None, bench.train, None) if name == "none" else bench.poisoned(ATTACKS[name])
    clean, test = clean_part(bench.train, bench.test, bench.context)
    trained, stage = bench.trained(tampered)
    dlp = replace(bench.dlp, e1=agreed_e1(stage, tampered, GAMMA) or bench.dlp.e1)
    for kind, method in {"none": None, **BASELINES, "DLP": dlp}.items():
        done = Defended(trained, {"SL": stage})
        if method:
            done = defend(method, bench.untrained(), trained, tampered, clean, bench.context)
        costs = {column: done.total(column) for column in ("images", "seconds")}
        yield {"attack": name, "defence": kind, **asdict(evaluate(done.model, test, attack)), **costs}
