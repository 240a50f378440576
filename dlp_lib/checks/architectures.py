"""Notebook 10: cost of a run, weights of a layer, sides of its maps, verdicts, multiply-adds."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from ..models.wrn import WideResNet
from .base import again, call, expect, right, same
from .controls import no_defence as no_defence


def weights(answer: Callable) -> None:
    """Check ``answer(kernel, c_in, c_out, groups)``: the weights of a convolution and batch-norm.

    The convolution has no bias. Wanted is what an optimiser moves.
    """
    plain = 3 * 3 * 8 * 32
    mistakes = {
        "batch-norm is missing: a factor and an offset for every channel that comes out": plain,
        "batch-norm has a factor *and* an offset for every channel": plain + 32,
        "batch-norm comes after the convolution: it has the channels that come *out*": plain + 16,
        "running means and variances are buffers: no optimiser moves them": plain + 128,
        "the convolution has no bias here, as batch-norm's offset does its work": plain + 96,
        "a kernel of 3 has 3 · 3 places": 3 * 8 * 32 + 64,
    }
    given = call(answer, 3, 8, 32, 1)
    same("kernel 3, from 8 to 32 channels", given, plain + 64, mistakes)
    mistakes = {
        "groups are ignored: in 32 groups each channel sees one channel, not 32": 9 * 32 * 32 + 64,
        "divided by the groups twice: what comes out is still 32 channels": 9 + 64,
    }
    given = call(answer, 3, 32, 32, 32)
    same("depth-wise: kernel 3, 32 channels in 32 groups", given, 9 * 32 + 64, mistakes)
    draws = {
        "for kernel 1, from 16 to 64 channels": ((1, 16, 64, 1), 16 * 64 + 128),
        "for kernel 5, from 3 to 4 channels": ((5, 3, 4, 1), 25 * 12 + 8),
        "for kernel 7, from 8 to 16 channels in 2 groups": ((7, 8, 16, 2), 49 * 64 + 32),
    }
    again("the number of weights", answer, draws)
    right("Depth-wise, a layer of 32 channels has 352 weights in place of 9,280.")


def sides(answer: Callable) -> None:
    """Check ``answer(size, layers)``: the side of every layer's map.

    A layer is (kernel, stride, padding).
    """
    by_stride_alone = [16, 16, 8]
    mistakes = {
        "a kernel that fits in once gives one pixel: + 1 is missing": [15, 14, 5],
        "rounded up: a kernel that does not fit any more is left out": [17, 17, 8],
        "half a pixel there is not: take //": [16.5, 16.5, 7.75],
        "padding is on both sides": [16, 14, 6],
        "size / stride does not do: without padding, a kernel of 3 finds 7 places on 16 pixels": (
            by_stride_alone
        ),
        "every layer was given the image: it gets the map of the one before": [16, 32, 15],
        "leave out the image's own side": [32, 16, 16, 7],
    }
    given = call(answer, 32, [(3, 2, 1), (5, 1, 2), (3, 2, 0)])
    same("the sides", given, [16, 16, 7], mistakes)
    draws = {
        "for one layer, whose kernel fits in once": ((7, [(7, 3, 0)]), [1]),
        "for a stride of 3": ((20, [(2, 3, 0), (1, 1, 0), (3, 3, 2)]), [7, 7, 3]),
        "for a kernel that is larger than the image without padding": ((4, [(5, 1, 1)]), [2]),
    }
    again("the sides", answer, draws)
    right(
        "What the division leaves over is never looked at: padding, where there is any, "
        "else the edge of the map."
    )


VERDICTS = ("untrained", "destroyed", "backdoored", "never there", "removed")
_EARLY = (
    "a model that knew nothing without a defence says nothing about the defence: ask that first"
)
# (CA, ASR) without a defence and with it, the verdict, and what tells it from the others.
_CASES = (
    ((0.95, 1.0), (0.92, 0.02), "removed", "a backdoor was there, it is gone, and CA is 92 %"),
    (
        (0.95, 1.0),
        (0.94, 0.99),
        "backdoored",
        "CA is high, and the backdoor as well: it is still there",
    ),
    (
        (0.95, 1.0),
        (0.09, 0.0),
        "destroyed",
        "CA is 9 %: a model that knows nothing any more has a low ASR for nothing",
    ),
    (
        (0.87, 0.07),
        (0.09, 0.9),
        "destroyed",
        "CA is 9 %: an ASR of 90 % is then nearly one answer for everything, and no backdoor",
    ),
    (
        (0.87, 0.07),
        (0.81, 0.01),
        "never there",
        "there was no backdoor before the defence, so there was none to remove",
    ),
    (
        (0.87, 0.07),
        (0.85, 0.6),
        "backdoored",
        "there was none before, but there is one in the end: judge the end first",
    ),
    ((0.17, 0.59), (0.2, 0.01), "untrained", _EARLY),
    ((0.17, 0.59), (0.7, 0.01), "untrained", _EARLY),
    ((0.5, 1.0), (0.5, 0.2), "removed", "a CA of 50 % is of use, and an ASR of 20 % not above it"),
    ((0.9, 0.2), (0.9, 0.1), "never there", "an ASR of 20 % is not above 20 %: there was none"),
    ((0.9, 0.21), (0.9, 0.1), "removed", "an ASR of 21 % is above 20 %: there was a backdoor"),
    ((0.9, 0.9), (0.9, 0.21), "backdoored", "an ASR of 21 % in the end is above 20 %"),
    ((0.49, 1.0), (0.9, 0.1), "untrained", "a CA of 49 % is below 50 %, so the model is of no use"),
    ((0.9, 1.0), (0.49, 0.1), "destroyed", "a CA of 49 % is below 50 %: of no use in the end"),
)


def verdicts(answer: Callable) -> None:
    """Check ``answer(undefended, defended)``: (CA, ASR) of both models to one of VERDICTS."""
    for undefended, defended, expected, hint in _CASES:
        verdict = call(answer, undefended, defended)
        verdict = verdict.strip().lower() if isinstance(verdict, str) else verdict
        expect(
            isinstance(verdict, str) and verdict in VERDICTS,
            f"return one of {', '.join(VERDICTS)}; this is {verdict!r}",
        )
        expect(verdict == expected, f"{undefended} and then {defended} is not {verdict!r}: {hint}")
    right(
        "A low ASR in the end is one of four words here, and only one of them is praise: removed. "
        "Now count the recorded runs."
    )


_WRN_16_1 = 6_664_832  # multiply-adds for 16·16 pixels


def _small_model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )


def multiply_adds(answer: Callable) -> None:
    """Check ``answer(model, images)``: multiply-adds for one image.

    Those of convolutions and linear layers count.
    """
    model = _small_model()
    images = torch.zeros(3, 3, 16, 16)
    before = copy.deepcopy(model.state_dict())
    expected = 216 * 64 + 72 * 64 + 80
    all_weights = 216 + 72 + 80
    mistakes = {
        "this is for the whole batch: for one image": 3 * expected,
        "these are operations, two for every multiply-add": 2 * expected,
        "these are the weights: each is used at every place of the map that comes out": all_weights,
        "these are the model's parameters: count the weights at every place where they are used": (
            all_weights + 16 + 10
        ),
        "linear layers multiply as well": expected - 80,
        "a bias is added and not multiplied": expected + 10,
        "batch-norm is counted: take convolutions and linear layers alone": expected + 8 * 64,
        "counted at the places of the map that goes *in*: a stride of 2 leaves a quarter": (
            expected + 216 * 192
        ),
        "groups are ignored: each channel of the second convolution sees one channel, not eight": (
            expected + 7 * 72 * 64
        ),
    }
    same("the multiply-adds", call(answer, model, images), expected, mistakes)
    _expect_untouched(model, before)
    with torch.random.fork_rng(devices=[]):
        twice = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.ReLU())
    twice.append(twice[0])
    same(
        "of a layer that is used twice",
        call(answer, twice, images),
        2 * 9 * 256,
        {"it is counted once": 9 * 256},
    )
    wide = torch.zeros(1, 3, 8, 20)
    model.eval()
    draws = {"for an image of 8·20 pixels": ((model, wide), 216 * 40 + 72 * 40 + 80)}
    again("the multiply-adds", answer, draws)
    expect(not model.training, "the model was in evaluation mode, and is left in training mode")
    with torch.random.fork_rng(devices=[]):
        wrn = WideResNet(10)
    images = torch.zeros(2, 3, 16, 16)
    again("the multiply-adds", answer, {"of WRN-16-1": ((wrn, images), _WRN_16_1)})
    right(
        f"WRN-16-1 takes {_WRN_16_1 / 1e6:.2f} million for an image of 16 pixels, "
        "38 for each of its weights."
    )


def _expect_untouched(model: nn.Module, before: dict[str, torch.Tensor]) -> None:
    """Check that a model is in training mode, without hooks, and with the tensors of before."""
    hooks_left = any(module._forward_hooks for module in model.modules())
    expect(not hooks_left, "hooks are left in the model: remove() each handle")
    for name, value in model.state_dict().items():
        expect(
            torch.equal(value, before[name]),
            "the running statistics of batch-norm have moved: "
            "the pass belongs into evaluation mode",
        )
    expect(model.training, "the model was in training mode, and is left in evaluation mode")
