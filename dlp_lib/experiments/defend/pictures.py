"""Pictures for a page without a network: images as data URIs, the histogram as inline SVG."""

import base64
import io
import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .text import escape

# The drawing area of the histogram, in units of its viewBox.
_WIDTH = 640
_HEIGHT = 300
_LEFT = 68
_RIGHT = 26
_TOP = 12
_BOTTOM = 56
_BINS = 40


def png_uri(image: Tensor) -> str:
    """Return an image (3, h, w), uint8, as the address of an <img>."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def mean_image(images: Tensor) -> Tensor:
    """Return the mean (3, h, w) of images (n, 3, h, w), uint8."""
    return images.float().mean(0).round().byte()


@dataclass(frozen=True)
class Cut:
    """A vertical line of the histogram."""

    value: float
    label: str
    css_class: str


def histogram_svg(values: Tensor, cuts: list[Cut], xlabel: str, alt: str) -> str:
    """Draw how often which score occurs, and where the suspects end and the trusted begin.

    Counts stand on the scale of log(1 + count): few samples matter as much as many.

    Args:
        values: (n,) the score of every sample, at least 0.
        cuts: lines to draw; their labels stand in a legend beside the picture.
        xlabel: name and unit of the score.
        alt: what the picture shows, in words.
    """
    high = values.max().item() or 1.0  # all may be 0
    counts, edges = np.histogram(values.numpy(), _BINS, (0, high))
    top = math.log1p(counts.max())

    def x(value: float) -> float:
        return _LEFT + value / high * (_WIDTH - _LEFT - _RIGHT)

    def y(count: float) -> float:
        return _HEIGHT - _BOTTOM - math.log1p(count) / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    parts.append(f"<title>{escape(alt)}</title>")
    for count in _count_ticks(int(counts.max())):
        parts.append(_horizontal(y(count), f"{count:,}"))
    for left, right, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True):
        if count:
            width = max(1.0, x(right) - x(left) - 1)
            height = y(0) - y(count)
            box = f'x="{x(left):.1f}" y="{y(count):.1f}" width="{width:.1f}" height="{height:.1f}"'
            parts.append(f'<rect class="bar" {box}/>')
    for value in _round_ticks(high):
        parts.append(_text(x(value), _HEIGHT - _BOTTOM + 22, f"{value:g}", "middle"))
    for cut in cuts:
        line = f'x1="{x(cut.value):.1f}" x2="{x(cut.value):.1f}" y1="{_TOP}" y2="{y(0):.1f}"'
        parts.append(f'<line class="{cut.css_class}" {line}/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(_text(middle, _HEIGHT - 8, xlabel, "middle"))
    parts.append("</svg>")
    return "".join(parts)


def _count_ticks(highest: int) -> list[int]:
    """Return 0, 1, 3, 10, 30 and so on."""
    ticks = [0]
    tick = 1
    while tick <= highest:
        ticks.append(tick)
        tick = tick * 3 if str(tick).startswith("1") else tick // 3 * 10
    return ticks


def _round_ticks(high: float) -> list[float]:
    """Return up to six round numbers from 0 to ``high``."""
    power = 10.0 ** math.floor(math.log10(high))
    step = next(part * power for part in (0.2, 0.5, 1.0, 2.0) if high / (part * power) <= 6)
    return [number * step for number in range(math.floor(high / step) + 1)]


def _horizontal(y: float, label: str) -> str:
    line = f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _text(_LEFT - 6, y + 4, label, "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"
