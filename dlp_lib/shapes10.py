"""The embedded data set: ten classes of simple shapes, drawn from a seed in about a second, alike on every machine.

It takes raw bits from PCG64, whose stream numpy guarantees, and computes with integers: 1/1024 of half an image.
"""

import math

import numpy as np
from numpy import ndarray

CLASSES = ("disk", "ring", "square", "frame", "triangle", "plus", "star", "half disk", "two bars", "crescent")
UNIT = 1024
_FINE = 2  # sub-pixels a side, for smooth edges
_CHUNK = 1000  # images drawn at a time, so that memory does not grow with the set
_TURN = 20  # degrees either way
_NOISE = 8  # standard deviation, in 1/255 (0.03)


def _directions(*degrees: int) -> ndarray:
    angles = map(math.radians, degrees)
    return np.array([(round(UNIT * math.cos(angle)), round(UNIT * math.sin(angle))) for angle in angles], np.int32)


def _disk(u: ndarray, v: ndarray, radius: int = UNIT) -> ndarray:
    return u * u + v * v < radius * radius


def _square(u: ndarray, v: ndarray, half: int) -> ndarray:
    return np.maximum(abs(u), abs(v)) < half


def _star(u: ndarray, v: ndarray) -> ndarray:
    # A pentagram holds the points on the inner side of at least four of its five lines.
    return sum((c * u + s * v < 316 * UNIT).astype(np.int8) for c, s in _directions(90, 162, 234, 306, 378)) >= 4


# For each class, whether points (n, points), in units of a shape of half-size UNIT, lie inside.
_INSIDE = (
    _disk,
    lambda u, v: _disk(u, v) & ~_disk(u, v, 614),
    lambda u, v: _square(u, v, 870),
    lambda u, v: _square(u, v, 870) & ~_square(u, v, 512),
    lambda u, v: (v < 700) & (v + UNIT > 2 * abs(u) - 200),
    lambda u, v: (np.minimum(abs(u), abs(v)) < 310) & _square(u, v, UNIT),
    _star,
    lambda u, v: _disk(u, v + 400) & (v + 400 > 0),
    lambda u, v: (abs(u) > 250) & _square(u, v, 922),
    lambda u, v: _disk(u, v) & ~_disk(u - 450, v, 922),
)


def draw(n: int, size: int = 16, data_seed: int = 0, part: int = 0) -> tuple[ndarray, ndarray]:
    """Images (n, 3, size, size) uint8 and their labels (n,), balanced; part 0 is for training, 1 an independent one."""
    stream = np.random.PCG64([data_seed, part])

    def integers(low: int, high: int, *shape: int) -> ndarray:
        return (stream.random_raw((n, *shape)) % np.uint64(high - low + 1)).astype(np.int32) + np.int32(low)

    labels = np.argsort(integers(0, 2**30), kind="stable") % len(CLASSES)
    corners = integers(64, 191, 3, 4)  # a soft background: one colour a corner, blended
    middle = corners.sum(-1) // 4
    contrast = integers(60, 140, 3) * (2 * integers(0, 1, 3) - 1)
    colour = np.where(abs(middle + contrast - 128) < 128, middle + contrast, middle - contrast)
    turn, half, shift = integers(0, 2 * _TURN), integers(563, 819), integers(-205, 205, 2)
    spot, radius, spot_colour = integers(-900, 900, 2), integers(120, 220), integers(0, 255, 3)
    images = np.empty((n, 3, size, size), np.uint8)
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK)
        distractor = _disk(*_points(spot[rows], size), radius[rows, None])
        canvas = _paint(_background(corners[rows], size), distractor, spot_colour[rows])
        canvas = _paint(canvas, _shape(labels[rows], *_points(shift[rows], size), turn[rows], half[rows]), colour[rows])
        octets = stream.random_raw(canvas.shape)[..., None].view(np.uint8)
        noise = (octets.sum(-1, dtype=np.int32) - 1020) * _NOISE // 209  # eight bytes: mean 1020, deviation 209
        images[rows] = np.clip(canvas + noise, 0, 255)
    return images, labels


def _background(corners: ndarray, size: int) -> ndarray:
    """Bilinear blend of the four corner colours: (n, 3, 4) to (n, 3, size, size)."""
    ramp = (2 * np.arange(size, dtype=np.int32) + 1) * UNIT // (2 * size)
    across = (corners[..., :2, None] * (UNIT - ramp) + corners[..., 2:, None] * ramp) // UNIT  # (n, 3, 2, size)
    return (across[..., :1, :] * (UNIT - ramp)[:, None] + across[..., 1:, :] * ramp[:, None]) // UNIT


def _points(origin: ndarray, size: int) -> tuple[ndarray, ndarray]:
    """x and y of every sub-pixel, seen from each image's own origin (n, 2): each (n, points)."""
    fine = size * _FINE
    line = (2 * np.arange(fine, dtype=np.int32) + 1) * UNIT // fine - UNIT
    return np.tile(line, fine) - origin[:, :1], np.repeat(line, fine) - origin[:, 1:]


def _shape(labels: ndarray, x: ndarray, y: ndarray, turn: ndarray, half: ndarray) -> ndarray:
    """Which points (n, points) lie inside each image's shape, turned and scaled."""
    cosine, sine = _directions(*range(-_TURN, _TURN + 1))[turn].T[:, :, None]
    u, v = (cosine * x + sine * y) // half[:, None], (cosine * y - sine * x) // half[:, None]
    inside = np.empty(x.shape, bool)
    for label, contains in enumerate(_INSIDE):
        inside[labels == label] = contains(u[labels == label], v[labels == label])
    return inside


def _paint(canvas: ndarray, inside: ndarray, colour: ndarray) -> ndarray:
    """Lay ``colour`` (n, 3) over the canvas (n, 3, size, size) as far as its sub-pixels (n, points) are inside."""
    size, whole = canvas.shape[-1], _FINE * _FINE
    cover = inside.reshape(-1, 1, size, _FINE, size, _FINE).sum((3, 5), dtype=np.int32)
    return (canvas * (whole - cover) + colour[:, :, None, None] * cover) // whole
