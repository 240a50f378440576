"""What the tables of shapes10 share."""

from dataclasses import replace

from ...attacks import AttackSetting
from ...recipes import PAPER_ATTACKS, SHAPES10
from ..scenario import NO_ATTACK

GAMMA = 0.01  # filtering rate at which E1 is chosen, and at which filters are compared

_BADNETS = SHAPES10.attacks["BadNets"]
_ALL_TO_ALL = _BADNETS._replace(attack=replace(_BADNETS.attack, target="all-to-all"))
ATTACKS: dict[str, AttackSetting] = {name: SHAPES10.attacks[name] for name in PAPER_ATTACKS}
ATTACKS["all-to-all"] = _ALL_TO_ALL
NONE_AND_ATTACKS = (NO_ATTACK, *PAPER_ATTACKS)
