"""Trials of DLP and of the other defences, from a flat dict of parameters."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ...checking import match_name
from ...context import Context
from ...data.datasets import DATASETS, expect_folder
from ...defences import DLP, Defence, DefenceResult, clean_part, defend
from ...evaluation import evaluate, target_recall
from ...recipes import Recipe, recipe_for
from ...runtime import Runtime
from ...store import Store
from ..scenario import Scenario, scenario
from ..values import check_value
from .row import dlp_row

UNDEFENDED = "none"


def _check_text(name: str, value) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name}={value!r}: allowed is text")
    return value


@dataclass(frozen=True, kw_only=True)
class DLPTrial:
    """Parameters of ``run_dlp``.

    None stands for the value of the data set's recipe, which then takes its place. Only
    ``poisoning_rate``, ``n_train`` and ``image_size`` stay None, as they depend on the data.

    Raises:
        ValueError: for what cannot work.
        FileNotFoundError: for a data folder that does not exist.
    """

    dataset: str = "shapes10"  # a name of data.DATASETS, or a folder of class folders
    n_train: int | None = 5000  # None: all there are
    image_size: int | None = None  # None: the data set's own
    attack: str = "BadNets"  # a name of the recipe's
    poisoning_rate: float | None = None  # None: as far as the target class allows the recipe's
    architecture: str = "WRN-16-1"  # a name of models.ARCHITECTURES
    order: str | None = None  # of defences.ORDERS, joined by "-"
    gamma: float | None = None  # filtering rate
    e1: int | None = None  # epochs of stage 1
    e2: int | None = None  # epochs of unlearning, at most
    stop: bool | None = None  # unlearning ends where the suspects are at chance; False: at E2
    unlearn_lr: float | None = None
    reestimate: int | None = None  # images on which unlearning re-estimates batch-norm
    finetune_steps: int | None = None
    finetune_batch: int | None = None  # labelled images a step
    mu: int | None = None  # unlabelled images for each labelled one
    immunise: float | None = None  # share of fine-tuning's images that get the suspects' trigger
    seed: int = 0
    device: str = "auto"

    def __post_init__(self):
        if _check_text("dataset", self.dataset).lower() in DATASETS:
            object.__setattr__(self, "dataset", self.dataset.lower())
        else:
            expect_folder(Path(self.dataset).expanduser())
        self._fill_in_defaults()
        for field in fields(self):
            checked = check_value(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, checked)
        _check_text("order", self.order)
        self.dlp()  # raises for settings that cannot work

    @classmethod
    def from_parameters(cls, parameters: dict) -> "DLPTrial":
        """Return a trial of a flat dict, in which "store" is left aside.

        Raises:
            ValueError: for an unknown name, and for a value that is not allowed.
        """
        allowed = [field.name for field in fields(cls)]
        values = {name: value for name, value in parameters.items() if name != "store"}
        unknown = sorted(set(values) - set(allowed))
        if unknown:
            raise ValueError(f"no parameter {', '.join(unknown)}: allowed are {', '.join(allowed)}")
        return cls(**values)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the data set."""
        return recipe_for(self.dataset)

    def dlp(self) -> DLP:
        """Return DLP with the trial's settings."""
        recommended = self.recipe.dlp
        unlearn = replace(
            recommended.unlearn, lr=self.unlearn_lr, reestimate=self.reestimate, stop=self.stop
        )
        fixmatch = replace(
            recommended.fixmatch,
            batch=self.finetune_batch,
            mu=self.mu,
            steps=self.finetune_steps,
            immunise=self.immunise,
        )
        return replace(
            recommended,
            gamma=self.gamma,
            e1=self.e1,
            e2=self.e2,
            order=tuple(self.order.split("-")),
            unlearn=unlearn,
            fixmatch=fixmatch,
        )

    def make_scenario(self, store: str | None) -> Scenario:
        """Return the scenario; ``store`` is the folder of recorded stages, None: in memory."""
        return scenario(
            self.dataset,
            self.attack,
            self.poisoning_rate,
            n_train=self.n_train,
            image_size=self.image_size,
            architecture=self.architecture,
            context=Context(Runtime(self.seed, self.device), Store(store)),
        )

    def _fill_in_defaults(self) -> None:
        for name, value in self._defaults().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def _defaults(self) -> dict:
        dlp = self.recipe.dlp
        return {
            "order": "-".join(dlp.order),
            "gamma": dlp.gamma,
            "e1": dlp.e1,
            "e2": dlp.e2,
            "stop": dlp.unlearn.stop,
            "unlearn_lr": dlp.unlearn.lr,
            "reestimate": dlp.unlearn.reestimate,
            "finetune_steps": dlp.fixmatch.steps,
            "finetune_batch": dlp.fixmatch.batch,
            "mu": dlp.fixmatch.mu,
            "immunise": dlp.fixmatch.immunise,
        }


@dataclass(frozen=True, kw_only=True)
class DefenceTrial(DLPTrial):
    """Parameters of ``run_defence``: those of ``run_dlp`` decide nothing but DLP."""

    defence: str = "DLP"  # or a name of the recipe's, or "none"
    epochs: int | None = None  # of the undefended model, from which some defences start

    def __post_init__(self):
        super().__post_init__()
        allowed = (UNDEFENDED, "DLP", *self.recipe.defences)
        object.__setattr__(self, "defence", match_name("defence", self.defence, allowed))

    def method(self) -> Defence | None:
        """Return the defence with its settings; None: there is none."""
        if self.defence == UNDEFENDED:
            return None
        if self.defence == "DLP":
            return self.dlp()
        return self.recipe.defences[self.defence]

    def _defaults(self) -> dict:
        return {**super()._defaults(), "epochs": self.recipe.epochs}


def run_dlp(parameters: dict) -> dict:
    """Run DLP once.

    Args:
        parameters: the fields of DLPTrial, and "store", the folder of recorded stages.

    Returns:
        What ``dlp_row`` does.
    """
    trial = DLPTrial.from_parameters(parameters)
    scene = trial.make_scenario(parameters.get("store"))
    return dlp_row(scene, trial.dlp())


def run_defence(parameters: dict) -> dict:
    """Run any defence once.

    Args:
        parameters: the fields of DefenceTrial, and "store", the folder of recorded stages.

    Returns:
        CA, ASR, RA and the target class's recall on the test set without the clean images that some
        defences are given; what the defence "sees" and where it "starts"; and its own "images" and
        "training_seconds".
    """
    trial = DefenceTrial.from_parameters(parameters)
    scene = trial.make_scenario(parameters.get("store"))
    clean, test = clean_part(scene.clean, scene.test, scene.context)
    undefended, stage = scene.undefended(trial.epochs)
    method = trial.method()
    if method is None:
        result = DefenceResult(undefended, {"SL": stage})
    else:
        untrained = scene.untrained()
        result = defend(method, untrained, undefended, scene.tampered, clean, scene.context)
    metrics = evaluate(result.model, test, scene.attack)
    return {
        "ca": metrics.ca,
        "asr": metrics.asr,
        "ra": metrics.ra,
        "target_recall": target_recall(metrics, scene.attack),
        "collapsed": metrics.collapsed,
        "sees": getattr(method, "sees", None),
        "starts": getattr(method, "starts", None),
        "images": result.total("images"),
        "training_seconds": result.total("seconds"),
    }


def complete_dlp(parameters: dict) -> dict:
    """Return all parameters of ``run_dlp`` with their values; ValueError for what cannot work."""
    return asdict(DLPTrial.from_parameters(parameters))


def complete_defence(parameters: dict) -> dict:
    """Return all parameters of ``run_defence`` with their values; ValueError as above."""
    return asdict(DefenceTrial.from_parameters(parameters))


run_dlp.check = complete_dlp
run_defence.check = complete_defence
