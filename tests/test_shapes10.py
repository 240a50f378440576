import numpy as np
import pytest

from dlp_lib import load
from dlp_lib.data import shapes10


def test_the_default_set_is_the_same_everywhere():
    train, test = load("shapes10")
    assert (len(train), len(test)) == (5000, 2000)
    assert train.digest == "e7080b779bf70d07ee2466ec678af31e"
    assert test.digest == "bf321ac59d4c37bab59858f12211bd5d"


@pytest.mark.parametrize("size", [8, 16, 33, 64])
def test_any_size(size):
    images, labels = shapes10.draw(40, size)
    assert images.shape == (40, 3, size, size)
    assert images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [4] * 10


def test_seed_and_part_make_other_images():
    draws = [shapes10.draw(20, 16, seed, part)[0] for seed, part in ((0, 0), (0, 1), (1, 0))]
    assert not any(np.array_equal(draws[i], draws[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert np.array_equal(draws[0], shapes10.draw(20, 16, 0, 0)[0])


def test_the_pose_does_not_depend_on_the_size():
    small, labels = shapes10.draw(50, 16)
    large, same = shapes10.draw(50, 64)
    assert np.array_equal(labels, same)
    pooled = large.reshape(50, 3, 16, 4, 16, 4).mean((3, 5))
    assert abs(pooled - small).mean() < 12  # the noise of one, mostly


@pytest.mark.parametrize("size", [16, 24, 300])
def test_chunks_do_not_show(size, monkeypatch):
    whole = shapes10.draw(5, size)[0]
    drawn = []
    render = shapes10._render

    def note(scenes, side):
        drawn.append(len(scenes.labels))
        return render(scenes, side)

    monkeypatch.setattr(shapes10, "_render", note)
    monkeypatch.setattr(shapes10, "_MOST_PIXELS", 2 * size**2)
    assert np.array_equal(shapes10.draw(5, size)[0], whole)
    assert drawn == [2, 2, 1]


def inside_star(x, y):
    """A pentagram with a tip at (0, 1), by the winding number of its polygon."""
    tips = [(np.cos(a), np.sin(a)) for a in np.radians(90 + 144 * np.arange(5))]
    angles = [np.arctan2(b - y, a - x) for a, b in tips]
    turns = sum((angles[(i + 1) % 5] - angles[i] + np.pi) % (2 * np.pi) - np.pi for i in range(5))
    return abs(turns) > 1


def test_shapes_against_plain_geometry():
    x, y = np.meshgrid(np.linspace(-1.2, 1.2, 61), np.linspace(-1.2, 1.2, 61))
    u, v = ((1024 * line).round().astype(np.int32).reshape(1, -1) for line in (x, y))
    plain = {
        "disk": np.hypot(x, y) < 1,
        "ring": (np.hypot(x, y) < 1) & (np.hypot(x, y) >= 0.6),
        "square": np.maximum(abs(x), abs(y)) < 0.85,
        "frame": (np.maximum(abs(x), abs(y)) < 0.85) & (np.maximum(abs(x), abs(y)) >= 0.5),
        "star": inside_star(x, y),
    }
    for name, expected in plain.items():
        drawn = shapes10._INSIDE[name](u, v).reshape(x.shape)
        assert (drawn == expected).mean() > 0.985, name
