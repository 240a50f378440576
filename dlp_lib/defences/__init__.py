"""Defences, one paper a file: ``method.run(model, data, context)``; see ``base.Defence``."""

from .abl import ABL
from .anp import ANP
from .base import Defence, DefenceResult, Result, defend
from .bearers import Bearers, PixelCovariance, find_bearers
from .clean import clean_part
from .dbd import DBD, SCE
from .dlp import DLP, ORDERS
from .e1 import AgreedE1, agreed_e1, agreement, revealed_e1
from .filters import FILTERS, PAPER_FILTERS, entropy
from .finetuning import Training
from .fixmatch import FixMatch, fixmatch
from .fp import FP
from .immunise import TriggerEstimate, estimate_trigger
from .mcr import MCR
from .mixmatch import MixMatch
from .nad import NAD
from .selection import Selection, most_suspicious, select, selection_sizes
from .simclr import SimCLR
from .unlearn import Unlearn, unlearn
