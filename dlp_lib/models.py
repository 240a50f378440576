"""Classifiers of images in [0, 1]: WRN-16-1, with its penultimate features."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .runtime import Runtime, whole

SOURCE = __loader__.get_source(__name__)


class _Block(nn.Module):
    """Pre-activation residual block: (BN, ReLU, 3×3) twice, plus a 1×1 shortcut where the shape changes."""

    def __init__(self, width_in: int, width_out: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        same = stride == 1 and width_in == width_out
        self.shortcut = None if same else nn.Conv2d(width_in, width_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(x))
        x = self.shortcut(y) if self.shortcut else x
        return x + self.conv2(functional.relu(self.bn2(self.conv1(y))))


class WideResNet(nn.Module):
    """Wide residual network of 6·blocks + 4 layers (Zagoruyko & Komodakis 2016, arXiv:1605.07146).

    Float images (n, 3, h, w) in [0, 1], h and w at least 8, to logits (n, n_classes). The pixels are centred inside.
    """

    def __init__(self, n_classes: int, blocks: int = 2, widen: int = 1):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.blocks, width = nn.Sequential(), 16
        for group, stride in ((16, 1), (32, 2), (64, 2)):
            for block in range(blocks):
                self.blocks.append(_Block(width, group * widen, stride if block == 0 else 1))
                width = group * widen
        self.bn = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer: (n, 64·widen); ValueError for images below 8×8."""
        if min(x.shape[-2:]) < 8:
            raise ValueError(f"images of {tuple(x.shape[-2:])} pixels: allowed are 8×8 and more")
        return functional.relu(self.bn(self.blocks(self.stem((x - 0.5) / 0.25)))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def wrn_16_1(n_classes: int, runtime: Runtime) -> WideResNet:
    """WRN-16-1, the paper's model (175 thousand weights), drawn from the seed, on the runtime's device."""
    with runtime.global_stream("init"):
        model = WideResNet(whole("n_classes", n_classes, 2))
    return model.to(runtime.device, memory_format=torch.channels_last)  # faster on CPUs, even for layers this narrow


def expect_features(model: nn.Module) -> None:
    """TypeError for a model without ``features`` (images to penultimate layer) and ``head`` (that to logits)."""
    if not (hasattr(model, "features") and hasattr(model, "head")):
        raise TypeError(f"{type(model).__name__} lacks features(images) or head(features), as WideResNet has them")


def pixels(images: Tensor) -> Tensor:
    """uint8 images (n, 3, h, w) as the models take them: float32 in [0, 1], channels last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)
