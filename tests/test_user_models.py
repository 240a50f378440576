"""Models of users: each passes through the defences, or is refused by one sentence at once."""

import copy
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from quick_defences import QUICK
from torch import nn
from torch.nn import functional

from dlp_lib import (
    DLP,
    FILTERS,
    Context,
    FixMatch,
    Split,
    Store,
    Supervised,
    evaluate,
    logits_and_features,
    predict,
)
from dlp_lib.defences import ABL, ANP, DBD, FP, MCR, SCE, MixMatch, SimCLR, Training, nad
from dlp_lib.models.interface import copied, to_float
from dlp_lib.training.stage import draw_epoch, split_rows

SIDE = 16  # of the images, in pixels
CLASSES = 3


class GroupNormNet(nn.Module):
    """Convolutions with GroupNorm and dropout, features and a head; no batch-norm."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1),
            nn.GroupNorm(2, 8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 16, 3, 2, 1),
            nn.GroupNorm(2, 16),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(16, CLASSES)

    def features(self, x):
        return self.dropout(self.body(x).mean((2, 3)))

    def forward(self, x):
        return self.head(self.features(x))


class BatchNormNet(GroupNormNet):
    """The same with batch-norm."""

    def __init__(self):
        super().__init__()
        self.body[1] = nn.BatchNorm2d(8)
        self.body[4] = nn.BatchNorm2d(16)


class Tied(BatchNormNet):
    """One weight under two names."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(16, 16)
        self.again = nn.Linear(16, 16)
        self.again.weight = self.mix.weight

    def features(self, x):
        return self.again(self.mix(super().features(x)))


class Lazy(BatchNormNet):
    """It makes a tensor in its first pass, and keeps the features of its last one."""

    scale = None

    def features(self, x):
        if self.scale is None:
            self.scale = torch.ones(16, device=x.device)
        self.last = {"features": [super().features(x) * self.scale]}
        return self.last["features"][0]


class Projecting(BatchNormNet):
    """It has a projection of its own."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(16, 16)

    def features(self, x):
        return self.projection(super().features(x))


def partly_frozen():
    model = BatchNormNet()
    model.body.requires_grad_(False)
    return model


def compiled():
    return torch.compile(BatchNormNet(), backend="eager")


def vit():
    from torchvision.models import VisionTransformer

    return VisionTransformer(SIDE, 4, 1, 2, 8, 16, num_classes=CLASSES)


def convnext():
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(8, 12, 1), CNBlockConfig(12, None, 1)], num_classes=CLASSES)


def swin():
    from torchvision.models import SwinTransformer

    return SwinTransformer([2, 2], 12, [1, 1], [1, 1], [2, 2], num_classes=CLASSES)


def sequential():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )


class Kind(NamedTuple):
    """A kind of model, and by which words some methods refuse it."""

    make: object
    refused: dict


NO_FEATURES = dict.fromkeys(("FP", "DBD", "filters"), "lacks features")
NO_BATCHNORM = {"ANP": "has no batch-norm layer"}
KINDS = {
    "GroupNorm and dropout": Kind(GroupNormNet, NO_BATCHNORM),
    "tied": Kind(Tied, {}),
    "lazy tensor": Kind(Lazy, {}),
    "own projection": Kind(Projecting, {}),
    "partly frozen": Kind(partly_frozen, {}),
    "compiled": Kind(compiled, {}),
    "Sequential": Kind(sequential, NO_FEATURES),
    "ViT": Kind(vit, {**NO_FEATURES, **NO_BATCHNORM, "NAD": "VisionTransformer has 1 resolutions"}),
    "ConvNeXt": Kind(convnext, {**NO_FEATURES, **NO_BATCHNORM}),
    "Swin": Kind(
        swin,
        {
            **dict.fromkeys(("FP", "DBD", "filters"), r"SwinTransformer.features returned .*float"),
            **NO_BATCHNORM,
        },
    ),
}
METHODS = {**QUICK, "NAD": replace(QUICK["NAD"], betas=(1.0, 1.0))}


@pytest.fixture(scope="module")
def images():
    """Sixty images of three classes."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (60, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return Split.from_arrays(pixels, torch.arange(60) % CLASSES)


def made(kind: Kind) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind.make()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", KINDS)
def test_a_model_passes_through_a_defence_or_is_refused_at_once(name, method, images, tmp_path):
    kind = KINDS[name]
    model = made(kind)
    before = copy.deepcopy(model.state_dict())
    calls = []
    context = Context(store=Store(tmp_path), progress=lambda *call: calls.append(call))
    if method in kind.refused:
        with pytest.raises((TypeError, ValueError), match=kind.refused[method]):
            METHODS[method].run(model, images, context)
        assert calls == []
        return
    result = METHODS[method].run(model, images, context)
    assert calls
    assert evaluate(result.model, images).ca >= 0
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
    calls.clear()
    again = METHODS[method].run(model, images, context)  # all of it is read
    assert calls == []
    assert torch.equal(predict(again.model, images.images), predict(result.model, images.images))


@pytest.mark.parametrize("name", KINDS)
def test_a_model_passes_through_the_filters_or_is_refused(name, images):
    kind = KINDS[name]
    model = made(kind)
    if "filters" in kind.refused:
        with pytest.raises(TypeError, match=kind.refused["filters"]):
            logits_and_features(model, images.images)
        return
    outputs = logits_and_features(model, images.images)
    for score in FILTERS.values():
        assert score(outputs, images.labels).isfinite().all()


def test_a_pass_without_gradient_does_not_spoil_a_model(images):
    """The tensor that it keeps from that pass can be trained with."""
    model = made(KINDS["lazy tensor"])
    predict(model, images.images)
    loss = functional.cross_entropy(model(to_float(images.images)), images.labels)
    loss.backward()
    assert model.head.weight.grad.isfinite().all()


def test_a_copy_of_a_model_that_keeps_its_last_pass_has_its_values(images):
    model = made(KINDS["lazy tensor"])
    model(to_float(images.images))
    kept = model.last["features"][0]
    assert kept.grad_fn is not None
    twin = copied(model)
    assert torch.equal(twin.last["features"][0], kept)
    assert twin.last["features"][0].grad_fn is None
    assert twin.scale is not model.scale


@pytest.mark.parametrize(
    ("name", "channels", "shapes"),
    [("ConvNeXt", [1, 1], [(8, 4, 4), (12, 2, 2)]), ("Swin", [3, 1], [(12, 8, 8), (24, 4, 4)])],
)
def test_nad_compares_pictures_whatever_axis_their_channels_have(name, channels, shapes, images):
    model = made(KINDS[name])
    chosen = nad.layers(model, images.images, 2)
    with nad.captured(model, [layer.name for layer in chosen]) as outputs:
        model.eval()(to_float(images.images[:2]))
    assert [layer.channels for layer in chosen] == channels
    pictures = []
    for layer in chosen:
        output = outputs[layer.name].movedim(layer.channels, 1)
        pictures.append(tuple(output.shape[1:]))
        map_of_layer = nad.attention(outputs[layer.name], 2, layer.channels)
        assert torch.equal(map_of_layer, nad.attention(output))
    assert pictures == shapes


@pytest.mark.parametrize(
    ("shape", "image", "axes"),
    [
        ((16, 16, 16), (16, 16), [1, 3]),
        ((32, 8, 8), (16, 16), [1]),
        ((8, 8, 32), (16, 16), [3]),
        ((8, 6, 6), (32, 24), [3]),  # a channel count that equals a side
        ((6, 8, 6), (32, 24), [1]),
        ((24, 10, 7), (40, 30), [1]),  # rounded
        ((10, 7, 24), (40, 30), [3]),
        ((24, 28, 20), (32, 24), [1]),  # neither fits: as convolutions give it
    ],
)
def test_the_axis_of_the_channels_is_the_one_that_leaves_the_images_proportions(shape, image, axes):
    assert nad.channel_axes(torch.Size(shape), *image) == axes


def test_nad_passes_over_what_can_be_read_in_two_ways(images):
    """Of 8×8 pixels and 8 channels, in a model that puts its channels last."""
    from torchvision.models import SwinTransformer

    model = SwinTransformer([2, 2], 8, [1, 1], [1, 1], [2, 2], num_classes=CLASSES)
    first, _ = nad.layers(model, images.images, 2)
    assert first.channels == 3
    with nad.captured(model, [first.name]) as outputs:
        model.eval()(to_float(images.images[:2]))
    assert outputs[first.name].shape[1:] == (8, 8, 32)


class OnePixel(nn.Module):
    """Batch-norm on one number for each channel and image, which takes no batch of one image."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, CLASSES))

    def features(self, x):
        return self.body(x).flatten(1)

    def forward(self, x):
        return self.head(self.features(x))


SHORT = Training(batch=5, epochs=1)  # of 16 images
ONE_LEFT = {  # of 21 images, and all that they are divided into
    "FP": FP(training=SHORT),
    "MCR": MCR(end=SHORT, curve=SHORT, points=1),
    "ANP": ANP(training=SHORT),
    "ABL": ABL(isolation=SHORT, training=replace(SHORT, batch=19), isolated=0.05, unlearn_epochs=1),
    "DBD": DBD(
        trusted=0.53,
        simclr=SimCLR(batch=5, epochs=1),
        sce=SCE(batch=5, epochs=1),
        mixmatch=MixMatch(batch=5, epochs=1, views=1),
    ),
    "DLP": DLP(
        gamma=0.05,
        e1=1,
        e2=1,
        supervised=Supervised(batch=5),
        fixmatch=FixMatch(batch=2, mu=1, steps=1),
    ),
}


@pytest.mark.parametrize("method", ONE_LEFT)
def test_no_batch_of_one_image_reaches_batchnorm(method, images):
    """A last single image is left out or joined to others, and a single suspect passes twice."""
    data = images.subset(slice(21))
    result = ONE_LEFT[method].run(OnePixel(), data, Context())
    assert evaluate(result.model, data).ca >= 0
    for name, counts in {"DLP": [1], "ABL": [1]}.items():
        if name == method:
            assert [row["images"] for row in result.stages["AU"].history] == counts


def test_a_last_single_row_is_joined_to_the_batch_before_it():
    rows = torch.arange(11)
    assert [part.tolist() for part in split_rows(rows, 5)] == [[0, 1, 2, 3, 4], [*range(5, 11)]]
    assert [len(part) for part in split_rows(rows[:10], 5)] == [5, 5]
    assert [len(part) for part in split_rows(rows[:1], 5)] == [1]


def test_a_set_of_one_image_gives_it_twice(images):
    one = images.subset(slice(1))
    (batch,) = draw_epoch(one, 8, torch.Generator())
    assert batch.rows.tolist() == [0, 0]
