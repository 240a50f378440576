import pytest
import torch
from torch import nn
from torch.nn import functional

from dlp_lib import FixMatch, Runtime, Split, Supervised, Unlearn, fixmatch, supervised, unlearn
from dlp_lib.data import shapes10
from dlp_lib.models import architectures

each = pytest.mark.parametrize("name", architectures.ARCHITECTURES)
MILLIONS = {
    "WRN-16-1": 0.18, "VGG16": 14.7, "ResNet18": 11.2,
    "InceptionV3": 21.8, "MobileNetV2": 2.2, "DenseNet121": 7.0,
}  # fmt: skip


@each
def test_the_number_of_weights_is_the_published_one(name):
    """Without VGG16's two large linear layers, and with a head for ten classes."""
    model = architectures.build(name, 10, Runtime())
    assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(
        MILLIONS[name], abs=0.06
    )


@each
def test_every_architecture_goes_through_every_stage(name, context):
    model = architectures.build(name, 2, context.runtime)
    images, labels = shapes10.draw(8, 16, 0, 0)
    tampered, few = Split.from_arrays(images, labels % 2, ("even", "odd")), torch.arange(4)
    supervised(model, tampered, 1, Supervised(batch=8), context)
    unlearn(model, tampered, few, 1, Unlearn(reestimate=8), context)
    fixmatch(model, tampered, few, FixMatch(batch=2, mu=1, steps=1), context)
    assert all(value.isfinite().all() for value in model.state_dict().values())


@each
@pytest.mark.parametrize("size", [16, 32, 64])
def test_every_architecture_learns_from_images_of_every_size(name, size):
    model = architectures.build(name, 2, Runtime())
    images = torch.rand(4, 3, size, size)
    features = model.eval().features(images)
    assert features.shape == (4, model.head.in_features)
    assert model.head(features).shape == (4, 2)
    functional.cross_entropy(model.train()(images), torch.tensor([0, 1, 0, 1])).backward()
    slopes = [weight.grad for weight in model.parameters()]
    assert all(slope.isfinite().all() for slope in slopes)
    assert slopes[0].abs().max() > 0  # the first layer learns, too


@each
def test_logits_are_the_head_of_the_features(name):
    model, images = architectures.build(name, 5, Runtime()).eval(), torch.rand(3, 3, 16, 20)
    torch.testing.assert_close(model(images), model.head(model.features(images)))


@each
def test_small_images_are_refused(name):
    size = 7 if name == "WRN-16-1" else 15
    with pytest.raises(ValueError, match=rf"images of \({size}, 64\) pixels: allowed are"):
        architectures.build(name, 10, Runtime())(torch.rand(2, 3, size, 64))


def test_the_seed_decides_the_weights(same_state):
    def built(seed):
        return architectures.build("MobileNetV2", 10, Runtime(seed))

    assert same_state(built(1), built(1))
    assert not same_state(built(1), built(2))


def test_unknown_names_and_one_class_are_refused():
    with pytest.raises(ValueError, match="architecture='ResNet50': allowed are WRN-16-1, VGG16"):
        architectures.build("ResNet50", 10, Runtime())
    with pytest.raises(ValueError, match="n_classes=1"):
        architectures.build("VGG16", 1, Runtime())


def test_models_without_batchnorm_go_through_every_stage(context):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    )
    tampered = Split.from_arrays(*shapes10.draw(40, 16, 0, 0), shapes10.CLASSES)
    supervised(model, tampered, 2, Supervised(), context)
    for batchnorm in ("train", "eval"):
        stage = unlearn(
            model,
            tampered,
            torch.arange(5),
            3,
            Unlearn(batchnorm=batchnorm, reestimate=20),
            context,
        )
        assert [row["accuracy"] == row["accuracy_reestimated"] for row in stage.history] == [
            True
        ] * 3
    fixmatch(model, tampered, torch.arange(20), FixMatch(batch=4, mu=1, steps=2), context)
    assert all(value.isfinite().all() for value in model.state_dict().values())
