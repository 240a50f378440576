"""Backdoor attacks, one paper a file, and how they poison a training set."""

from .badnets import BadNets
from .base import Attack, AttackSetting, apply_trigger, limit_to_class
from .blended import Blended
from .export import export
from .lca import LCA
from .poisoning import Truth, cover, poison
from .sig import SIG
from .surrogate import prepare
from .trojannn import TrojanNN
from .wanet import WaNet
