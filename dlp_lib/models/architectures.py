"""The paper's six models (Table 6): WRN-16-1, and five from torchvision for small images.

The five are made for photographs of 224 pixels a side (InceptionV3: 299). They make the sides 32
times smaller. Here some halvings are left out, as is common for CIFAR-10: in VGG16 the last one, in
the others early ones. So an image of 16 pixels a side still has room in the last layers.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..checking import check_int, match_name
from ..runtime import Runtime
from .wrn import WideResNet


class Classifier(nn.Module):
    """A body that gives penultimate features, and a linear head.

    It takes float images (n, 3, h, w) in [0, 1] with sides of at least 16 pixels. They are centred
    inside, as in WideResNet.

    Args:
        layers: one after the other, from centred images to features (n, d).
        head: from features to logits.
    """

    def __init__(self, layers: list[nn.Module], head: nn.Linear):
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.head = head

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate layer, (n, d).

        Raises:
            ValueError: for images below 16×16.
        """
        if min(x.shape[-2:]) < 16:
            raise ValueError(f"images of {tuple(x.shape[-2:])} pixels: allowed are 16×16 and more")
        return self.body((x - 0.5) / 0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def vgg16(n_classes: int) -> Classifier:
    """Return VGG16 (Simonyan & Zisserman 2014, arXiv:1409.1556) with batch-norm.

    It has one linear layer, as is usual on small images.
    """
    from torchvision.models import vgg16_bn

    *convolutions, _ = vgg16_bn(weights=None).features  # without the last pooling
    return Classifier([*convolutions, *_pooling()], nn.Linear(512, n_classes))


def resnet18(n_classes: int) -> Classifier:
    """Return ResNet18 (He et al. 2015, arXiv:1512.03385)."""
    from torchvision.models import resnet18

    net = resnet18(weights=None, num_classes=n_classes)
    stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    layers = [stem, net.bn1, net.relu, net.layer1, net.layer2, net.layer3, net.layer4]
    return Classifier([*layers, *_pooling()], net.fc)


def inception_v3(n_classes: int) -> Classifier:
    """Return InceptionV3 (Szegedy et al. 2015, arXiv:1512.00567), without its auxiliary output."""
    from torchvision.models import inception_v3

    net = inception_v3(weights=None, num_classes=n_classes, aux_logits=False, init_weights=True)
    net.Conv2d_1a_3x3.conv.stride = (1, 1)
    layers = [layer for name, layer in net.named_children() if name.startswith(("Conv2d", "Mixed"))]
    return Classifier([*layers, *_pooling(), net.dropout], net.fc)


def mobilenet_v2(n_classes: int) -> Classifier:
    """Return MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381)."""
    from torchvision.models import mobilenet_v2

    net = mobilenet_v2(weights=None, num_classes=n_classes)
    dropout, head = net.classifier
    net.features[0][0].stride = (1, 1)
    net.features[2].conv[1][0].stride = (1, 1)
    return Classifier([*net.features, *_pooling(), dropout], head)


def densenet121(n_classes: int) -> Classifier:
    """Return DenseNet121 (Huang et al. 2016, arXiv:1608.06993)."""
    from torchvision.models import densenet121

    net = densenet121(weights=None, num_classes=n_classes)
    stem = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    _, norm, relu, _, *blocks = net.features
    return Classifier([stem, norm, relu, *blocks, nn.ReLU(), *_pooling()], net.classifier)


def _pooling() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


# Each is called with the number of classes.
ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {
    "WRN-16-1": WideResNet,
    "VGG16": vgg16,
    "ResNet18": resnet18,
    "InceptionV3": inception_v3,
    "MobileNetV2": mobilenet_v2,
    "DenseNet121": densenet121,
}


def build(name: str, n_classes: int, runtime: Runtime) -> nn.Module:
    """Return a model, drawn from the seed, on the runtime's device.

    Args:
        name: one of ARCHITECTURES, in any case.
        n_classes: how many logits, 2 or more.
        runtime: seed and device.

    Raises:
        ValueError: for another name, and for fewer than two classes.
    """
    name = expect_architecture(name)
    with runtime.global_stream("init"):
        model = ARCHITECTURES[name](check_int("n_classes", n_classes, 2))
    return model.to(runtime.device, memory_format=torch.channels_last)


def expect_architecture(name: str) -> str:
    """Return the one of ARCHITECTURES that a name stands for, written in any case.

    Raises:
        ValueError: for any other name.
    """
    return match_name("architecture", name, ARCHITECTURES)
