"""Trials for sweeps: DLP from a flat dict of parameters, and any notebook."""

import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
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
    image_size: int | None = None  # None: the data set's own
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
        if self.dataset not in ("shapes10", "cifar10") and not Path(self.dataset).expanduser().is_dir():
            raise ValueError(f"dataset={self.dataset!r}: allowed are 'shapes10', 'cifar10', and folders that there are")
        for name in ("n_train", "image_size"):
            whole(name, 1 if getattr(self, name) is None else getattr(self, name), 1)
        if self.poisoning_rate is not None:
            fraction("poisoning_rate", self.poisoning_rate)
        Runtime(self.seed, self.device)
        self.defence()

    @classmethod
    def of(cls, parameters: dict) -> "Experiment":
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(parameters) - {*names, "store"}):
            raise ValueError(f"no parameter {', '.join(unknown)}: allowed are {', '.join(names)}")
        try:
            return cls(**{name: value for name, value in parameters.items() if name != "store"})
        except TypeError as error:  # text where a number is needed
            raise ValueError(f"{parameters}: {error}") from None

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


def _completed(parameters: dict) -> dict:
    return asdict(Experiment.of(parameters))


dlp.check = _completed  # so that a record says all that it was run with
# Any change of the library is another trial. What it leaves of the recorded stages is still read.
dlp.source = digest([path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.rglob("*.py"))])


@dataclass(frozen=True)
class Notebook:
    """A trial that executes a notebook headlessly and returns the figures of its metrics.json, flattened.

    The notebook writes metrics.json into the folder that its parameter ``out`` names, as all of ours do; it is kept
    there, with the executed notebook. Stages go where its parameter ``cache`` says, if it has one: the sweep's store.
    ``path``: the same on every machine. ``attempts``: how often a kernel may fail to start.
    """

    path: str
    attempts: int = 3

    def __post_init__(self):
        if not Path(self.path).is_file():
            raise ValueError(f"notebook={self.path!r}: there is no such file")
        object.__setattr__(self, "path", str(Path(self.path).resolve()))

    @property
    def name(self) -> str:
        return f"notebook.{Path(self.path).stem}"

    @cached_property
    def source(self) -> str:
        return self._cells()

    def _cells(self) -> str:
        import nbformat

        return "\n".join(cell.source for cell in nbformat.read(self.path, 4).cells if cell.cell_type == "code")

    def check(self, parameters: dict) -> None:
        """ValueError for a parameter that the notebook does not have (papermill itself only warns)."""
        has = self._parameters()
        if "out" not in has:
            raise ValueError(f"{Path(self.path).name} has no parameter out, the folder for its metrics.json")
        allowed = [name for name in has if name not in ("out", "cache")]
        if unknown := sorted(set(parameters) - set(allowed)):
            what = f"{Path(self.path).name} has no parameter {', '.join(unknown)} to sweep"
            raise ValueError(f"{what}: allowed are {', '.join(allowed)}")

    def _parameters(self) -> list[str]:
        import papermill

        return list(papermill.inspect_notebook(self.path))

    def __call__(self, parameters: dict) -> dict:
        if self._cells() != self.source:
            raise RuntimeError(f"{self.path} has changed since the sweep began")
        given = {name: value for name, value in parameters.items() if name != "store"}
        folder = Path(parameters["store"]) / "notebooks" / Path(self.path).stem / digest(self.source, given)
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / "metrics.json"
        written.unlink(missing_ok=True)
        places = {"out": str(folder), "cache": parameters["store"]}
        given |= {name: place for name, place in places.items() if name in self._parameters()}
        self._execute(folder / Path(self.path).name, given)
        metrics = json.loads(written.read_text(encoding="utf-8"))
        return flat({name: value for name, value in metrics.items() if name not in ("parameters", "environment")})

    def _execute(self, copy: Path, parameters: dict) -> None:
        import papermill
        from nbclient.exceptions import DeadKernelError

        for attempt in range(1, self.attempts + 1):
            try:
                cwd = str(Path(self.path).parent)
                papermill.execute_notebook(self.path, str(copy), parameters, cwd=cwd, progress_bar=False)
                return
            except DeadKernelError:  # in the middle of a cell
                raise
            except RuntimeError:  # jupyter_client's: it did not start
                if attempt == self.attempts:
                    raise


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
