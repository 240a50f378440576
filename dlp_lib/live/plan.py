"""What the live lab asks of the library: one plan for the lab's own runs and for what is copied."""

from dataclasses import dataclass, replace
from pathlib import Path

from ..context import Context
from ..data import DATASETS, load
from ..defences import DLP
from ..experiments import Scenario, scenario
from .setting import LabSetting


@dataclass(frozen=True)
class Plan:
    """All that decides the numbers of a setting."""

    data: dict[str, object]  # the arguments of ``scenario``, without the context
    n_test: int | None  # test images, the first of them; None: all there are
    dlp: DLP
    context: Context

    def scenario(self, context: Context) -> Scenario:
        """Load and poison the data, with the progress of a context."""
        loaded = scenario(**self.data, context=context)
        return replace(loaded, test=loaded.test.subset(slice(self.n_test)))


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
            n_test: how many test images, the first of them; None: all there are. Of a folder
                always all, as its images are sorted by class.
            image_size: pixels a side; None: the data set's own.
            steps: of fine-tuning; None: the recipe's.
        """
        self.context = context
        self.n_train = n_train
        self.n_test = n_test
        self.image_size = image_size
        self.steps = steps
        self._folder_sizes: dict[str, int] = {}  # training images of folders

    def dlp(self, setting: LabSetting) -> DLP:
        """Return DLP as the page runs it: all three stages, and E2 epochs without a stop rule."""
        recommended = setting.recipe.dlp
        steps = recommended.fixmatch.steps if self.steps is None else self.steps
        return replace(
            recommended,
            gamma=setting.gamma,
            e1=setting.e1,
            e2=setting.e2,
            # Notebook 00, which a copied command runs, has no parameter for these two.
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
        n_train = self.n_train
        n_test = self.n_test
        if setting.dataset not in DATASETS:
            n_train = self._n_train_of_folder(setting.dataset)
            n_test = None
        data = {
            "dataset": _absolute(setting.dataset),
            "attack": setting.attack,
            "poisoning_rate": setting.poisoning_rate,
            "target": setting.recipe.attacks[setting.attack].attack.target,
            "n_train": n_train,
            "image_size": self.image_size,
        }
        runtime = replace(self.context.runtime, seed=setting.seed)
        return Plan(data, n_test, self.dlp(setting), Context(runtime, self.context.store))

    def _n_train_of_folder(self, folder: str) -> int | None:
        if folder not in self._folder_sizes:
            raise LookupError(f"dataset={folder!r}: its images are not loaded yet")
        return None if self.n_train is None else min(self.n_train, self._folder_sizes[folder])

    def count_images(self, dataset: str) -> None:
        """Find out how many images a folder has, which may be fewer than the lab would take.

        Raises:
            ValueError: as ``load`` does.
            FileNotFoundError: as ``load`` does.
        """
        if dataset in DATASETS or dataset in self._folder_sizes:
            return
        train, _ = load(dataset, image_size=self.image_size, store=self.context.store)
        self._folder_sizes[dataset] = len(train)


def _absolute(dataset: str) -> str:
    """Return a folder's absolute path, which holds wherever a copy runs; a name as it is."""
    folder = Path(dataset).expanduser()
    if dataset in DATASETS or not folder.is_dir():
        return dataset
    return str(folder.resolve())
