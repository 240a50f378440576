import math

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from dlp_lib.data import augment
from dlp_lib.data.operations import OPERATIONS, operate, parameters

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


def operate_on_all(images, magnitudes):
    """Views (14, n, ...) of the same n images by each operation, with magnitudes (14, n)."""
    height, width = images.shape[2:]
    views = operate(images.repeat(14, 1, 1, 1), parameters(magnitudes, height, width))
    return views.view(14, *images.shape)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_equal_torchvisions_image_by_image(name, images):
    low, high = OPERATIONS[name]
    magnitudes = torch.linspace(low, high, len(images) + 1)[:-1] + 1e-4
    views = operate_on_all(images, magnitudes.repeat(14, 1))[list(OPERATIONS).index(name)]
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
    assert OPERATIONS["rotate"] == (-30, 30)
    assert OPERATIONS["brightness"] == (0.05, 0.95)


def test_posterize_keeps_four_to_eight_bits(images):
    magnitudes = torch.tensor([4.0, 5.9, 7.0, 8.5, 9.0]).repeat(14, 1)
    same = images[:1].expand(5, -1, -1, -1)
    views = operate_on_all(same, magnitudes)[list(OPERATIONS).index("posterize")]
    for view, bits in zip(views, (4, 5, 7, 8, 8), strict=True):
        assert torch.equal(view, images[0] & (256 - 2 ** (8 - bits)))


@pytest.mark.parametrize("value", [0, 9, 255])
def test_operations_take_images_of_one_value(value):
    images = torch.full((2, 3, 16, 16), value, dtype=torch.uint8)
    views = operate_on_all(images, torch.full((14, 2), 0.5))
    for name in ("equalize", "autocontrast", "contrast", "color", "sharpness"):
        view = views[list(OPERATIONS).index(name)]
        assert (view.int() - value).abs().max() <= 1  # of grey, the weights sum to 0.9999


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


@pytest.mark.parametrize("n", [1, 20, 42])
def test_strong_views_against_a_plain_reference(n, shapes):
    """Each image alone through the operations that the draws name for its places."""
    images = shapes[0].images[:n]
    draws = one_step(augment.draw_strong(1, n, (16, 16), torch.Generator().manual_seed(2)))
    views = augment.apply_strong(images, draws)
    k = math.ceil(n / 14)
    for i in range(n):
        last_place = draws.back[i]
        first_place = draws.second_images[last_place]
        assert draws.images[first_place] == i
        view = augment.apply_weak(images[i : i + 1], draws.weak[i : i + 1])
        for place, numbers in (
            (first_place, draws.operations),
            (last_place, draws.second_operations),
        ):
            alone = numbers.view(14, k, 6)[:, place % k].contiguous()
            view = operate(view.repeat(14, 1, 1, 1), alone)[place // k][None]
        assert torch.equal(augment._cutout(view, draws.centres[i : i + 1])[0], views[i])


def one_step(draws):
    return augment.StrongDraws(*[part[0] for part in draws])


@pytest.mark.parametrize("n", [14, 10, 33])
def test_each_image_gets_each_operation_with_one_probability(n):
    """For n that fourteen does not divide as well. Over 7,000 steps, within five deviations."""
    steps = 7000
    draws = augment.draw_strong(steps, n, (16, 16), torch.Generator().manual_seed(0))
    k = math.ceil(n / 14)
    first_places = draws.second_images.gather(1, draws.back)
    for places in (first_places, draws.back):
        operations = places // k
        counts = torch.zeros(n, 14).scatter_add_(1, operations.T, torch.ones(n, steps))
        deviation = math.sqrt(steps / 14 * 13 / 14)
        assert (counts - steps / 14).abs().max() < 5 * deviation
    together = (first_places // k == draws.back // k).double().mean()  # the two are independent
    assert together == pytest.approx(1 / 14, abs=0.005)


def test_every_operation_runs_on_an_equal_part_of_the_places():
    for n in (1, 14, 15, 448):
        draws = one_step(augment.draw_strong(1, n, (16, 16), torch.Generator()))
        places = 14 * math.ceil(n / 14)
        assert len(draws.images) == len(draws.second_images) == places
        assert len(draws.images.unique()) == n  # all images are among them
        assert len(draws.back.unique()) == n


def test_magnitudes_lie_in_fixmatchs_ranges():
    draws = one_step(augment.draw_strong(1, 1400, (16, 16), torch.Generator().manual_seed(1)))
    numbers = draws.operations.view(14, 100, 6)
    for name, (low, high) in (("brightness", (0.05, 0.95)), ("solarize", (0, 256))):
        found = numbers[list(OPERATIONS).index(name), :, 0]
        assert low <= found.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < found.max() <= high
    masks = numbers[list(OPERATIONS).index("posterize"), :, 0]
    assert masks.unique().tolist() == [240, 248, 252, 254, 255][: len(masks.unique())]


def test_cutout_blanks_a_square_of_half_the_side():
    images = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    views = augment._cutout(images, torch.tensor([[8, 8], [0, 0], [15, 8]]))
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
