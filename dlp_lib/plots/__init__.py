"""Figures: plain data in, matplotlib axes out.

The colours are those of Okabe and Ito, which colour-blind readers tell apart.
"""

from .base import CLEAN, NEUTRAL, POISONED, RECOVERED, mean_and_range, plain, shared_legend, show
from .defences import bars_by_attack, trade_off
from .filtering import FILTER_STYLES, agreement, entropy_histogram, histogram, precision, roc
from .results import ascent, ca_and_asr, stage_bars, unlearning
from .samples import difference, feature_map, gallery, learning_gap
from .seeds import each_seed
from .tables import heat_map, sweep_map, sweep_maps
