"""The paper's experiments with the paper's settings, run by run, in the order of their worth.

python -m dlp_lib.record cifar10: 50,000 images of CIFAR-10, for a GPU. What is recorded already is left out, so that
--minutes cuts the work into sittings; with --dataset, --n-train, --steps and --mu it is a smaller experiment, and its
records say so.
"""

import argparse
import fnmatch
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from .. import attacks, baselines, plots
from ..architectures import ARCHITECTURES
from ..attacks import Attack, Truth
from ..baselines import clean_part, defend
from ..data import Split, load
from ..filters import FILTERS, select
from ..metrics import evaluate, filter_precision, observe
from ..pipeline import DLP, Defended, Result, after_each, audit
from ..runtime import HOME, Runtime, environment
from ..stages import FixMatch, Unlearn
from ..store import Store, lock
from ..train import Context
from . import FOLDER, read, write
from .bench import Bench, scores
from .undefended import subsets

LOOKED_AT = (1, 2, 3, 5, 10, 20)  # epochs of unlearning
GAMMAS = (0.001, 0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Part:
    """One run of DLP, and the tables that get rows of it."""

    name: str
    attack: str
    tables: tuple[str, ...] = ("stages",)  # of TABLES
    changes: dict = field(default_factory=dict)  # of DLP's settings
    rate: float | None = None  # of poisoning; None: the attack's own
    stop: bool = True  # unlearning where the suspects are at chance; the paper has all of E2
    architecture: str = "WRN-16-1"

    def dlp(self, default: DLP) -> DLP:
        return replace(default, unlearn=replace(default.unlearn, stop=self.stop), **self.changes)


@dataclass(frozen=True)
class Run:
    """What a part came to."""

    bench: Bench
    part: Part
    attack: Attack | None
    tampered: Split
    truth: Truth
    result: Result


def _parts() -> Iterator[Part]:
    five, total = tuple(attacks.CIFAR10), {"quota": "total"}
    learned = ("epochs", "filters", "unlearning", "stages")
    for name in five:
        yield Part(f"{name}, learned and unlearned", name, learned, {"order": ("SL", "AU")})
    for changes, said in (({}, ""), (total, ", quota in total")):
        for name in ("BadNets", "Blended", "SIG", "none"):
            yield Part(f"{name}{said}", name, changes=changes)
    yield Part("BadNets, fine-tuned before unlearning", "BadNets", changes={"order": ("SL", "ASSFT", "AU")})
    yield Part("BadNets, all of E2", "BadNets", stop=False)
    for gamma in (0.001, 0.1):
        yield Part(f"BadNets, gamma {gamma}", "BadNets", changes={"gamma": gamma})
    for rate in (0.5, 0.01, 0.05, 0.2):
        yield Part(f"BadNets, alpha {rate}", "BadNets", rate=rate)
    for name in ("TrojanNN", "LCA"):
        yield Part(name, name)
    for name in ("none", *five):
        yield Part(f"{name}, undefended", name, ("undefended",), {"order": ("SL",)})
    for architecture in ARCHITECTURES:
        for name in ("BadNets", "TrojanNN", "Blended", "SIG"):
            if architecture != "WRN-16-1":
                yield Part(f"{name}, {architecture}", name, architecture=architecture)
    for name in ("none", *five):
        yield Part(f"{name}, baselines", name, ("baselines",), {"order": ("SL",)})


PARTS = tuple(_parts())


def epochs(run: Run) -> Iterator[dict]:
    """Fig. 1: training accuracy of the clean and the poisoned subset after every epoch of stage 1."""
    for epoch, logits in enumerate(scores(run.result.stages["SL"]), 1):
        yield {"epoch": epoch, **subsets(logits, run.tampered.to("cpu"), run.truth.poisoned.cpu())}


def filters(run: Run) -> Iterator[dict]:
    """Fig. 5: the poisoned share of what each filter suspects after stage 1, and the clean share of what it trusts."""
    model, stage = run.bench.untrained(), run.result.stages["SL"]
    stage.trail.load(model, stage.chosen)
    seen = observe(model, run.tampered.images)
    for gamma in GAMMAS:
        for kind, score in FILTERS.items():
            cut = select(score(seen, run.tampered.labels), run.tampered, gamma, run.bench.dlp.quota)
            yield {"filter": kind, "gamma": gamma, **filter_precision(cut.suspected, cut.trusted, run.truth)}


def unlearning(run: Run) -> Iterator[dict]:
    """Table 1's AU, epoch by epoch: as the ascent leaves batch-norm, and re-estimated; "stop" is where it would end."""
    stage = run.result.stages["AU"]
    looked_at = sorted({epoch for epoch in (*LOOKED_AT, stage.chosen) if 0 < epoch <= len(stage.history)})
    for row in audit(stage, run.result.model, run.bench.test, run.attack, looked_at):
        yield row | {"stop": stage.chosen}


def stages(run: Run) -> Iterator[dict]:
    """Tables 1, 5 and 6 and Fig. 4: CA, ASR and RA after every stage."""
    dlp, cut = run.part.dlp(run.bench.dlp), run.result.selection
    said = {"gamma": dlp.gamma, "quota": dlp.quota, "order": "-".join(dlp.order), "trusted_images": len(cut.trusted)}
    said |= {"cut": cut.cut, "au_stop": run.result.stages["AU"].chosen if "AU" in run.result.stages else None}
    if run.attack:
        said |= filter_precision(cut.suspected, cut.trusted, run.truth)
    for name, metrics in after_each(run.result, run.bench.test, run.attack).items():
        stage = run.result.stages[name]
        costs = {"images": stage.total("images"), "seconds": stage.total("seconds")}
        yield {"stage": name, **asdict(metrics), **said, **costs}


def undefended(run: Run) -> Iterator[dict]:
    """Table 3's first row: plain training of the same length, E1 counted in."""
    model, stage = run.bench.trained(run.tampered)
    measured = evaluate(model, run.bench.test, run.attack)
    yield {"epochs": run.bench.epochs, **asdict(measured), "images": stage.total("images")}


def baselines_(run: Run) -> Iterator[dict]:
    """Table 3: the other defences with their papers' settings, on the test set without the clean part."""
    clean, test = clean_part(run.bench.train, run.bench.test, run.bench.context)
    trained, stage = run.bench.trained(run.tampered)
    for kind, method in {"none": None, **baselines.CIFAR10}.items():
        done = Defended(trained, {"SL": stage})
        if method:
            done = defend(method, run.bench.untrained(), trained, run.tampered, clean, run.bench.context)
        yield {"defence": kind, **asdict(evaluate(done.model, test, run.attack)), "images": done.total("images")}


TABLES: dict[str, Callable[[Run], Iterator[dict]]] = {
    "epochs": epochs,
    "filters": filters,
    "unlearning": unlearning,
    "stages": stages,
    "undefended": undefended,
    "baselines": baselines_,
}


def measure(bench: Bench, part: Part) -> dict[str, list[dict]]:
    """A part's rows for each of its tables."""
    bench = replace(bench, architecture=part.architecture)
    clean = torch.zeros_like(bench.train.labels, dtype=torch.bool)
    attack, tampered, truth = None, bench.train, Truth(clean, bench.train.labels, 0)
    if part.attack != "none":
        attack, rate = attacks.CIFAR10[part.attack]
        attack, tampered, truth = bench.poisoned(attacks.Setting(attack, part.rate or rate))
    result = part.dlp(bench.dlp).run(bench.untrained(), tampered, bench.context)
    run = Run(bench, part, attack, tampered, truth, result)
    said = {"part": part.name, "attack": part.attack, "poisoned_images": int(truth.poisoned.sum())}
    said["architecture"] = part.architecture
    return {table: [{**said, **row} for row in TABLES[table](run)] for table in part.tables}


def expect(settings: dict, folder: Path) -> None:
    """ValueError where a table of the folder was made with other settings."""
    for path in sorted(folder.glob("*.json")):
        made = json.loads(path.read_text(encoding="utf-8"))["made"]["settings"]
        if made != settings:
            raise ValueError(f"{path} was made with {made}: now given are {settings}; take another --out")


def there(table: str, folder: Path) -> list[dict]:
    return read(table, folder) if (folder / f"{table}.json").exists() else []


def missing(part: Part, seed: int, folder: Path) -> bool:
    """Whether a table lacks the rows of a part."""
    tables = (there(table, folder) for table in part.tables)
    return not all(any((row["part"], row["seed"]) == (part.name, seed) for row in rows) for rows in tables)


def add(table: str, rows: list[dict], made: dict, folder: Path) -> None:
    """The table with these rows among those of other runs, in the order of their worth."""
    order = [part.name for part in PARTS]
    runs = {(row["seed"], row["part"]) for row in rows}
    rows = rows + [row for row in there(table, folder) if (row["seed"], row["part"]) not in runs]
    write(table, sorted(rows, key=lambda row: (row["seed"], order.index(row["part"]))), made, folder)


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib.record cifar10",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", default="cifar10", help="or a folder of images of 32×32")
    parser.add_argument("--n-train", type=int, help="training images (default: all)")
    parser.add_argument("--n-test", type=int, help="test images (default: all)")
    parser.add_argument("--steps", type=int, default=10_000, help="of FixMatch")
    parser.add_argument("--mu", type=int, default=7, help="unlabelled images a labelled one")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--parts", nargs="+", default=["*"], metavar="PATTERN", help='such as "BadNets*"')
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no part is begun")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--store", type=Path, default=HOME / "build" / "store")
    parser.add_argument("--out", type=Path, default=FOLDER / "cifar10-full")
    it = parser.parse_args(given)
    wanted = [part for part in PARTS if any(fnmatch.fnmatchcase(part.name, pattern) for pattern in it.parts)]
    if not wanted:
        parser.error(f"--parts {' '.join(it.parts)}: allowed are patterns of {'; '.join(part.name for part in PARTS)}")
    end, store = time.monotonic() + 60 * it.minutes, Store(it.store)
    train, test = load(it.dataset, it.n_train, it.n_test, store=store)
    fixmatch = FixMatch(steps=it.steps, mu=it.mu)
    dlp = DLP(unlearn=Unlearn(reestimate=min(4000, len(train) // 10)), fixmatch=fixmatch)
    passes = fixmatch.steps * fixmatch.batch * (1 + fixmatch.mu)
    settings = {"dataset": Path(it.dataset).name, "images": [len(train), len(test)], "digest": train.digest}
    settings |= {"dlp": repr(dlp), "attacks": repr(attacks.CIFAR10), "baselines": repr(baselines.CIFAR10)}
    settings |= {"precision": it.precision, "epochs": dlp.e1 + math.ceil(passes / len(train))}
    expect(settings, it.out)
    for seed, part in itertools.product(it.seeds, wanted):
        if not missing(part, seed, it.out) or time.monotonic() > end:
            continue
        context = Context(Runtime(seed, it.device, it.precision, it.compiled), store, plots.progress)
        data = (split.to(context.runtime.device) for split in (train, test))
        tables = measure(Bench(*data, context, epochs=settings["epochs"], dlp=dlp), part)
        with lock(it.out.with_suffix(".lock")):  # several may be at work
            for table, rows in tables.items():
                made = {"what": TABLES[table].__doc__, "settings": settings, **environment(context.runtime)}
                add(table, [{"seed": seed, **row} for row in rows], made, it.out)
        print(f"recorded: seed {seed}, {part.name}", flush=True)
