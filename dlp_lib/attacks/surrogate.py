"""The clean model that an attacker trains for themselves, where their attack needs one."""

from dataclasses import replace

from torch import nn

from ..checking import check_type
from ..context import Context
from ..data.split import Split
from ..models.interface import copied
from ..models.wrn import wrn_16_1
from ..training.supervised import Supervised, supervised
from .base import Attack

EPOCHS = 15


def prepare(
    attack: Attack, clean: Split, context: Context, surrogate: nn.Module | None = None
) -> Attack:
    """Return the attack, ready to poison.

    TrojanNN and LCA are fitted to a surrogate. Other attacks are returned as they are.

    Args:
        attack: with its settings.
        clean: the attacker's own clean data.
        context: device, random streams, store and progress.
        surrogate: a model trained on clean data, with ``features`` and ``head`` as WRN-16-1 has
            them; it is not changed. None: a WRN-16-1 is trained on ``clean`` for 15 epochs. Both
            attacks share it, as it is stored like any other stage.

    Raises:
        ValueError: before any training, for settings that do not fit the data or the surrogate.
        TypeError: before any training, for arguments of other types, and for a surrogate that
            lacks what the attack needs of it.
    """
    check_type("attack", attack, Attack)
    check_type("clean", clean, Split)
    check_type("context", context, Context)
    attack.check(clean)
    if not attack.needs_surrogate:
        return attack
    clean = clean.to(context.runtime.device)
    if surrogate is None:
        attack.check_surrogate(wrn_16_1(len(clean.classes), context.runtime), clean)
        surrogate = _train_surrogate(clean, context)
    check_type("surrogate", surrogate, nn.Module)
    attack.check_surrogate(surrogate, clean)
    surrogate = copied(surrogate).to(context.runtime.device)
    return attack.fit(surrogate.eval().requires_grad_(False), clean, context)


def _train_surrogate(clean: Split, context: Context) -> nn.Module:
    """Train a WRN-16-1 from a seed of its own, as the attacker does not know the victim's."""
    seed = context.runtime.generator("surrogate").initial_seed()
    runtime = replace(context.runtime, seed=seed)

    def progress(stage: str, block: int, blocks: int, row: dict) -> None:
        context.progress("surrogate", block, blocks, row)

    model = wrn_16_1(len(clean.classes), runtime)
    supervised(model, clean, EPOCHS, Supervised(), Context(runtime, context.store, progress))
    return model
