import math

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from dlp_lib.data import augment
from dlp_lib.data.operations import OPERATIONS

NEAREST = InterpolationMode.NEAREST


@pytest.fixture(params=[(16, 16), (32, 32), (20, 28)], ids=str)
def images(request, shapes):
    """Shapes on a grid of any size, 40 of them."""
    split = shapes[0].images[:40]
    return v2.resize(split, list(request.param))


def affine(image, **settings):
    defaults = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return v2.affine(image, **(defaults | settings), interpolation=NEAREST)


def shear(image, x=0.0, y=0.0):
    degrees = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
    return affine(image, shear=degrees, center=[0.0, 0.0])


# Each operation as torchvision does it, one image at a time.
PLAIN = {
    "identity": lambda image, _: image,
    "autocontrast": lambda image, _: v2.autocontrast(image),
    "equalize": lambda image, _: v2.equalize(image),
    "brightness": v2.adjust_brightness,
    "contrast": v2.adjust_contrast,
    "color": v2.adjust_saturation,
    "sharpness": v2.adjust_sharpness,
    "posterize": lambda image, bits: v2.posterize(image, min(8, int(bits))),
    "solarize": lambda image, threshold: v2.solarize(image, threshold * 256),
    "rotate": lambda image, degrees: v2.rotate(image, degrees, interpolation=NEAREST),
    "shear x": lambda image, slope: shear(image, x=slope),
    "shear y": lambda image, slope: shear(image, y=slope),
    "translate x": lambda image, share: affine(
        image, translate=[round(share * image.shape[-1]), 0]
    ),
    "translate y": lambda image, share: affine(
        image, translate=[0, round(share * image.shape[-2])]
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_equal_torchvisions_image_by_image(name, images):
    operation = OPERATIONS[name]
    magnitudes = torch.linspace(operation.low, operation.high, len(images) + 1)[:-1] + 1e-4
    views = operation.apply(images, magnitudes)
    assert views.dtype == torch.uint8
    expected = []
    for image, magnitude in zip(images, magnitudes, strict=True):
        expected.append(PLAIN[name](image, float(magnitude)))
    expected = torch.stack(expected)
    difference = (views.int() - expected.int()).abs()
    # Rounding may fall either way: by one in a value, and by a pixel where neighbours tie.
    moved = name.split()[0] in ("rotate", "shear", "translate")
    assert (difference > 1).float().mean() < (0.01 if moved else 1e-9)
    assert difference.float().mean() < (1.0 if moved else 0.2)


def test_fourteen_operations_with_fixmatchs_ranges():
    assert len(OPERATIONS) == 14
    assert OPERATIONS["rotate"][1:] == (-30, 30)
    assert OPERATIONS["brightness"][1:] == (0.05, 0.95)


def test_posterize_keeps_four_to_eight_bits(images):
    same = images[:1].expand(5, -1, -1, -1)
    views = OPERATIONS["posterize"].apply(same, torch.tensor([4.0, 5.9, 7.0, 8.5, 9.0]))
    for view, bits in zip(views, (4, 5, 7, 8, 8), strict=True):
        assert torch.equal(view, images[0] & (256 - 2 ** (8 - bits)))


def test_weak_view_against_a_plain_reference(images):
    views = augment.weak(images, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    n, _, height, width = images.shape
    draws = torch.rand(n, 3, generator=generator)
    flips, shifts = draws[:, 0] < 0.5, draws[:, 1:]
    for image, view, flip, shift in zip(images, views, flips, shifts, strict=True):
        pads = [side // 8 for side in (height, width)]
        top, left = (int(s * (2 * pad + 1)) for s, pad in zip(shift, pads, strict=True))
        padded = F.pad(image[None].float(), [pads[1], pads[1], pads[0], pads[0]], mode="reflect")[0]
        crop = padded[:, top : top + height, left : left + width].to(torch.uint8)
        assert torch.equal(view, crop.flip(-1) if flip else crop)
    assert 0 < flips.float().mean() < 1


def test_random_operations_against_a_plain_reference(shapes):
    images = shapes[0].images[:60]
    views = augment._random_operation(images, torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(2)
    choices = torch.randint(14, (60,), generator=generator).tolist()
    amounts = torch.rand(60, generator=generator)
    assert len(set(choices)) > 10
    for image, view, choice, amount in zip(images, views, choices, amounts, strict=True):
        operation, low, high = list(OPERATIONS.values())[choice]
        magnitude = low + (high - low) * amount
        alone = operation(image[None], magnitude[None])
        assert torch.equal(view, alone[0])


def test_cutout_blanks_a_square_of_half_the_side():
    images = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    views = augment._cutout(images, torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.99, 0.5]]))
    expected = torch.zeros_like(images)
    expected[0, :, 4:12, 4:12] = 127
    expected[1, :, :4, :4] = 127
    expected[2, :, 11:, 4:12] = 127
    assert torch.equal(views, expected)


def test_strong_views_differ_per_image_repeat_by_seed_and_spare_the_input(shapes):
    images = shapes[0].images[:1].expand(32, -1, -1, -1)
    before = images.clone()
    views = augment.strong(images, torch.Generator().manual_seed(0))
    assert views.shape == images.shape
    assert views.dtype == torch.uint8
    assert len(views.unique(dim=0)) == 32
    assert torch.equal(views, augment.strong(images, torch.Generator().manual_seed(0)))
    assert torch.equal(images, before)
