"""The clean model that an attacker trains for themselves, where their attack wants one."""

import copy
from dataclasses import replace

from torch import nn

from .attacks import Attack
from .data import Split
from .models import wrn_16_1
from .stages import Supervised, supervised
from .train import Context

EPOCHS = 15


def prepare(attack: Attack, clean: Split, context: Context, surrogate: nn.Module | None = None) -> Attack:
    """The attack, ready to poison: TrojanNN and LCA are fitted to a surrogate, the others are as they were.

    ``surrogate``: a model trained on clean data, with ``features`` and ``head`` as WRN-16-1 has them. Without one, a
    WRN-16-1 is trained on ``clean`` for 15 epochs, drawn from a seed of its own: the attacker does not know the
    victim's. It is recorded like any other stage, so that both attacks share it. Raises ValueError, before
    any training, for settings that do not fit the data.
    """
    attack.check(clean)
    if not attack.needs_surrogate:
        return attack
    clean = clean.to(context.runtime.device)
    if surrogate is None:
        runtime = replace(context.runtime, seed=context.runtime.generator("surrogate").initial_seed())
        surrogate = wrn_16_1(len(clean.classes), runtime)
        own = Context(runtime, context.store, lambda _, *row: context.progress("surrogate", *row))
        supervised(surrogate, clean, EPOCHS, Supervised(), own)
    return attack.fit(copy.deepcopy(surrogate).to(context.runtime.device).eval().requires_grad_(False), clean, context)
