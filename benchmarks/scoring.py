"""Scoring images with ``dlp_lib.predict``, against the limit and against one image at a time.

The limit: evaluation and inference mode, on batches of the same size that are ready as floats.

python benchmarks/scoring.py [--rounds N] [--quick]
"""

from collections.abc import Iterator
from functools import partial

import torch
from harness import Ratio, build_parser, compare, parse_arguments, random_split, report, seconds_per
from torch import Tensor, nn

from dlp_lib import Runtime, predict, wrn_16_1
from dlp_lib.models import to_float

BATCH = 256  # predict's
SINGLE = 256  # images scored one at a time
LIMIT = "≥ 0.95"  # wanted
ONE_BY_ONE = {16: "≥ 6", 32: "≥ 3"}  # wanted, by pixels


@torch.inference_mode()
def score_batches(model: nn.Module, batches: list[Tensor]) -> list[Tensor]:
    return [model(batch) for batch in batches]


@torch.inference_mode()
def score_one_by_one(model: nn.Module, images: Tensor) -> list[Tensor]:
    return [model(image[None].float() / 255) for image in images]


def compare_size(size: int, n: int, rounds: int) -> Iterator[Ratio]:
    model = wrn_16_1(10, Runtime()).eval()
    images = random_split(n, size).images
    batches = [to_float(batch) for batch in images.split(BATCH)]
    ours = partial(seconds_per, n / 1000, predict, model, images)
    limit = partial(seconds_per, n / 1000, score_batches, model, batches)
    single = partial(seconds_per, SINGLE / 1000, score_one_by_one, model, images[:SINGLE])
    what = f"1,000 images, {size} pixels"
    yield compare(f"{what}: the limit", ours, limit, rounds, LIMIT)
    yield compare(f"{what}: one image at a time", ours, single, rounds, ONE_BY_ONE[size])


def main() -> None:
    arguments = parse_arguments(build_parser(__doc__, 15))
    n = 2 * BATCH if arguments.quick else 20 * BATCH
    rows: list[Ratio] = []
    for size in ONE_BY_ONE:
        rows += compare_size(size, n, arguments.rounds)
    report("scoring", rows, arguments)


if __name__ == "__main__":
    main()
