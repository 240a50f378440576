"""Trials for sweeps: DLP from a flat dict of parameters, and any notebook."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

from . import attacks
from .architectures import ARCHITECTURES, build
from .data import load
from .metrics import filter_precision
from .pipeline import DLP, after_each
from .runtime import Runtime, fraction, whole
from .stages import FixMatch, Unlearn
from .store import Store, digest
from .surrogate import prepare
from .train import Context


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What ``dlp`` can be told; ValueError for what it cannot. The defaults are the quick start's."""

    dataset: str = "shapes10"  # or "cifar10", or a folder of class folders
    n_train: int | None = 5000  # None: all there are
    image_size: int = 16
    attack: str = "BadNets"  # a name of attacks.SHAPES10
    poisoning_rate: float | None = None  # None: the attack's own
    architecture: str = "WRN-16-1"  # a name of ARCHITECTURES
    order: str = "SL-AU-ASSFT"  # or another of pipeline.ORDERS
    gamma: float = 0.02
    e1: int = 4
    e2: int = 20
    stop: bool = True  # unlearning ends where the suspects are seen at chance; False: at E2
    unlearn_lr: float = 0.005
    reestimate: int = 1000  # images on which unlearning re-estimates batch-norm
    finetune_steps: int = 360
    finetune_batch: int = 64
    mu: int = 3  # unlabelled images a labelled one
    seed: int = 0
    device: str = "auto"

    def __post_init__(self):
        for name, allowed in (("attack", attacks.SHAPES10), ("architecture", ARCHITECTURES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: allowed are {', '.join(allowed)}")
        if self.n_train is not None:
            whole("n_train", self.n_train, 1)
        if self.poisoning_rate is not None:
            fraction("poisoning_rate", self.poisoning_rate)
        whole("seed", self.seed)
        self.defence()

    @classmethod
    def of(cls, parameters: dict) -> "Experiment":
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(parameters) - {*names, "store"}):
            raise ValueError(f"no parameter {', '.join(unknown)}: allowed are {', '.join(names)}")
        return cls(**{name: value for name, value in parameters.items() if name != "store"})

    def defence(self) -> DLP:
        unlearn = Unlearn(lr=self.unlearn_lr, reestimate=self.reestimate, stop=self.stop)
        fixmatch = FixMatch(batch=self.finetune_batch, mu=self.mu, steps=self.finetune_steps)
        order = tuple(self.order.split("-"))
        return DLP(gamma=self.gamma, e1=self.e1, e2=self.e2, order=order, unlearn=unlearn, fixmatch=fixmatch)


def dlp(parameters: dict) -> dict:
    """A trial of DLP. Parameters: the fields of Experiment, and "store", the folder of recorded stages.

    Returns CA, ASR and RA, all three after each stage ("AU_asr") and in the end ("asr"); the poisoned share of the
    suspects and the clean share of the trusted ("suspected", "trusted"); "au_stop"; and "images", passes with gradient.
    """
    it = Experiment.of(parameters)
    context = Context(Runtime(it.seed, it.device), Store(parameters.get("store")))
    train, test = load(it.dataset, it.n_train, image_size=it.image_size, store=context.store)
    test = test.to(context.runtime.device)
    attack, rate = attacks.settings(it.dataset, train)[it.attack]
    attack = prepare(attack, train, context)
    tampered, truth = attacks.poison(train, attack, it.poisoning_rate or rate, context)
    result = it.defence().run(build(it.architecture, len(train.classes), context.runtime), tampered, context)
    row = filter_precision(result.selection.suspected, result.selection.trusted, truth)
    row["au_stop"] = result.stages["AU"].chosen if "AU" in result.stages else None
    row["images"] = sum(stage.total("images") for stage in result.stages.values())
    for stage, metrics in after_each(result, test, attack).items():
        for name in ("ca", "asr", "ra"):
            row[f"{stage}_{name}"] = row[name] = getattr(metrics, name)  # the last stage's, without its name, too
    return row


dlp.check = Experiment.of


@dataclass(frozen=True)
class Notebook:
    """A trial that executes a notebook headlessly and returns the figures of its metrics.json, flattened.

    The notebook writes metrics.json into the folder that its parameter ``out`` names, as all of ours do; it is kept
    there, with the executed notebook. ``attempts``: how often a kernel may fail to start.
    """

    path: str
    attempts: int = 3

    @property
    def name(self) -> str:
        return f"notebook.{Path(self.path).stem}"

    @property
    def source(self) -> str:
        import nbformat

        return "\n".join(cell.source for cell in nbformat.read(self.path, 4).cells if cell.cell_type == "code")

    def check(self, parameters: dict) -> None:
        """ValueError for a parameter that the notebook does not have (papermill itself only warns)."""
        import papermill

        allowed = [*papermill.inspect_notebook(self.path)]
        if unknown := sorted(set(parameters) - set(allowed)):
            raise ValueError(
                f"{Path(self.path).name} has no parameter {', '.join(unknown)}: allowed are {', '.join(allowed)}"
            )

    def __call__(self, parameters: dict) -> dict:
        import papermill
        from nbclient.exceptions import DeadKernelError

        store = Path(parameters["store"])
        given = {name: value for name, value in parameters.items() if name != "store"}
        folder = store / "notebooks" / Path(self.path).stem / digest(given)
        folder.mkdir(parents=True, exist_ok=True)
        given |= {"out": str(folder), "cache": str(store)}
        for attempt in range(1, self.attempts + 1):
            try:
                papermill.execute_notebook(
                    self.path,
                    str(folder / Path(self.path).name),
                    given,
                    cwd=str(Path(self.path).parent),
                    progress_bar=False,
                )
                break
            except DeadKernelError:  # in the middle of a cell
                raise
            except RuntimeError:  # jupyter_client's: it did not start
                if attempt == self.attempts:
                    raise
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        return flat({name: value for name, value in metrics.items() if name not in ("parameters", "environment")})


def flat(value, prefix: str = "") -> dict:
    """Nested dicts and lists as one dict: {"stages": [{"stage": "SL", "ca": 0.4}]} becomes {"stages.SL.ca": 0.4}.

    A table's row goes by its texts where these tell the rows apart, and anything else in a list by its place.
    """
    if isinstance(value, list):
        value = _named(value)
    if not isinstance(value, dict):
        return {prefix: value}
    parts = (flat(part, f"{prefix}.{name}".lstrip(".")) for name, part in value.items())
    return {name: leaf for part in parts for name, leaf in part.items()}


def _named(rows: list) -> dict:
    texts = [[cell for cell in row.values() if isinstance(cell, str)] if isinstance(row, dict) else [] for row in rows]
    names = [".".join(row) for row in texts]
    if not all(names) or len(set(names)) < len(rows):
        return dict(enumerate(rows))
    numbers = [{name: cell for name, cell in row.items() if not isinstance(cell, str)} for row in rows]
    return dict(zip(names, numbers, strict=True))
