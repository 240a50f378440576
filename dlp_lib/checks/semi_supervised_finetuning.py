"""Notebook 05: poison in a batch, averaged weights, thresholds by class, views of a corner."""

from collections.abc import Callable

import torch

from .base import again, call, right, same, several
from .controls import true_labels as true_labels


def average(answer: Callable) -> None:
    """Check ``answer(values, decay)``: the moving average after every step (steps,).

    It starts from the first value.
    """
    mistakes = {
        "the decay is what stays of the old average: here it is the share of the new value": [
            1,
            0.1,
            0.01,
            3.601,
        ],
        "this starts from 0, and takes long to leave it: start from the first value": [
            0.1,
            0.09,
            0.081,
            0.4729,
        ],
        "this is the mean of all values so far: it forgets nothing": [1.0, 0.5, 1 / 3, 1.25],
        "this is one step late: the value of a step belongs to the average after it": [
            1.0,
            1.0,
            0.9,
            0.81,
        ],
        "the new value is added in full: it counts with 1 - decay": [1.0, 0.9, 0.81, 4.729],
        "the first value, which the average starts from, is missing in the result": [
            0.9,
            0.81,
            1.129,
        ],
        "this is the last average alone: all of them are wanted": 1.129,
    }
    values = torch.tensor([1.0, 0.0, 0.0, 4.0])
    same("the averages", call(answer, values, 0.9), [1.0, 0.9, 0.81, 1.129], mistakes)
    draws = {
        "for a decay of 0.5, and five values": (
            (torch.tensor([2.0, 4.0, 0.0, 0.0, 8.0]), 0.5),
            [2.0, 3.0, 1.5, 0.75, 4.375],
        ),
        "for a decay of 0": ((values, 0.0), values),
        "for one value": ((values[3:], 0.9), [4.0]),
    }
    again("the averages", answer, draws)
    right(
        "At a decay of 0.999 the start would still weigh 70 % after 360 steps: "
        "the library's starts smaller."
    )


def thresholds(answer: Callable) -> None:
    """Check ``answer(probabilities, tau)``: FlexMatch's threshold for every class.

    The probabilities are (n, classes).
    """
    sure = [[0.95, 0.05, 0.0]] * 4 + [[0.04, 0.96, 0.0]] * 2
    unsure = [[0.0, 0.6, 0.4]] * 2 + [[0.3, 0.3, 0.4], [0.5, 0.4, 0.1]]
    probabilities, tau = torch.tensor(sure + unsure), 0.9
    sums = probabilities.sum(0)
    mistakes = {
        "all guesses are counted, also those that nobody is sure of": [0.9, 0.72, 0.18],
        "the counts are divided by n: divide them by the largest one, "
        "so that its class keeps tau": [0.36, 0.18, 0.0],
        "the counts are divided by their sum: divide by the largest, so that its class keeps tau": [
            0.6,
            0.3,
            0.0,
        ],
        "these are shares of the largest count: multiply by tau": [1.0, 0.5, 0.0],
        "these are the counts": [4.0, 2.0, 0.0],
        "turned round: a class with *few* confident guesses gets the low threshold": [
            0.0,
            0.45,
            0.9,
        ],
        "the third class has no confident guess, and needs a threshold, too: "
        "bincount takes minlength": [0.9, 0.45],
        "the confident probabilities are summed here: count them": [0.9, 0.9 * 1.92 / 3.8, 0.0],
        "these are the columns' sums: count the confident guesses": tau * sums / sums.max(),
    }
    same("the thresholds", call(answer, probabilities, tau), [0.9, 0.45, 0.0], mistakes)
    quarters = [[0.75, 0.25, 0, 0]] * 2 + [[0, 0, 0.875, 0.125]] * 3 + [[0.5, 0.5, 0, 0]] * 2
    draws = {
        "with tau = 0.55": ((probabilities, 0.55), [0.55, 0.55, 0.0]),
        "where a confidence is tau, and that is enough": (
            (torch.tensor(quarters), 0.75),
            [0.5, 0.0, 0.75, 0.0],
        ),
    }
    again("the thresholds", answer, draws)
    right("Slow classes come in earlier. With a threshold of 0, so does every wrong guess.")


def survival(answer: Callable) -> None:
    """Check ``answer(side)``: the chances that weak views leave a patch whole.

    Wanted are the chances that a patch in the lower right corner is whole, and that it is whole
    and still on the right.
    """
    for side in (16, 32, 20, 28):
        form = "return two numbers: whole, and whole and on the right"
        chances = several(call(answer, side), 2, form)
        reach = side // 8
        stays = (reach + 1) / (2 * reach + 1)  # in one direction
        mistakes = {
            "this is one direction: the patch has to survive both": stays,
            "no shift at all is one of the possible ones, and leaves the patch whole": (
                reach / (2 * reach + 1)
            )
            ** 2,
            "there are 2r + 1 shifts, from -r to r: "
            "the half that keeps the patch is larger than the other": 1 / 4,
            "this is the patch in its very place: it may be shifted inwards": 1
            / (2 * reach + 1) ** 2,
            "a flip moves the patch, and leaves it whole": stays**2 / 2,
            "the reach is an eighth of the side": (3 / 5) ** 2 if side > 20 else torch.nan,
            "the reach is a whole number of pixels: side // 8": (
                ((side / 8 + 1) / (side / 4 + 1)) ** 2 if side == 20 else torch.nan
            ),
        }
        same(f"the chance to be whole, side {side}", chances[0], stays**2, mistakes)
        mistakes = {
            "a flip, in half of all views, takes the patch to the left": stays**2,
            "this is the patch in its very place: it may be shifted inwards": 1
            / (2 * reach + 1) ** 2
            / 2,
            "this is one direction: the patch has to survive both": stays / 2,
        }
        same(
            f"the chance to be whole and on the right, side {side}",
            chances[1],
            stays**2 / 2,
            mistakes,
        )
    right(
        "Whole and on the right: 18 % at 16 pixels. "
        "Section 2 measured that 19 % of BadNets' weak views still work."
    )


def covered(answer: Callable) -> None:
    """Check ``answer(side)``: every pixel's chance (side, side) to be under Cutout's square."""
    side, reach = 8, 2
    offset = torch.arange(side)[:, None] - torch.arange(
        side
    )  # of a pixel (rows) from a centre (columns)

    def cover(first: int, last: int, centres: slice = slice(None)) -> torch.Tensor:
        hit = ((offset >= first) & (offset <= last))[:, centres].double().mean(1)
        return hit[:, None] * hit

    wanted = cover(-reach, reach - 1)
    line = wanted.diagonal().sqrt()
    mistakes = {
        "fewer centres cover a pixel at the edge, where the square is cut off, "
        "than in the middle": wanted * 0 + 0.25,
        "these are the columns alone: "
        "the pixel's row has to be under the square as well": line.expand(side, side),
        "these are the rows alone: the column has to be under the square as well": line[
            :, None
        ].expand(side, side),
        "row *and* column have to be under the square: multiply instead of adding": line[:, None]
        + line,
        "the map is turned round: the square goes from c - q to c + q - 1, "
        "and each pixel counts the centres that "
        "cover it": wanted.flip(0, 1),
        "the square is a pixel too large: from c - q to c + q - 1, "
        "with q a quarter of the side": cover(-reach, reach),
        "the square is twice too large: q is a quarter of the side, "
        "its half is the whole square": cover(-4, 3),
        "the square need not lie inside: its centre may be any pixel": cover(
            -reach, reach - 1, slice(2, 7)
        ),
        "these are counts: divide by the number of centres": wanted * side**2,
    }
    same("the chance", call(answer, side), wanted, mistakes)
    draws = {}
    for side in (4, 6, 13):
        pixel, centre = torch.arange(side)[:, None], torch.arange(side)
        hit = (pixel >= centre - side // 4) & (pixel < centre + side // 4)
        line = hit.double().mean(1)
        draws[f"for a side of {side}"] = ((side,), line[:, None] * line)
    again("the chance", answer, draws)
    right(
        "At 16 pixels: 1 in 4 in the middle, 1 in 16 in the lower right corner. "
        "Cutout hardly hides a corner patch."
    )
