"""What every attack offers: its trigger, how it tampers with images, and what it aims at."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..checking import shown, to_python
from ..context import Context
from ..data.split import Split


@dataclass(frozen=True)
class Attack:
    """Settings of an attack. An attack of your own needs no more than ``trigger``.

    Poison-label attacks tamper with images of other classes and relabel them. Clean-label attacks
    tamper with images that have the label already.
    """

    # The class that triggered images are taken for; "all-to-all": y is taken for y + 1 mod C
    target: int | str = 0
    clean_label: ClassVar[bool] = False
    needs_surrogate: ClassVar[bool] = False  # True: it is of no use before ``fit``

    def __post_init__(self):
        object.__setattr__(self, "target", to_python(self.target))

    def check(self, clean: Split) -> None:
        """Check the settings against the data, before any work.

        Raises:
            ValueError: where they do not fit.
        """
        self.goal(clean.labels[:1], len(clean.classes))

    def trigger(self, images: Tensor) -> Tensor:
        """Return images as at test time: uint8 (n, 3, h, w) in and out."""
        raise NotImplementedError

    def tamper(self, images: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Return images as in the training set; some attacks do more to those than the trigger.

        Args:
            images: (n, 3, h, w) uint8.
            labels: (n,), the true ones.
            context: random streams, and a store for what takes long.
        """
        return self.trigger(images)

    def count_decoys(self, poisoned: int) -> int:
        """Return how many decoys the attack adds beside so many poisoned images; most add none.

        A decoy is a training image that is changed, keeps its true label and counts as clean.
        """
        return 0

    def make_decoys(self, images: Tensor, context: Context) -> Tensor:
        """Return images (n, 3, h, w), uint8, as decoys. ``poison`` draws which ones."""
        raise NotImplementedError

    def check_surrogate(self, surrogate: nn.Module, clean: Split) -> None:
        """Check a model that the attack is to be fitted to, before it is trained or used.

        Args:
            surrogate: trained or not.
            clean: the attacker's data.

        Raises:
            ValueError: where the settings do not fit the model.
            TypeError: where the model lacks what the attack needs.
        """

    def fit(self, surrogate: nn.Module, clean: Split, context: Context) -> "Attack":
        """Return the attack, made ready on a clean model and clean data of the attacker's own."""
        return self

    def goal(self, labels: Tensor, n_classes: int) -> Tensor:
        """Return what triggered images of classes ``labels`` (n,) are to be taken for, (n,).

        Raises:
            ValueError: where ``target`` is no class.
        """
        target = to_python(self.target)
        if target == "all-to-all" and not self.clean_label:
            return (labels + 1) % n_classes
        is_class = isinstance(target, int) and not isinstance(target, bool)
        if not is_class or target not in range(n_classes):
            others = "" if self.clean_label else " and 'all-to-all'"
            raise ValueError(
                f"target={shown(target)}: allowed are the classes 0 to {n_classes - 1}{others}"
            )
        return torch.full_like(labels, target)


def apply_trigger(attack: Attack, images: Tensor) -> Tensor:
    """Return images with the attack's trigger; they themselves stay as they are.

    Args:
        attack: ready to use.
        images: (n, 3, h, w) uint8.

    Raises:
        ValueError: for a trigger that returns anything but uint8 images of the same shape.
    """
    return expect_images(f"{type(attack).__name__}.trigger", attack.trigger(images.clone()), images)


def expect_images(source: str, returned: Tensor, images: Tensor) -> Tensor:
    """Return what a trigger made of images, if it is images of their kind.

    Args:
        source: what returned it, for the message.
        returned: what it returned.
        images: (n, 3, h, w) uint8, from which it was made.

    Raises:
        ValueError: for anything but a uint8 tensor of the same shape.
    """
    wanted = tuple(images.shape)
    found = f"an object of type {type(returned).__name__}"
    if isinstance(returned, Tensor):
        if returned.dtype == torch.uint8 and returned.shape == images.shape:
            return returned.to(images.device)
        found = f"{returned.dtype} of shape {tuple(returned.shape)}"
    raise ValueError(f"{source} returned {found}: allowed is torch.uint8 of shape {wanted}")


class AttackSetting(NamedTuple):
    """An attack, and how much of the training set it takes."""

    attack: Attack
    poisoning_rate: float  # share of the whole set


def limit_to_class(setting: AttackSetting, clean: Split) -> AttackSetting:
    """Lower a clean-label rate to nine tenths of the target class, where it asks for more."""
    if not setting.attack.clean_label:
        return setting
    share = (clean.labels == setting.attack.target).double().mean().item()
    return setting._replace(poisoning_rate=min(setting.poisoning_rate, 0.9 * share))
