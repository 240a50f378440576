"""The paper's six models (Table 6): WRN-16-1, and five from torchvision, with stems for images of 16 to 64 pixels.

Made for photographs of 224 pixels, the five shrink an image 32 times, most of it at once in the stem. Here the first
strides are left out, as is common for CIFAR-10, so that an image of 16 pixels still has room in the last layers.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .models import WideResNet
from .runtime import Runtime, whole


class Classifier(nn.Module):
    """A body that gives penultimate features (n, d) of float images (n, 3, h, w) in [0, 1], and a linear head.

    The pixels are centred inside, as in WideResNet; ValueError for images below 16×16.
    """

    def __init__(self, layers: list[nn.Module], head: nn.Linear):
        super().__init__()
        self.body, self.head = nn.Sequential(*layers), head

    def features(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < 16:
            raise ValueError(f"images of {tuple(x.shape[-2:])} pixels: allowed are 16×16 and more")
        return self.body((x - 0.5) / 0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def vgg16(n_classes: int) -> Classifier:
    """Simonyan & Zisserman 2014, arXiv:1409.1556, with batch-norm and, as usual on small images, one linear layer."""
    from torchvision.models import vgg16_bn

    *convolutions, _ = vgg16_bn(weights=None).features  # without the last pooling
    return Classifier([*convolutions, *_pooled()], nn.Linear(512, n_classes))


def resnet18(n_classes: int) -> Classifier:
    """He et al. 2015, arXiv:1512.03385."""
    from torchvision.models import resnet18

    net = resnet18(weights=None, num_classes=n_classes)
    stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    layers = [stem, net.bn1, net.relu, net.layer1, net.layer2, net.layer3, net.layer4]
    return Classifier([*layers, *_pooled()], net.fc)


def inception_v3(n_classes: int) -> Classifier:
    """Szegedy et al. 2015, arXiv:1512.00567, without its second, auxiliary output."""
    from torchvision.models import inception_v3

    net = inception_v3(weights=None, num_classes=n_classes, aux_logits=False, init_weights=True)
    net.Conv2d_1a_3x3.conv.stride = (1, 1)
    layers = [layer for name, layer in net.named_children() if name.startswith(("Conv2d", "Mixed"))]
    return Classifier([*layers, *_pooled(), net.dropout], net.fc)


def mobilenet_v2(n_classes: int) -> Classifier:
    """Sandler et al. 2018, arXiv:1801.04381."""
    from torchvision.models import mobilenet_v2

    net = mobilenet_v2(weights=None, num_classes=n_classes)
    dropout, head = net.classifier
    net.features[0][0].stride = (1, 1)
    net.features[2].conv[1][0].stride = (1, 1)
    return Classifier([*net.features, *_pooled(), dropout], head)


def densenet121(n_classes: int) -> Classifier:
    """Huang et al. 2016, arXiv:1608.06993."""
    from torchvision.models import densenet121

    net = densenet121(weights=None, num_classes=n_classes)
    stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    _, norm, relu, _, *blocks = net.features
    return Classifier([stem, norm, relu, *blocks, nn.ReLU(), *_pooled()], net.classifier)


def _pooled() -> tuple[nn.Module, nn.Module]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten()


ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {  # each is given the number of classes
    "WRN-16-1": WideResNet,
    "VGG16": vgg16,
    "ResNet18": resnet18,
    "InceptionV3": inception_v3,
    "MobileNetV2": mobilenet_v2,
    "DenseNet121": densenet121,
}


def build(name: str, n_classes: int, runtime: Runtime) -> nn.Module:
    """One of ARCHITECTURES, drawn from the seed, on the runtime's device; ValueError for another name."""
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture={name!r}: allowed are {', '.join(ARCHITECTURES)}")
    with runtime.global_stream("init"):
        model = ARCHITECTURES[name](whole("n_classes", n_classes, 2))
    return model.to(runtime.device, memory_format=torch.channels_last)
