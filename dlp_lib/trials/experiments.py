"""DLP and the other defences, from a flat dict of parameters."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from torch import nn

from .. import attacks, baselines
from ..architectures import ARCHITECTURES, build
from ..data import Split, load
from ..metrics import evaluate, filter_precision
from ..pipeline import DLP, Defended, after_each
from ..runtime import Runtime, fraction, whole
from ..stages import FixMatch, Supervised, Unlearn, supervised
from ..store import Store, digest
from ..surrogate import prepare
from ..train import Context


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
        self.dlp()

    @classmethod
    def of(cls, parameters: dict) -> "Experiment":
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(parameters) - {*names, "store"}):
            raise ValueError(f"no parameter {', '.join(unknown)}: allowed are {', '.join(names)}")
        try:
            return cls(**{name: value for name, value in parameters.items() if name != "store"})
        except TypeError as error:  # text where a number is needed
            raise ValueError(f"{parameters}: {error}") from None

    def dlp(self) -> DLP:
        unlearn = Unlearn(lr=self.unlearn_lr, reestimate=self.reestimate, stop=self.stop)
        fixmatch = FixMatch(batch=self.finetune_batch, mu=self.mu, steps=self.finetune_steps)
        order = tuple(self.order.split("-"))
        return DLP(gamma=self.gamma, e1=self.e1, e2=self.e2, order=order, unlearn=unlearn, fixmatch=fixmatch)


@dataclass(frozen=True, kw_only=True)
class Contest(Experiment):
    """What ``defended`` can be told: any defence at its default settings; DLP at those of Experiment."""

    defence: str = "DLP"  # or a name of baselines.SHAPES10; or "none"
    epochs: int = 24  # of the undefended model, from which some defences start

    def __post_init__(self):
        super().__post_init__()
        allowed = ("none", "DLP", *baselines.SHAPES10)
        if self.defence not in allowed:
            raise ValueError(f"defence={self.defence!r}: allowed are {', '.join(allowed)}")
        whole("epochs", self.epochs, 1)


class Scene(NamedTuple):
    """What a trial begins with."""

    context: Context
    train: Split
    test: Split
    attack: attacks.Attack
    tampered: Split
    truth: attacks.Truth
    untrained: nn.Module


def _scene(it: Experiment, store: str | None) -> Scene:
    context = Context(Runtime(it.seed, it.device), Store(store))
    loaded = load(it.dataset, it.n_train, image_size=it.image_size, store=context.store)
    train, test = (part.to(context.runtime.device) for part in loaded)
    attack, rate = attacks.settings(it.dataset, train)[it.attack]
    attack = prepare(attack, train, context)
    poisoned = attacks.poison(train, attack, it.poisoning_rate or rate, context)
    return Scene(context, train, test, attack, *poisoned, build(it.architecture, len(train.classes), context.runtime))


def dlp(parameters: dict) -> dict:
    """A trial of DLP. Parameters: the fields of Experiment, and "store", the folder of recorded stages.

    Returns CA, ASR and RA, all three after each stage ("AU_asr") and in the end ("asr"); the poisoned share of the
    suspects and the clean share of the trusted ("suspected", "trusted"); "au_stop"; and "images", passes with gradient.
    """
    it = Experiment.of(parameters)
    scene = _scene(it, parameters.get("store"))
    result = it.dlp().run(scene.untrained, scene.tampered, scene.context)
    row = filter_precision(result.selection.suspected, result.selection.trusted, scene.truth)
    row["au_stop"] = result.stages["AU"].chosen if "AU" in result.stages else None
    row["images"] = result.total("images")
    for stage, metrics in after_each(result, scene.test, scene.attack).items():
        for name in ("ca", "asr", "ra"):
            row[f"{stage}_{name}"] = row[name] = getattr(metrics, name)  # the last stage's, without its name, too
    return row


def defended(parameters: dict) -> dict:
    """A trial of any defence. Parameters: the fields of Contest, and "store".

    Returns CA, ASR and RA on the test set without the clean images that some defences are given; what the defence
    "sees" and where it "starts"; and "images" and "training_seconds" of its own.
    """
    it = Contest.of(parameters)
    scene = _scene(it, parameters.get("store"))
    clean, test = baselines.clean_part(scene.train, scene.test, scene.context)
    trained = copy.deepcopy(scene.untrained)
    stages = {"SL": supervised(trained, scene.tampered, it.epochs, Supervised(), scene.context)}
    method, result = None, Defended(trained, stages)
    if it.defence != "none":
        method = it.dlp() if it.defence == "DLP" else baselines.settings(it.dataset)[it.defence]
        result = baselines.defend(method, scene.untrained, trained, scene.tampered, clean, scene.context)
    measured = evaluate(result.model, test, scene.attack)
    row = {name: getattr(measured, name) for name in ("ca", "asr", "ra", "collapsed")}
    row |= {name: getattr(method, name, None) for name in ("sees", "starts")}
    return row | {"images": result.total("images"), "training_seconds": result.total("seconds")}


def _completed(kind: type[Experiment]) -> Callable[[dict], dict]:
    return lambda parameters: asdict(kind.of(parameters))


dlp.check, defended.check = _completed(Experiment), _completed(Contest)  # so that a record says all it was run with
# Any change of the library, but for the parts that no trial is computed by, makes other trials of them all. Stages that
# were recorded before it, and that it leaves alone, are still read.
APART = {"background", "checks", "doctor", "lab", "panels", "plots", "record", "widgets"}
_HOUSE = Path(__file__).parents[1]
dlp.source = digest(
    [
        path.read_text(encoding="utf-8")
        for path in sorted(_HOUSE.rglob("*.py"))
        if path.relative_to(_HOUSE).parts[0].removesuffix(".py") not in APART
    ]
)
defended.source = dlp.source
