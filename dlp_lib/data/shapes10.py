"""The embedded data set: ten classes of simple shapes, drawn from a seed, alike on every machine.

It takes raw bits from PCG64, whose stream numpy guarantees, and computes with integers. The unit
of length is 1/1024 of half an image. 5,000 images take about a second.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy import ndarray

UNIT = 1024
_FINE = 2  # sub-pixels a side, for smooth edges
_MOST_PIXELS = 256_000  # drawn at a time, so that memory does not grow with the set
_TURN = 20  # degrees either way
_NOISE = 8  # standard deviation, in 1/255 (0.03)


def _directions(*degrees: int) -> ndarray:
    """Return cosine and sine of angles, times UNIT: (angles, 2) int32."""
    pairs = []
    for degree in degrees:
        angle = math.radians(degree)
        cosine = round(UNIT * math.cos(angle))
        sine = round(UNIT * math.sin(angle))
        pairs.append((cosine, sine))
    return np.array(pairs, np.int32)


# Of each class, whether points u and v (n, points) lie inside a shape of half-size UNIT. v grows
# downwards.


def _disk(u: ndarray, v: ndarray, radius: int = UNIT) -> ndarray:
    return u * u + v * v < radius * radius


def _ring(u: ndarray, v: ndarray) -> ndarray:
    return _disk(u, v) & ~_disk(u, v, 614)


def _square(u: ndarray, v: ndarray, half: int = 870) -> ndarray:
    return np.maximum(abs(u), abs(v)) < half


def _frame(u: ndarray, v: ndarray) -> ndarray:
    return _square(u, v) & ~_square(u, v, 512)


def _triangle(u: ndarray, v: ndarray) -> ndarray:
    below_the_sides = v + UNIT > 2 * abs(u) - 200
    return (v < 700) & below_the_sides


def _plus(u: ndarray, v: ndarray) -> ndarray:
    in_a_bar = np.minimum(abs(u), abs(v)) < 310
    return in_a_bar & _square(u, v, UNIT)


def _star(u: ndarray, v: ndarray) -> ndarray:
    """A pentagram holds the points on the inner side of at least four of its five lines."""
    count = np.zeros(u.shape, np.int8)
    for cosine, sine in _directions(90, 162, 234, 306, 378):
        distance = cosine * u + sine * v
        count += distance < 316 * UNIT
    return count >= 4


def _half_disk(u: ndarray, v: ndarray) -> ndarray:
    return _disk(u, v + 400) & (v + 400 > 0)


def _two_bars(u: ndarray, v: ndarray) -> ndarray:
    return (abs(u) > 250) & _square(u, v, 922)


def _crescent(u: ndarray, v: ndarray) -> ndarray:
    return _disk(u, v) & ~_disk(u - 450, v, 922)


_INSIDE = {
    "disk": _disk,
    "ring": _ring,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "plus": _plus,
    "star": _star,
    "half disk": _half_disk,
    "two bars": _two_bars,
    "crescent": _crescent,
}
CLASSES = tuple(_INSIDE)


class _Scenes(NamedTuple):
    """What n images show, but for the noise."""

    labels: ndarray  # (n,)
    corners: ndarray  # (n, 3, 4): the background's colour in each corner
    colour: ndarray  # (n, 3): of the shape
    turn: ndarray  # (n,): an index of -_TURN to _TURN degrees
    half: ndarray  # (n,): half the shape's size
    shift: ndarray  # (n, 2): of the shape, from the middle
    spot: ndarray  # (n, 2): the centre of a small disk that says nothing about the class
    radius: ndarray  # (n,): of that disk
    spot_colour: ndarray  # (n, 3)

    def subset(self, rows: slice) -> "_Scenes":
        return _Scenes(*(values[rows] for values in self))


def draw(n: int, size: int = 16, data_seed: int = 0, part: int = 0) -> tuple[ndarray, ndarray]:
    """Draw images of balanced classes.

    Args:
        n: how many.
        size: pixels a side.
        data_seed: of everything.
        part: 0 is for training, 1 an independent one for testing.

    Returns:
        The images (n, 3, size, size), uint8, and their labels (n,).
    """
    stream = np.random.PCG64([data_seed, part])
    scenes = _draw_scenes(stream, n)
    images = np.empty((n, 3, size, size), np.uint8)
    together = max(1, _MOST_PIXELS // size**2)  # whatever it is, the images are the same
    for start in range(0, n, together):
        rows = slice(start, start + together)
        canvas = _render(scenes.subset(rows), size)
        noise = _draw_noise(stream, canvas.shape)
        images[rows] = np.clip(canvas + noise, 0, 255)
    return images, scenes.labels


def _draw_scenes(stream: np.random.PCG64, n: int) -> _Scenes:
    def integers(low: int, high: int, *shape: int) -> ndarray:
        """Draw int32 from low to high, both included."""
        count = np.uint64(high - low + 1)
        bits = stream.random_raw((n, *shape))
        return (bits % count).astype(np.int32) + np.int32(low)

    order = np.argsort(integers(0, 2**30), kind="stable")
    labels = order % len(CLASSES)
    corners = integers(64, 191, 3, 4)
    middle = corners.sum(-1) // 4
    contrast = integers(60, 140, 3)
    sign = 2 * integers(0, 1, 3) - 1
    colour = middle + sign * contrast
    is_colour = abs(colour - 128) < 128
    colour = np.where(is_colour, colour, middle - sign * contrast)
    turn = integers(0, 2 * _TURN)
    half = integers(563, 819)
    shift = integers(-205, 205, 2)
    spot = integers(-900, 900, 2)
    radius = integers(120, 220)
    spot_colour = integers(0, 255, 3)
    return _Scenes(labels, corners, colour, turn, half, shift, spot, radius, spot_colour)


def _draw_noise(stream: np.random.PCG64, shape: tuple[int, ...]) -> ndarray:
    """Draw nearly normal noise: the sum of eight bytes has mean 1020 and deviation 209."""
    words = stream.random_raw(shape)
    octets = words[..., None].view(np.uint8)
    deviation = octets.sum(-1, dtype=np.int32) - 1020
    return deviation * _NOISE // 209


def _render(scenes: _Scenes, size: int) -> ndarray:
    """Return images without noise, (n, 3, size, size)."""
    canvas = _background(scenes.corners, size)
    x, y = _points(scenes.spot, size)
    canvas = _paint(canvas, _disk(x, y, scenes.radius[:, None]), scenes.spot_colour)
    x, y = _points(scenes.shift, size)
    inside = _shape(scenes.labels, x, y, scenes.turn, scenes.half)
    return _paint(canvas, inside, scenes.colour)


def _background(corners: ndarray, size: int) -> ndarray:
    """Blend the four corner colours bilinearly: (n, 3, 4) to (n, 3, size, size)."""
    ramp = _centres(size) * UNIT // (2 * size)
    left = corners[..., :2, None]
    right = corners[..., 2:, None]
    across = _mix(left, right, ramp)  # (n, 3, 2, size): at the top and at the bottom
    top = across[..., :1, :]
    bottom = across[..., 1:, :]
    return _mix(top, bottom, ramp[:, None])


def _mix(first: ndarray, second: ndarray, share: ndarray) -> ndarray:
    """Mix two colours; of the second there are share/UNIT."""
    return (first * (UNIT - share) + second * share) // UNIT


def _centres(count: int) -> ndarray:
    """Return the centres (count,) of as many equal parts, each of length 2."""
    return 2 * np.arange(count, dtype=np.int32) + 1


def _points(origin: ndarray, size: int) -> tuple[ndarray, ndarray]:
    """Return x and y of every sub-pixel from each image's own origin (n, 2): each (n, points)."""
    fine = size * _FINE
    line = _centres(fine) * UNIT // fine - UNIT
    x = np.tile(line, fine) - origin[:, :1]
    y = np.repeat(line, fine) - origin[:, 1:]
    return x, y


def _shape(labels: ndarray, x: ndarray, y: ndarray, turn: ndarray, half: ndarray) -> ndarray:
    """Return which points (n, points) lie inside each image's shape, turned and scaled."""
    directions = _directions(*range(-_TURN, _TURN + 1))
    cosine, sine = directions[turn].T[:, :, None]
    half = half[:, None]
    u = (cosine * x + sine * y) // half
    v = (cosine * y - sine * x) // half
    inside = np.empty(x.shape, bool)
    for label, contains in enumerate(_INSIDE.values()):
        rows = labels == label
        inside[rows] = contains(u[rows], v[rows])
    return inside


def _paint(canvas: ndarray, inside: ndarray, colour: ndarray) -> ndarray:
    """Lay a colour over the canvas, as far as the sub-pixels of each pixel are inside.

    Args:
        canvas: (n, 3, size, size).
        inside: (n, points) bool.
        colour: (n, 3).
    """
    size = canvas.shape[-1]
    full = _FINE * _FINE
    points = inside.reshape(-1, 1, size, _FINE, size, _FINE)
    cover = points.sum((3, 5), dtype=np.int32)
    colour = colour[:, :, None, None]
    return (canvas * (full - cover) + colour * cover) // full
