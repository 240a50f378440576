"""The usual way to feed a model: images one by one through PIL, in a DataLoader's workers."""

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
AHEAD = 2 * WORKERS  # batches that the workers prepare before they are asked: PyTorch's default
UNTIMED = AHEAD + 1  # so many batches go by before a measurement begins


class Images(Dataset):
    """Images and labels as torchvision's CIFAR10 keeps and gives them."""

    def __init__(self, split: Split, transform: Callable[[Image.Image], Any]):
        self.images = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.images[index])
        return self.transform(image), self.labels[index]


class Pair:
    """A weak and a strong view of an image."""

    def __init__(self, size: int):
        self.weak = weak(size)
        self.strong = strong(size)

    def __call__(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        return self.weak(image), self.strong(image)


class FixMatchBatches(Dataset):
    """A labelled image and its ``mu`` unlabelled ones, drawn anew each time, by one loader.

    Two loaders side by side are more common; here they would be more processes than cores.
    """

    def __init__(self, split: Split, mu: int):
        size = split.images.shape[-1]
        self.labelled = Images(split, weak(size))
        self.unlabelled = Images(split, Pair(size))
        self.mu = mu

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor, Tensor]:
        others = torch.randint(len(self.unlabelled), (self.mu,)).tolist()
        pairs = [self.unlabelled[other][0] for other in others]
        weak_views, strong_views = zip(*pairs, strict=True)
        image, label = self.labelled[index]
        return image, label, torch.stack(weak_views), torch.stack(strong_views)


def weak(size: int) -> Compose:
    """Return the transform of a weak view."""
    return Compose([*_flip_and_crop(size), ToTensor()])


def strong(size: int) -> Compose:
    """Return the transform of a strong view."""
    return Compose([*_flip_and_crop(size), RandAugment(), cutout, ToTensor()])


def _flip_and_crop(size: int) -> list[Callable]:
    return [RandomHorizontalFlip(), RandomCrop(size, padding=size // 8, padding_mode="reflect")]


def cutout(image: Image.Image) -> Image.Image:
    """Draw a grey square of half the side, cut off at the edges."""
    width, height = image.size
    left = random.random() - 0.25
    top = random.random() - 0.25
    right = left + 0.5
    bottom = top + 0.5
    corners = (left * width, top * height, right * width - 1, bottom * height - 1)
    ImageDraw.Draw(image).rectangle(corners, (127, 127, 127))
    return image


def loader(dataset: Dataset, batch: int, steps: int) -> DataLoader:
    """Return a loader for ``steady``, which times so many steps.

    The workers live on from one measurement to the next. Where the steps wait for them, their
    batches come in twos: the number of steps should be even.
    """
    sampler = RandomSampler(dataset, num_samples=batch * (UNTIMED + steps + AHEAD))
    return DataLoader(dataset, batch, sampler=sampler, num_workers=WORKERS, persistent_workers=True)


def steady(batches: DataLoader, step: Callable[[Any], None] = lambda batch: None) -> float:
    """Return the seconds of a step with its batch, as in the middle of an epoch.

    At the end the workers have time to finish, so that what is measured next has the machine to
    itself.
    """
    coming = iter(batches)
    steps = len(batches) - UNTIMED - AHEAD
    for _ in range(UNTIMED):
        step(next(coming))
    began = time.perf_counter()
    for _ in range(steps):
        step(next(coming))
    seconds = time.perf_counter() - began
    for _ in coming:
        pass
    return seconds / steps
