"""Backdoor attacks and defences, for teaching: DLP (Ying & Wu 2023) and everything around it."""

from . import console

if console.is_starting():  # the imports below take seconds, in which Ctrl-C may come
    console.shorten_interrupts()

from . import attacks, data, defences, evaluation, models, recipes, training
from .attacks import (
    LCA,
    SIG,
    Attack,
    BadNets,
    Blended,
    TrojanNN,
    Truth,
    WaNet,
    export,
    poison,
    prepare,
)
from .context import Context, print_progress
from .data import Split, load
from .defences import (
    DLP,
    FILTERS,
    FixMatch,
    Result,
    Selection,
    Unlearn,
    agreed_e1,
    entropy,
    fixmatch,
    select,
    unlearn,
)
from .evaluation import Metrics, after_each, audit, evaluate, filter_precision
from .models import load_model, save_model, wrn_16_1
from .places import HOME, PROJECT
from .recipes import Recipe, recipe_for
from .runtime import Runtime, environment
from .store import Store
from .training import (
    SGD,
    Checkpoints,
    Diverged,
    History,
    Outputs,
    Stage,
    Supervised,
    accuracy,
    logits_and_features,
    predict,
    supervised,
)
