"""The usual way to feed a model, for the scripts here: images one by one through PIL, in a DataLoader's workers."""

import random
import time
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import Compose, RandAugment, RandomCrop, RandomHorizontalFlip, ToTensor

from dlp_lib import Split

WORKERS = 2
AHEAD = 2 * WORKERS  # batches that the workers prepare before they are asked for: PyTorch's default
UNTIMED = AHEAD + 1  # so many batches go by before a measurement begins


class Images(Dataset):
    """Images and labels as torchvision's CIFAR10 keeps and gives them."""

    def __init__(self, split: Split, transform: Callable[[Image.Image], Any]):
        self.images, self.labels = (
            split.images.permute(0, 2, 3, 1).contiguous().numpy(),
            split.labels.tolist(),
        )
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


class Pair:
    """A weak and a strong view of an image."""

    def __init__(self, size: int):
        self.weak, self.strong = weak(size), strong(size)

    def __call__(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        return self.weak(image), self.strong(image)


class Shares(Dataset):
    """A labelled image and, drawn anew each time, its ``mu`` unlabelled ones: FixMatch's batches by one loader.

    Two loaders side by side are more common; here they would be more processes than cores.
    """

    def __init__(self, split: Split, mu: int):
        size = split.images.shape[-1]
        self.labelled, self.unlabelled, self.mu = (
            Images(split, weak(size)),
            Images(split, Pair(size)),
            mu,
        )

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor, Tensor]:
        others = torch.randint(len(self.unlabelled), (self.mu,)).tolist()
        weak_views, strong_views = zip(
            *(self.unlabelled[other][0] for other in others), strict=True
        )
        return *self.labelled[index], torch.stack(weak_views), torch.stack(strong_views)


def weak(size: int) -> Compose:
    return Compose([*_moved(size), ToTensor()])


def strong(size: int) -> Compose:
    return Compose([*_moved(size), RandAugment(), cutout, ToTensor()])


def _moved(size: int) -> list[Callable]:
    return [RandomHorizontalFlip(), RandomCrop(size, padding=size // 8, padding_mode="reflect")]


def cutout(image: Image.Image) -> Image.Image:
    """A grey square of half the side, cut off at the edges."""
    (width, height), left, top = image.size, random.random() - 0.25, random.random() - 0.25
    corners = (left * width, top * height, (left + 0.5) * width - 1, (top + 0.5) * height - 1)
    ImageDraw.Draw(image).rectangle(corners, (127, 127, 127))
    return image


def loader(dataset: Dataset, batch: int, steps: int) -> DataLoader:
    """For ``steady``, which times so many steps; the workers live on from one measurement to the next.

    Where it is them that the steps wait for, their batches come in twos: the number should be even.
    """
    sampler = RandomSampler(dataset, num_samples=batch * (UNTIMED + steps + AHEAD))
    return DataLoader(dataset, batch, sampler=sampler, num_workers=WORKERS, persistent_workers=True)


def steady(batches: DataLoader, step: Callable[[Any], None] = lambda batch: None) -> float:
    """Seconds a step, its batch included, while the workers have as much to do as in the middle of an epoch.

    At the end they are given the time to finish: whatever is measured next has the machine to itself.
    """
    coming, steps = iter(batches), len(batches) - UNTIMED - AHEAD
    for _ in range(UNTIMED):
        step(next(coming))
    began = time.perf_counter()
    for _ in range(steps):
        step(next(coming))
    took = time.perf_counter() - began
    for _ in coming:
        pass
    return took / steps
