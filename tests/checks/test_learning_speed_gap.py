"""What the checks of notebook 02 say of wrong answers."""

import math
from fractions import Fraction

import numpy
import pytest
import torch
from torch.nn.functional import cross_entropy

from dlp_lib.checks import Wrong, learning_speed_gap


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "dictionary of two numbers"),
        (..., "dictionary of two numbers"),
        ({"BadNets": 88.9}, "dictionary of two numbers"),
        ({"BadNets": 0.889, "SIG": 0.989}, "in points"),
        ({"BadNets": 11.1, "SIG": 1.1}, "this is the clean accuracy"),
        ({"BadNets": 100, "SIG": 100}, "some of the clean images are disks"),
        ({"BadNets": 90, "SIG": 90}, "without the poisoned images"),
        ({"BadNets": 77.8, "SIG": 98.9}, "relabelled images belong"),
        ({"BadNets": 80, "SIG": 98.9}, "accuracy on .all. images"),
        ({"BadNets": 88.9, "SIG": 99}, "without the poisoned images"),
        ({"BadNets": 88.9, "SIG": 89.0}, "450 of the 500 disks"),
        ({"BadNets": 88.9, "SIG": 88.9}, "SIG takes its images from the disks"),
        ({"BadNets": 88.9, "SIG": 90}, "counts poisoned disks"),
        ({"BadNets": 88.9, "SIG": 1.1}, "this is the clean accuracy"),
        ({"BadNets": 88.9, "SIG": 95}, "the gap of SIG is 95"),
        ({"BadNets": "88.9", "SIG": "98.9"}, "dictionary of two numbers"),
        ({"BadNets": 88.9, "SIG": [98.9, 98.9]}, "dictionary of two numbers"),
    ],
)
def test_gaps(answer, message):
    with pytest.raises(Wrong, match=message):
        learning_speed_gap.gaps(answer)


def split(part, twice=False):
    """Two parts by a function of losses (n,) and a mask (n,)."""

    def answer(logits, labels, poisoned):
        losses = cross_entropy(logits.softmax(1) if twice else logits, labels, reduction="none")
        return part(losses, ~poisoned), part(losses, poisoned)

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z, y, p: cross_entropy(z, y), "return two numbers"),
        (
            lambda z, y, p: split(lambda loss, mask: (loss * mask).mean())(z, y, ~p),
            "changed places",
        ),
        (split(lambda loss, mask: loss[mask].mean()), "Eq. 4"),
        (split(lambda loss, mask: loss[mask].sum()), "this is a sum"),
        (split(lambda loss, mask: loss.mean()), "whole mean loss"),
        (split(lambda loss, mask: (loss * mask).mean(), twice=True), "softmax twice"),
        (split(lambda loss, mask: loss * mask), "the shape is"),
        (
            lambda z, y, p: (cross_entropy(z, y)[~p], cross_entropy(z, y)[p]),
            "fails with IndexError",
        ),
        (split(lambda loss, mask: loss[mask].sum() / 5), "for 3 samples of 2 classes"),
    ],
)
def test_parts(answer, message):
    with pytest.raises(Wrong, match=message):
        learning_speed_gap.parts(answer)


def last_wrong(correct):
    return (torch.arange(1, len(correct) + 1)[:, None] * ~correct).amax(0)


def learned(correct):
    return torch.where(correct[-1], last_wrong(correct) + 1.0, torch.inf)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda c: learned(c) - 1, "epochs from 0"),
        (last_wrong, "one later"),
        (lambda c: last_wrong(c) + 1, "not one more"),
        (lambda c: c.int().argmax(0) + 1, "argmax finds one"),
        (
            lambda c: torch.where(c.any(0), c.int().argmax(0) + 1.0, torch.inf),
            "first hit, which need not last$",
        ),
        (lambda c: c.sum(0), "is right: when"),
        (lambda c: (~c).sum(0), "at which it is wrong: look"),
        (lambda c: (~c).sum(0) + 1, "plus 1"),
        (lambda c: learned(c.T), "the shape is"),
        (lambda c: learned(c).nan_to_num(posinf=0), "is 0, it should be inf"),
        (
            lambda c: (
                learned(c)
                .masked_fill(last_wrong(c) == 5, torch.inf)
                .where(c[-1] | (last_wrong(c) == 5), 4.0)
            ),
            "for three epochs",
        ),
    ],
)
def test_learned_at(answer, message):
    with pytest.raises(Wrong, match=message):
        learning_speed_gap.learned_at(answer)


def count(share, lr, goal, off=0):
    """The steps, counted; ``off`` is the first number."""
    done = []
    for s in share:
        w, steps = 0.0, off
        while w < goal:
            w, steps = w + lr * s * (1 - w), steps + 1
        done.append(steps)
    return torch.tensor(done)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda s, lr, goal: math.log(1 - goal) / (1 - lr * s).log(), "whole steps"),
        (lambda s, lr, goal: (math.log(1 - goal) / (1 - lr * s).log()).round(), "to the nearest"),
        (lambda s, lr, goal: count(s, lr, goal, -1), "not reached yet"),
        (lambda s, lr, goal: count(s, lr, goal, 1), "one step too many"),
        (lambda s, lr, goal: (goal / (lr * s)).ceil(), "like the first"),
        (lambda s, lr, goal: (-math.log(1 - goal) / (lr * s)).ceil(), "infinitely small"),
        (lambda s, lr, goal: count(s, lr, 1 - goal), "what may be left"),
        (lambda s, lr, goal: count(s, 1, goal), "learning rate is not used"),
        (lambda s, lr, goal: count(torch.ones(3), lr, goal), "share is not used"),
        (lambda s, lr, goal: -count(s, lr, goal), "both logarithms"),
        (lambda s, lr, goal: count(s[:1], lr, goal), "the shape is"),
        (lambda s, lr, goal: count(s, 0.8, goal), "another goal and learning rate"),
        (lambda s, lr, goal: count(s, lr, 0.95), "another goal and learning rate"),
        (lambda s, lr, goal: count(s, lr, goal + 1e-9), "exactly at the goal"),
    ],
)
def test_steps(answer, message):
    with pytest.raises(Wrong, match=message):
        learning_speed_gap.steps(answer)


def test_steps_may_be_counted(capsys):
    learning_speed_gap.steps(count)
    assert capsys.readouterr().out.startswith("Right. ")


def parts_in_a_loop(logits, labels, poisoned):
    parts = [0.0, 0.0]
    for z, label, is_poisoned in zip(logits, labels, poisoned, strict=True):
        parts[int(is_poisoned)] -= z.log_softmax(0)[label].item() / len(labels)
    return parts


def parts_by_sums(logits, labels, poisoned):
    clean = cross_entropy(logits[~poisoned], labels[~poisoned], reduction="sum")
    both = cross_entropy(logits, labels, reduction="sum")
    return torch.stack([clean, both - clean]) / len(labels)


def parts_with_numpy(logits, labels, poisoned):
    z = logits.numpy().astype(float)
    losses = numpy.log(numpy.exp(z).sum(1)) - z[range(len(z)), labels.numpy()]
    mask = poisoned.numpy()
    return (losses * ~mask).mean(), (losses * mask).mean()


def learned_in_a_loop(correct):
    found = []
    for column in correct.T.tolist():
        epoch = len(column)
        while epoch and column[epoch - 1]:
            epoch -= 1
        found.append(epoch + 1 if epoch < len(column) else torch.inf)
    return found


def learned_by_a_product(correct):
    lasting = correct.flip(0).int().cumprod(0).sum(0)
    epochs = (len(correct) + 1 - lasting).double()
    return epochs.masked_fill(lasting == 0, torch.inf)


def learned_with_numpy(correct):
    wrong = ~correct.numpy()
    last = numpy.where(wrong.any(0), len(wrong) - wrong[::-1].argmax(0), 0)
    return numpy.where(last == len(wrong), numpy.inf, last + 1.0)


def steps_by_math(share, lr, goal):
    return [math.ceil(math.log(1 - goal) / safe_log(1 - lr * s)) for s in share.tolist()]


def safe_log(x):
    return math.log(x) if x > 0 else -math.inf


def steps_with_numpy(share, lr, goal):
    return numpy.ceil(numpy.log(1 - goal) / numpy.log1p(-lr * share.numpy()))


RIGHT_ANSWERS = {
    "gaps": [
        {"BadNets": 88.9, "SIG": 98.9},
        {"SIG": torch.tensor(98.901), "BadNets": torch.tensor(88.889)},
        {"BadNets": numpy.float32(88.89), "SIG": Fraction(9000, 91)},
    ],
    "parts": [parts_in_a_loop, parts_by_sums, parts_with_numpy],
    "learned_at": [learned_in_a_loop, learned_by_a_product, learned_with_numpy],
    "steps": [count, steps_by_math, steps_with_numpy],
}
