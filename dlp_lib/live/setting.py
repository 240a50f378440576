"""What the controls of the live lab say, and on which of them each recorded result depends."""

from dataclasses import dataclass

from ..checking import check_fraction, check_int, match_name
from ..defences import Unlearn
from ..recipes import Recipe, recipe_for


@dataclass(frozen=True)
class LabSetting:
    """The values of the controls. None becomes the value of the data set's recipe.

    Raises:
        ValueError: for values that no control may have.
    """

    dataset: str = "shapes10"  # or "cifar10", or a folder
    attack: str = "BadNets"  # a name of the recipe's attacks
    poisoning_rate: float | None = None  # a share of the whole set; None: the attack's
    e1: int | None = None  # epochs of supervised learning; None: the recipe's
    gamma: float | None = None  # filtering rate, a share of the whole set; None: the recipe's
    e2: int = 11  # epochs of unlearning; on shapes10 the suspects are then about at chance
    lr: float | None = None  # learning rate of unlearning; None: the recipe's
    seed: int = 0

    def __post_init__(self):
        attacks = self.recipe.attacks
        object.__setattr__(self, "attack", match_name("attack", self.attack, attacks))
        self._set_default("poisoning_rate", attacks[self.attack].poisoning_rate)
        self._set_default("e1", self.recipe.dlp.e1)
        self._set_default("gamma", self.recipe.dlp.gamma)
        self._set_default("lr", self.recipe.dlp.unlearn.lr)
        check_fraction("poisoning_rate", self.poisoning_rate)
        check_fraction("gamma", self.gamma)
        check_int("e1", self.e1, 1)
        check_int("e2", self.e2)
        check_int("seed", self.seed)
        Unlearn(lr=self.lr)

    @property
    def recipe(self) -> Recipe:
        """The settings of attacks and defences that suit the data set."""
        return recipe_for(self.dataset)

    def _set_default(self, name: str, value: float) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)  # the class is frozen


def scenario_key(setting: LabSetting) -> tuple:
    """Return what the tampered set and supervised learning depend on."""
    return setting.dataset, setting.attack, setting.poisoning_rate, setting.seed


def ascent_key(setting: LabSetting) -> tuple:
    """Return what unlearning depends on. E2 is not part of it: all epochs are recorded."""
    return *scenario_key(setting), setting.e1, setting.gamma, setting.lr


def finetuning_key(setting: LabSetting) -> tuple:
    """Return what fine-tuning depends on."""
    return *ascent_key(setting), setting.e2
