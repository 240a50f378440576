"""Scoring images with ``dlp_lib.predict``, against the limit and against one image at a time.

The limit: evaluation and inference mode, on batches of the same size that are there as floats.

python benchmarks/scoring.py [--rounds N] [--quick]
"""

from collections.abc import Iterator
from functools import partial

import torch
from against import Ratio, compare, drawn, each, options, read, report
from torch import Tensor, nn

from dlp_lib import Runtime, predict, wrn_16_1
from dlp_lib.models.interface import to_float

BATCH = 256  # predict's
SINGLE = 256  # images scored one at a time
LIMIT = "≥ 0.95"  # wanted
ONE_BY_ONE = {16: "≥ 6", 32: "≥ 3"}  # wanted, by pixels


@torch.inference_mode()
def ready(model: nn.Module, batches: list[Tensor]) -> list[Tensor]:
    return [model(batch) for batch in batches]


@torch.inference_mode()
def singly(model: nn.Module, images: Tensor) -> list[Tensor]:
    return [model(image[None].float() / 255) for image in images]


def of_size(size: int, n: int, rounds: int) -> Iterator[Ratio]:
    model, images = wrn_16_1(10, Runtime()).eval(), drawn(n, size).images
    ours = partial(each, n / 1000, predict, model, images)
    limit = partial(
        each, n / 1000, ready, model, [to_float(batch) for batch in images.split(BATCH)]
    )
    single = partial(each, SINGLE / 1000, singly, model, images[:SINGLE])
    yield compare(f"1,000 images, {size} pixels: the limit", ours, limit, rounds, LIMIT)
    yield compare(
        f"1,000 images, {size} pixels: one image at a time", ours, single, rounds, ONE_BY_ONE[size]
    )


def main() -> None:
    arguments = read(options(__doc__, 15))
    n = 2 * BATCH if arguments.quick else 20 * BATCH
    rows = [row for size in ONE_BY_ONE for row in of_size(size, n, arguments.rounds)]
    report("scoring", rows, arguments)


if __name__ == "__main__":
    main()
