"""WRN-16-1, the paper's model, with its penultimate features."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_int
from ..runtime import Runtime


class _Block(nn.Module):
    """A pre-activation residual block: batch-norm, ReLU and a 3×3 convolution, twice.

    A 1×1 convolution is the shortcut where the shape changes.
    """

    def __init__(self, width_in: int, width_out: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.shortcut = None
        if stride != 1 or width_in != width_out:
            self.shortcut = nn.Conv2d(width_in, width_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = functional.relu(self.bn1(x))
        if self.shortcut is not None:
            x = self.shortcut(activated)
        y = self.conv1(activated)
        y = self.conv2(functional.relu(self.bn2(y)))
        return x + y


class WideResNet(nn.Module):
    """Wide residual network (Zagoruyko & Komodakis 2016, arXiv:1605.07146).

    It has 6·blocks + 4 layers. It takes float images (n, 3, h, w) in [0, 1] with sides of at least
    8 pixels, and gives logits (n, n_classes). The pixels are centred inside.

    Args:
        n_classes: how many logits.
        blocks: in each of the three groups.
        widen: how many times as wide as 16, 32 and 64 channels the groups are.
    """

    def __init__(self, n_classes: int, blocks: int = 2, widen: int = 1):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.blocks = nn.Sequential()
        width = 16
        for group_width, first_stride in ((16, 1), (32, 2), (64, 2)):
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                self.blocks.append(_Block(width, group_width * widen, stride))
                width = group_width * widen
        self.bn = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate layer, (n, 64·widen).

        Raises:
            ValueError: for images below 8×8.
        """
        if min(x.shape[-2:]) < 8:
            raise ValueError(f"images of {tuple(x.shape[-2:])} pixels: allowed are 8×8 and more")
        x = self.stem((x - 0.5) / 0.25)
        x = functional.relu(self.bn(self.blocks(x)))
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def wrn_16_1(n_classes: int, runtime: Runtime) -> WideResNet:
    """Return a WRN-16-1 (175 thousand weights), drawn from the seed, on the runtime's device.

    Raises:
        ValueError: for fewer than two classes.
    """
    with runtime.global_stream("init"):
        model = WideResNet(check_int("n_classes", n_classes, 2))
    # Channels last is faster on CPUs, even for layers as narrow as these.
    return model.to(runtime.device, memory_format=torch.channels_last)
