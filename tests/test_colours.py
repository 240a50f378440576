"""Colours are told apart by everybody, and stand out: the palette of all figures."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from dlp_lib import plots
from dlp_lib.plots import base

# How a colour looks to people without one kind of cone, in linear RGB: Machado, Oliveira and
# Fernandes 2009, severity 1.
SEEN = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# From linear sRGB to XYZ, D65.
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(colour):
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE-Lab of a colour in linear sRGB, D65."""
    xyz = XYZ @ rgb.clip(0, 1) / XYZ.sum(1)
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(colours):
    """The smallest distance in CIE-Lab between two of the colours, whoever looks."""
    return min(
        np.linalg.norm(lab(matrix @ linear(one)) - lab(matrix @ linear(other)))
        for matrix in map(np.array, SEEN.values())
        for one, other in itertools.combinations(colours, 2)
    )


def contrast(colour):
    """With white, as WCAG 2 has it: 3 is asked of lines and markers, 4.5 of text."""
    return 1.05 / (linear(colour) @ XYZ[1] + 0.05)


def test_white_is_white_and_known_contrasts_are_met():
    assert lab(linear("#FFFFFF")) == pytest.approx([100, 0, 0], abs=0.01)
    assert contrast("#000000") == pytest.approx(21)
    assert contrast("#767676") == pytest.approx(4.54, abs=0.01)


def test_colours_are_told_apart_and_stand_out_whoever_looks():
    roles = [base.CLEAN, base.POISONED, base.RECOVERED, base.NEUTRAL, "#000000"]
    assert nearest(roles) >= 15
    assert min(map(contrast, roles)) >= 3


def test_series_are_told_apart_by_their_markers_too():
    _, ax = plt.subplots()
    plots.trade_off(ax, {str(i): (0.5, i / 10) for i in range(len(base.SERIES))})
    assert len({line.get_marker() for line in ax.lines}) == len(base.SERIES)
    plt.close(ax.figure)


def test_series_stand_out_like_the_other_colours():
    assert nearest(base.SERIES) >= 15
    assert min(map(contrast, base.SERIES)) >= 3


def test_numbers_on_a_heat_map_can_be_read():
    shares = pd.DataFrame([[i / 100 for i in range(101)], [0.5] * 100 + [float("nan")]])
    ax = plots.heat_map(plt.figure().subplots(), shares)
    plt.close(ax.figure)
    texts = {tuple(map(int, text.get_position())): text.get_color() for text in ax.texts}
    assert len(texts) == 201
    for column in range(101):
        under = contrast(to_hex(colormaps["cividis"](column / 100)))
        assert (under if texts[column, 0] == "white" else contrast("#000000") / under) >= 4.5
