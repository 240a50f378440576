"""The few clean images that some defences are given, and how they divide them."""

import torch

from ..checking import check_fraction
from ..context import Context
from ..data.split import Split


def clean_part(
    train: Split, test: Split, context: Context, share: float = 0.05
) -> tuple[Split, Split]:
    """Take clean images out of the test set.

    Args:
        train: the training set, of which only the size counts.
        test: a clean test set.
        context: whose random stream draws the images, and whose device they come to.
        share: how many, as a share of the training set's size.

    Returns:
        The clean images, and the test set without them, which then serves every method. Both are
        on the context's device.

    Raises:
        ValueError: where that is no image, or more than half of the test set.
    """
    count = round(check_fraction("share", share) * len(train))
    if not 0 < count <= len(test) // 2:
        raise ValueError(
            f"share={share}: {count} clean images, of a test set of {len(test)}; "
            "allowed is half of it"
        )
    test = test.to(context.runtime.device)
    return _divide(test, count, context.runtime.generator("clean part"))


def held_out(clean: Split, context: Context) -> tuple[Split, Split]:
    """Divide clean images into four fifths to train on, and one fifth to choose by.

    A method that was given clean images has no others.

    Raises:
        ValueError: for fewer than five images.
    """
    if len(clean) < 5:
        raise ValueError(f"clean: {len(clean)} clean images; at least 5 are needed")
    return _divide(clean, len(clean) * 4 // 5, context.runtime.generator("held out"))


def _divide(split: Split, count: int, generator: torch.Generator) -> tuple[Split, Split]:
    order = torch.randperm(len(split), generator=generator).to(split.images.device)
    return split.subset(order[:count]), split.subset(order[count:])
