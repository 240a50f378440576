import pytest
import torch

from dlp_lib import Runtime, wrn_16_1
from dlp_lib.models.interface import to_float


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_wrn_takes_any_size_and_its_head_reads_the_features(size):
    model = wrn_16_1(7, Runtime()).eval()
    images = torch.rand(3, 3, size, size)
    features = model.features(images)
    assert features.shape == (3, 64)
    torch.testing.assert_close(model(images), model.head(features))


def test_wrn_16_1_is_the_papers_model(model):
    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    assert (
        sum(layer.kernel_size == (3, 3) for layer in convolutions) == 13
    )  # and 2 shortcuts, 1 head: 16 layers deep
    assert {layer.out_channels for layer in convolutions} == {16, 32, 64}
    assert sum(weight.numel() for weight in model.parameters()) == 175_066


def test_the_seed_decides_the_weights(same_state):
    assert same_state(wrn_16_1(10, Runtime(1)), wrn_16_1(10, Runtime(1)))
    assert not same_state(wrn_16_1(10, Runtime(1)), wrn_16_1(10, Runtime(2)))


def test_pixels_run_from_0_to_1():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(1, 2, 3).expand(2, 3, 2, 3)
    assert to_float(images)[0, 0, 0].tolist() == pytest.approx([0, 0.2, 1])


def test_images_that_are_too_small_are_refused(model):
    with pytest.raises(ValueError, match=r"\(16, 7\) pixels: allowed are 8×8 and more"):
        model(torch.rand(2, 3, 16, 7))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="n_classes=1"):
        wrn_16_1(1, Runtime())
