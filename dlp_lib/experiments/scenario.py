"""Scenario: a data set, an attack on it, and the untrained model, from one call."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ..attacks import Attack, AttackSetting, Truth, limit_to_class, poison, prepare
from ..checking import check_int, match_name
from ..context import Context
from ..data import Split, load
from ..defences import DLP, Result, agreed_e1
from ..models import build
from ..recipes import Recipe, recipe_for
from ..training import Stage, Supervised, supervised

NO_ATTACK = "none"


def _is_no_attack(attack: str | Attack | AttackSetting) -> bool:
    return isinstance(attack, str) and attack.lower() == NO_ATTACK


@dataclass(frozen=True, eq=False)
class Scenario:
    """All that an experiment begins with. ``scenario`` makes one.

    Everything lies on the context's device.
    """

    context: Context
    recipe: Recipe
    clean: Split  # the training set before the attack
    test: Split  # a clean test set
    attack: Attack | None  # ready to use; None: there is none
    tampered: Split  # the training set after the attack
    truth: Truth  # what only the attacker knows
    architecture: str  # a name of models.ARCHITECTURES

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.clean.classes

    def untrained(self) -> nn.Module:
        """Return a fresh model, the same at every call."""
        return build(self.architecture, len(self.classes), self.context.runtime)

    def attacked_by(
        self,
        attack: str | Attack | AttackSetting,
        poisoning_rate: float | None = None,
        target: int | str | None = None,
    ) -> "Scenario":
        """Return the same scenario with another attack on the same clean data.

        Args:
            attack: a name of the recipe's in any case, "none", or an attack of your own.
            poisoning_rate: a share of the whole set; None: the recipe's, as far as the target
                class allows it.
            target: the class that the attacker wants; None: the attack's own.

        Raises:
            ValueError: for an unknown name, and as ``prepare`` and ``poison`` do.
        """
        if _is_no_attack(attack):
            clean = torch.zeros_like(self.clean.labels, dtype=torch.bool)
            truth = Truth(clean, self.clean.labels, 0)
            return replace(self, attack=None, tampered=self.clean, truth=truth)
        setting = self._setting(attack)
        if target is not None:
            setting = setting._replace(attack=replace(setting.attack, target=target))
        if poisoning_rate is None:
            poisoning_rate = limit_to_class(setting, self.clean).poisoning_rate
        prepared = prepare(setting.attack, self.clean, self.context)
        tampered, truth = poison(self.clean, prepared, poisoning_rate, self.context)
        return replace(self, attack=prepared, tampered=tampered, truth=truth)

    def _setting(self, attack: str | Attack | AttackSetting) -> AttackSetting:
        if isinstance(attack, AttackSetting):
            return attack
        if isinstance(attack, Attack):
            rate = self.recipe.attacks["SIG" if attack.clean_label else "BadNets"].poisoning_rate
            return AttackSetting(attack, rate)
        name = match_name("attack", attack, [*self.recipe.attacks, NO_ATTACK], ", and an Attack")
        return self.recipe.attacks[name]

    def undefended(self, epochs: int | None = None, **changes) -> tuple[nn.Module, Stage]:
        """Train a model on the tampered set, as one does who suspects nothing.

        Args:
            epochs: None: the recipe's.
            changes: of the settings of stage 1.

        Returns:
            The model, and its stage.
        """
        epochs = self.recipe.epochs if epochs is None else check_int("epochs", epochs)
        model = self.untrained()
        config = replace(self.recipe.dlp.supervised, **changes)
        stage = supervised(model, self.tampered, epochs, config, self.context)
        return model, stage

    def converged(self) -> nn.Module:
        """Return the undefended model after its last epochs, at a tenth of the learning rate."""
        model, _ = self.undefended()
        config = Supervised(lr=self.recipe.dlp.supervised.lr / 10)
        supervised(model, self.tampered, self.recipe.cooldown_epochs, config, self.context)
        return model

    def defended(self, gamma_of_e1: float = 0.01, **changes) -> tuple[int | None, Result]:
        """Run DLP with the recipe's settings, E1 chosen as a defender may.

        Args:
            gamma_of_e1: filtering rate at which E1 is chosen.
            changes: of DLP's settings.

        Returns:
            The E1 that the suspects' agreement gives (None: none, and the recipe's E1 is taken),
            and what DLP came to.
        """
        _, stage = self.undefended()
        agreed = agreed_e1(stage, self.tampered, gamma_of_e1)
        e1 = self.recipe.dlp.e1 if agreed is None else agreed
        dlp: DLP = replace(self.recipe.dlp, e1=e1, **changes)
        return agreed, dlp.run(self.untrained(), self.tampered, self.context)


def scenario(
    dataset: str | Path = "shapes10",
    attack: str | Attack | AttackSetting = "BadNets",
    poisoning_rate: float | None = None,
    target: int | str | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
    image_size: int | None = None,
    architecture: str = "WRN-16-1",
    context: Context | None = None,
    recipe: Recipe | None = None,
    data_seed: int = 0,
) -> Scenario:
    """Load a data set, prepare an attack, and poison the training set.

    Args:
        dataset: a name of data.DATASETS, or a folder.
        attack: a name of the recipe's in any case, "none", or an attack of your own.
        poisoning_rate: a share of the whole set; None: the recipe's.
        target: the class that the attacker wants; None: the attack's own.
        n_train: how many training images; None: all there are.
        n_test: how many test images; None: all there are.
        image_size: pixels a side; None: the data set's own.
        architecture: a name of models.ARCHITECTURES.
        context: device, random streams, store and progress; by default the CPU and seed 0.
        recipe: settings of attacks and defences; None: those that suit the data set.
        data_seed: of drawn images, and of every random choice of images.

    Raises:
        ValueError: as ``load``, ``prepare`` and ``poison`` do.
    """
    context = context or Context()
    recipe = recipe or recipe_for(str(dataset))
    train, test = load(dataset, n_train, n_test, image_size, data_seed, context.store)
    train = train.to(context.runtime.device)
    test = test.to(context.runtime.device)
    nothing = Truth(torch.zeros_like(train.labels, dtype=torch.bool), train.labels, 0)
    untouched = Scenario(context, recipe, train, test, None, train, nothing, architecture)
    return untouched.attacked_by(attack, poisoning_rate, target)
