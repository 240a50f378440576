"""What the live lab asks of the library: one plan for the lab's own runs and for what is copied."""

from dataclasses import dataclass, replace
from pathlib import Path

from ..context import Context
from ..data import DATASETS, Split, load
from ..defences import DLP
from ..experiments import Scenario, scenario
from .setting import LabSetting


@dataclass(frozen=True)
class Plan:
    """All that decides the numbers of a setting."""

    data: dict[str, object]  # the arguments of ``scenario``, without the context
    dlp: DLP
    context: Context

    def scenario(self, context: Context) -> Scenario:
        """Load and poison the data, with the progress of a context."""
        return scenario(**self.data, context=context)


class Planner:
    """Makes plans, within the limits that a lab has."""

    def __init__(
        self,
        context: Context,
        n_train: int | None,
        n_test: int | None,
        image_size: int | None,
        steps: int | None,
    ):
        """Make a planner.

        Args:
            context: device and store; the seed is the setting's.
            n_train: how many training images, at most; None: all there are.
            n_test: how many test images, at most; None: all there are.
            image_size: pixels a side; None: the data set's own.
            steps: of fine-tuning; None: the recipe's.
        """
        self.context = context
        self.n_train = n_train
        self.n_test = n_test
        self.image_size = image_size
        self.steps = steps
        self._sizes: dict[str, tuple[int | None, int | None]] = {}  # of folders: train, test

    def dlp(self, setting: LabSetting) -> DLP:
        """Return DLP as the page runs it: all three stages, and E2 epochs without a stop rule."""
        recommended = setting.recipe.dlp
        steps = recommended.fixmatch.steps if self.steps is None else self.steps
        return replace(
            recommended,
            gamma=setting.gamma,
            e1=setting.e1,
            e2=setting.e2,
            order=("SL", "AU", "ASSFT"),
            exclude_easiest=0.0,
            unlearn=replace(recommended.unlearn, lr=setting.lr, stop=False),
            fixmatch=replace(recommended.fixmatch, steps=steps),
        )

    def plan(self, setting: LabSetting) -> Plan:
        """Return the plan of a setting.

        Raises:
            LookupError: for a folder whose images are not counted yet.
        """
        if setting.dataset not in DATASETS and setting.dataset not in self._sizes:
            raise LookupError(f"dataset={setting.dataset!r}: its images are not loaded yet")
        n_train, n_test = self._sizes.get(setting.dataset, (self.n_train, self.n_test))
        data = {
            "dataset": _absolute(setting.dataset),
            "attack": setting.attack,
            "poisoning_rate": setting.poisoning_rate,
            "target": setting.recipe.attacks[setting.attack].attack.target,
            "n_train": n_train,
            "n_test": n_test,
            "image_size": self.image_size,
        }
        runtime = replace(self.context.runtime, seed=setting.seed)
        return Plan(data, self.dlp(setting), Context(runtime, self.context.store))

    def count_images(self, dataset: str) -> None:
        """Find out how many images a folder has, which may be fewer than the lab would take.

        Raises:
            ValueError, FileNotFoundError: as ``load`` does.
        """
        if dataset in DATASETS or dataset in self._sizes:
            return
        train, test = load(dataset, image_size=self.image_size, store=self.context.store)
        self._sizes[dataset] = (_at_most(self.n_train, train), _at_most(self.n_test, test))


def _absolute(dataset: str) -> str:
    """Return a folder's absolute path, which holds wherever a copy runs; a name as it is."""
    folder = Path(dataset).expanduser()
    if dataset in DATASETS or not folder.is_dir():
        return dataset
    return str(folder.resolve())


def _at_most(wanted: int | None, split: Split) -> int | None:
    return None if wanted is None else min(wanted, len(split))
