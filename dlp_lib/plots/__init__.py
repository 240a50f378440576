"""Figures: plain data in, matplotlib axes out, in Okabe and Ito's colours, which colour-blind readers tell apart."""

from .base import CLEAN, NEUTRAL, POISONED, RECOVERED, band, progress, shared_legend, show
from .results import against, ascent, heat_map, stage_bars, sweep_map, trade_off, unlearning
from .samples import (
    FILTER_STYLES,
    agreement,
    difference,
    entropy_histogram,
    feature_map,
    gallery,
    histogram,
    learning_gap,
    precision,
    roc,
)
