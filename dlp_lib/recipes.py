"""Recipes: the settings of attacks and defences that suit a data set, in one place."""

from dataclasses import dataclass, replace

from .attacks import LCA, SIG, AttackSetting, BadNets, Blended, TrojanNN, WaNet, limit_to_class
from .data.split import Split
from .defences import (
    ABL,
    ANP,
    DBD,
    DLP,
    FP,
    MCR,
    NAD,
    SCE,
    Defence,
    FixMatch,
    MixMatch,
    SimCLR,
    Training,
    Unlearn,
)
from .training import Supervised

# The five of the paper's tables; the library has more.
PAPER_ATTACKS = ("BadNets", "TrojanNN", "Blended", "LCA", "SIG")


@dataclass(frozen=True)
class Recipe:
    """What suits one data set."""

    attacks: dict[str, AttackSetting]
    defences: dict[str, Defence]  # other than DLP
    dlp: DLP
    epochs: int  # of an undefended model, at the learning rate of stage 1
    cooldown_epochs: int  # more epochs of it, at a tenth of that learning rate

    def attack_settings(self, clean: Split) -> dict[str, AttackSetting]:
        """Return the attacks, with clean-label rates that the target class of a set can give."""
        return {name: limit_to_class(setting, clean) for name, setting in self.attacks.items()}


# The papers' settings, for images of 32×32 and more. Clean-label attacks take 80 % of one class
# in ten.
CIFAR10 = Recipe(
    attacks={
        "BadNets": AttackSetting(BadNets(), 0.1),
        "TrojanNN": AttackSetting(TrojanNN(), 0.1),
        "Blended": AttackSetting(Blended(), 0.1),
        "LCA": AttackSetting(LCA(), 0.08),
        "SIG": AttackSetting(SIG(), 0.08),
        "WaNet": AttackSetting(WaNet(), 0.1),
    },
    defences={"FP": FP(), "MCR": MCR(), "NAD": NAD(), "ABL": ABL(), "ANP": ANP(), "DBD": DBD()},
    dlp=DLP(),
    epochs=100,
    cooldown_epochs=20,
)

# For the embedded set, which is small and quick to learn. Of 200 clean images, batches are small
# and epochs many. The settings were found on another seed than those that the tables show, with
# BadNets: see docs/LOG.md. On images of 16×16 the clean-label attacks must be stronger, and take
# 90 % of the class, to last.
_CLEAN_PART = Training(lr=0.03, batch=32, epochs=40)
SHAPES10 = Recipe(
    attacks={
        **CIFAR10.attacks,
        "LCA": AttackSetting(LCA(patch=5, epsilon=32), 0.09),
        "SIG": AttackSetting(SIG(delta=60), 0.09),
        # At 16×16 the paper's noise mode does not take: ASR is 4.7 % at the paper's strength, 10 %
        # at 1 and 44 % at 6. Without decoys, 1 gives CA 96.8 % and ASR 88.5 %; without an attack,
        # CA is 98.7 %. All are of one seed, after 24 epochs.
        "WaNet": AttackSetting(WaNet(strength=1.0, noise_ratio=0.0), 0.1),
    },
    defences={
        "FP": FP(training=Training(batch=32, epochs=60)),
        "MCR": MCR(end=_CLEAN_PART, curve=_CLEAN_PART),
        "NAD": NAD(
            teacher=Training(batch=32, epochs=10, drops=(5,)),
            student=Training(batch=32, epochs=20, drops=(10,)),
        ),
        "ABL": ABL(
            isolated=0.02,
            isolation=Training(epochs=5, augment=False),
            training=Training(lr=0.05, epochs=15, drops=(10,)),
            unlearning=Unlearn(lr=0.005, reestimate=1000, stop=False),
            unlearn_epochs=20,
        ),
        "ANP": ANP(allowed=0.08, training=Training(lr=0.2, weight_decay=0.0, batch=32, epochs=200)),
        # The half with credible labels holds few of the hard classes. At the paper's lambda_u of
        # 15, the guesses on the other half, which prefer the easy classes, outweigh those few.
        "DBD": DBD(
            simclr=SimCLR(weight_decay=5e-4, batch=256, epochs=15, crop=0.5),
            sce=SCE(epochs=40),
            mixmatch=MixMatch(epochs=10, lambda_u=1.0),
        ),
    },
    dlp=DLP(
        gamma=0.02,
        e1=4,
        unlearn=Unlearn(lr=0.005, reestimate=1000),
        fixmatch=FixMatch(mu=3, steps=360),
    ),
    epochs=24,
    cooldown_epochs=4,
)

# For a folder of few images. Batches are small, so that an epoch has enough steps to learn a
# trigger; see docs/LOG.md. The other defences have the settings for some thousand images.
FEW_IMAGES = 10_000  # fewer than that
SMALL_FOLDER = replace(
    CIFAR10,
    defences=SHAPES10.defences,
    dlp=replace(
        SHAPES10.dlp,
        e1=10,
        supervised=Supervised(lr=0.01, batch=16),
        fixmatch=FixMatch(batch=32, mu=3, steps=300),
    ),
)

# For GTSRB nothing has been measured yet: it takes CIFAR-10's settings.
RECIPES = {"shapes10": SHAPES10, "cifar10": CIFAR10, "gtsrb": CIFAR10}


def recipe_for(dataset: str, n_train: int | None = None) -> Recipe:
    """Return the recipe of a data set; for a folder of images, that of CIFAR-10.

    Args:
        dataset: a name of data.DATASETS, in any case, or a folder.
        n_train: how many training images there are. Where a folder has fewer than 10,000, its
            recipe is SMALL_FOLDER; None: that is not known.
    """
    name = str(dataset).lower()
    few_images = n_train is not None and n_train < FEW_IMAGES
    if name not in RECIPES and few_images:
        return SMALL_FOLDER
    return RECIPES.get(name, CIFAR10)
