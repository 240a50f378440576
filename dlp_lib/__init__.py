"""Backdoor attacks and defences, for teaching: DLP (Ying & Wu 2023) and everything around it."""

from .attacks import LCA, SIG, Attack, BadNets, Blended, TrojanNN, Truth, poison
from .data import Split, load
from .filters import FILTERS, Selection, entropy, select
from .metrics import Metrics, Outputs, accuracy, evaluate, filter_precision, observe, predict
from .models import wrn_16_1
from .pipeline import DLP, SHAPES10, Result, after_each, agreed_e1, audit
from .runtime import HOME, Runtime, environment
from .stages import FixMatch, Stage, Supervised, Unlearn, fixmatch, supervised, unlearn
from .store import Store
from .surrogate import prepare
from .train import SGD, Context, History, Trail
