"""What the checks of notebook 05 say of wrong answers, and that they want what the library does."""

import numpy
import pytest
import torch

from dlp_lib.checks import Wrong, semi_supervised_finetuning
from dlp_lib.data import augment


def averages(values, keep, add, mean):
    found = []
    for value in values:
        mean = keep * mean + add * value
        found.append(mean)
    return torch.stack(found)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda v, d: averages(v, 1 - d, d, v[0]), "share of the new value"),
        (lambda v, d: averages(v, d, 1 - d, 0), "starts from 0"),
        (lambda v, d: v.cumsum(0) / torch.arange(1, 5), "mean of all values"),
        (lambda v, d: averages(torch.cat([v[:1], v[:-1]]), d, 1 - d, v[0]), "one step late"),
        (lambda v, d: torch.cat([v[:1], averages(v[1:], d, 1, v[0])]), "added in full"),
        (lambda v, d: averages(v[1:], d, 1 - d, v[0]), "is missing in the result"),
        (lambda v, d: averages(v, d, 1 - d, v[0])[-1], "the last average alone"),
        (lambda v, d: averages(v, 0.9, 0.1, v[0]), "a decay of 0.5"),
        (lambda v, d: averages(v, d, 1 - d, torch.tensor(1.0)), "a decay of 0.5"),
    ],
)
def test_average(answer, message):
    with pytest.raises(Wrong, match=message):
        semi_supervised_finetuning.average(answer)


def counts(p, tau, classes=3):
    confidence, guess = p.max(1)
    return guess[confidence >= tau].bincount(minlength=classes)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda p, tau: tau * counts(p, 0) / counts(p, 0).max(), "all guesses are counted"),
        (lambda p, tau: tau * counts(p, tau) / len(p), "divided by n"),
        (lambda p, tau: tau * counts(p, tau) / counts(p, tau).sum(), "divided by their sum"),
        (lambda p, tau: counts(p, tau) / counts(p, tau).max(), "multiply by tau"),
        (counts, "these are the counts"),
        (lambda p, tau: tau * (1 - counts(p, tau) / counts(p, tau).max()), "turned round"),
        (lambda p, tau: tau * counts(p, tau, 0) / counts(p, tau).max(), "minlength"),
        (lambda p, tau: tau * p[:6].amax(1) @ torch.eye(3)[p[:6].argmax(1)] / 3.8, "summed here"),
        (lambda p, tau: tau * p.sum(0) / p.sum(0).max(), "columns' sums"),
        (lambda p, tau: tau * counts(p, 0.9) / counts(p, 0.9).max(), "with tau = 0.55"),
        (lambda p, tau: tau * counts(p, tau + 1e-9) / counts(p, tau + 1e-9).max(), "is enough"),
        (lambda p, tau: tau * counts(p, tau)[:3] / counts(p, tau).max(), "is enough.*shape"),
    ],
)
def test_thresholds(answer, message):
    with pytest.raises(Wrong, match=message):
        semi_supervised_finetuning.thresholds(answer)


def stays(side):
    return (side // 8 + 1) / (2 * (side // 8) + 1)


def halved(chance):
    return chance, chance / 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda side: stays(side) ** 2, "return two numbers"),
        (lambda side: (stays(side), stays(side) / 2), "survive both"),
        (lambda side: ((side // 8 / (2 * (side // 8) + 1)) ** 2, 0.0), "no shift at all"),
        (lambda side: (1 / 4, 1 / 8), "larger than the other"),
        (lambda side: (1 / (2 * (side // 8) + 1) ** 2, 0.0), "very place"),
        (lambda side: (stays(side) ** 2 / 2, stays(side) ** 2 / 2), "leaves it whole"),
        (lambda side: (stays(16) ** 2, stays(16) ** 2 / 2), "an eighth of the side"),
        (lambda side: (stays(side) ** 2, stays(side) ** 2), "takes the patch to the left"),
        (lambda side: (stays(side) ** 2, 1 / (2 * (side // 8) + 1) ** 2 / 2), "shifted inwards"),
        (lambda side: (stays(side) ** 2, stays(side) / 2), "survive both"),
        (lambda side: halved(((side / 8 + 1) / (side / 4 + 1)) ** 2), "side // 8"),
        (lambda side: halved(stays(16 if side == 28 else side) ** 2), "an eighth of the side"),
    ],
)
def test_survival(answer, message):
    with pytest.raises(Wrong, match=message):
        semi_supervised_finetuning.survival(answer)


def test_survival_is_what_weak_views_do():
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    patch = image[..., -3:, -3:] = torch.arange(1, 10).view(3, 3)  # nine pixels that are told apart
    views = augment.weak(image.expand(20_000, -1, -1, -1), torch.Generator().manual_seed(0))[:, 0]
    right, left = views[..., 8:], views[..., :8].flip(2)
    whole = [
        (half.unfold(1, 3, 1).unfold(2, 3, 1) == patch).all((3, 4)).any(2).any(1)
        for half in (right, left)
    ]
    found = (whole[0] | whole[1]).double().mean().item(), whole[0].double().mean().item()
    assert found == pytest.approx((0.36, 0.18), abs=0.01)


def cover(side, first, last, centres=slice(None), turned=False):
    offset = torch.arange(side)[:, None] - torch.arange(side)
    hit = ((offset >= first) & (offset <= last)).double()[:, centres].mean(0 if turned else 1)
    return hit[:, None] * hit


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda side: torch.full((side, side), 0.25), "at the edge"),
        (lambda side: cover(side, -2, 1).diagonal().sqrt().repeat(side, 1), "the columns alone"),
        (lambda side: cover(side, -2, 1).diagonal().sqrt().repeat(side, 1).T, "the rows alone"),
        (lambda side: 2 * cover(side, -2, 1).diagonal().sqrt(), "shape"),
        (
            lambda side: (
                torch.cartesian_prod(*[cover(side, -2, 1).diagonal().sqrt()] * 2).sum(1).view(8, 8)
            ),
            "adding",
        ),
        (lambda side: cover(side, -2, 1, turned=True), "turned round"),
        (lambda side: cover(side, -1, 2), "turned round"),
        (lambda side: cover(side, -2, 2), "a pixel too large"),
        (lambda side: cover(side, -4, 3), "twice too large"),
        (lambda side: cover(side, -2, 1, slice(2, 7)), "any pixel"),
        (lambda side: side**2 * cover(side, -2, 1), "these are counts"),
        (lambda side: cover(side, -2, 1)[0, 0], "shape"),
        (lambda side: cover(side, -2, 1), "for a side of 4"),
        (lambda side: cover(side, -(side // 3), side // 3 - 1), "for a side of 4|side of 6"),
    ],
)
def test_covered(answer, message):
    with pytest.raises(Wrong, match=message):
        semi_supervised_finetuning.covered(answer)


def test_covered_is_what_cutout_does(capsys):
    def drawn(side):
        centres = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        images = torch.zeros(side**2, 3, side, side, dtype=torch.uint8)
        return (augment._cutout(images, centres)[:, 0] == 127).double().mean(0)

    semi_supervised_finetuning.covered(drawn)
    assert capsys.readouterr().out.startswith("Right.")
    assert (drawn(16)[8, 8].item(), drawn(16)[15, 15].item()) == (1 / 4, 1 / 16)


def averages_in_a_list(values, decay):
    found = []
    for value in values.tolist():
        found.append(value if not found else decay * found[-1] + (1 - decay) * value)
    return found


def averages_by_a_matrix(values, decay):
    steps = torch.arange(len(values))
    age = steps[:, None] - steps
    weights = torch.where(age >= 0, (1 - decay) * torch.tensor(decay) ** age.clamp(min=0), 0.0)
    weights[:, 0] = torch.tensor(decay) ** steps
    return weights @ values


def averages_with_numpy(values, decay):
    found = values.numpy().astype(float)
    for step in range(1, len(found)):
        found[step] = decay * found[step - 1] + (1 - decay) * found[step]
    return found


def thresholds_in_a_loop(probabilities, tau):
    found = [0] * probabilities.shape[1]
    for row in probabilities.tolist():
        if max(row) >= tau:
            found[row.index(max(row))] += 1
    return [tau * count / max(found) for count in found]


def thresholds_by_one_hot(probabilities, tau):
    confidence, guess = probabilities.max(1)
    guesses = torch.eye(probabilities.shape[1])[guess]
    found = (guesses * (confidence >= tau)[:, None]).sum(0)
    return tau * (found / found.max())


def thresholds_with_numpy(probabilities, tau):
    p = probabilities.numpy()
    sure = p.argmax(1)[p.max(1) >= numpy.float32(tau)]
    found = numpy.bincount(sure, minlength=p.shape[1])
    return tau * found / found.max()


def survival_by_counting(side):
    reach = side // 8
    shifts = range(-reach, reach + 1)
    whole = [(x, y) for x in shifts for y in shifts if x <= 0 and y <= 0]
    return [len(whole) / len(shifts) ** 2, len(whole) / len(shifts) ** 2 / 2]


def survival_with_numpy(side):
    shifts = numpy.arange(-(side // 8), side // 8 + 1)
    stay = (shifts <= 0).mean()
    return numpy.array([stay**2, stay**2 / 2])


def survival_of_tensors(side):
    shifts = torch.arange(-(side // 8), side // 8 + 1)
    stay = (shifts <= 0).double().mean()
    return torch.stack([stay**2, stay**2 / 2])


def covered_in_a_loop(side):
    counts = [[0] * side for _ in range(side)]
    for row in range(side):
        for column in range(side):
            for i in range(max(0, row - side // 4), min(side, row + side // 4)):
                for j in range(max(0, column - side // 4), min(side, column + side // 4)):
                    counts[i][j] += 1
    return [[count / side**2 for count in line] for line in counts]


def covered_with_numpy(side):
    pixel, centre = numpy.ogrid[:side, :side]
    line = ((pixel >= centre - side // 4) & (pixel <= centre + side // 4 - 1)).mean(1)
    return numpy.outer(line, line)


RIGHT_ANSWERS = {
    "average": [averages_in_a_list, averages_by_a_matrix, averages_with_numpy],
    "thresholds": [thresholds_in_a_loop, thresholds_by_one_hot, thresholds_with_numpy],
    "survival": [survival_by_counting, survival_with_numpy, survival_of_tensors],
    "covered": [
        covered_in_a_loop,
        covered_with_numpy,
        lambda side: cover(side, -(side // 4), side // 4 - 1),
    ],
}
