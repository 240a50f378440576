"""Notebook 12: RA without an attack, MixMatch, symmetric cross-entropy, SimCLR's loss."""

import math
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy, normalize

from ..defences import simclr
from .base import again, call, right, same, several
from .controls import with_labels as with_labels


def harmless(answer: Callable) -> None:
    """Check ``answer(ca, recall, classes)``: RA where the trigger changes nothing.

    The classes have equal sizes.
    """
    mistakes = {
        "this is CA: RA leaves out the images of the target class": 0.8,
        "the target's own recall is still in it: take it off before you divide": 1.0,
        "only classes - 1 classes are left to average over": 0.748,
        "CA is a mean over the classes: "
        "times their number it is the sum from which to take off": 0.135,
        "this is in per cent: shares are given, and a share is wanted": 93.5,
    }
    same(
        "RA for a CA of 0.8, a recall of 0.26 and 5 classes",
        call(answer, 0.8, 0.26, 5),
        0.935,
        mistakes,
    )
    draws = {
        "for a CA of 0.95, a recall of 1 and 10 classes": ((0.95, 1.0, 10), 8.5 / 9),
        "where the target is never recognised": ((0.6, 0.0, 3), 0.9),
        "for two classes": ((0.7, 0.5, 2), 0.9),
    }
    again("RA", answer, draws)
    right(
        "Unless a trigger helps, an RA above CA says: "
        "the target's own class is recognised worse than the others."
    )


def symmetric(answer: Callable) -> None:
    """Check ``answer(logits, labels, alpha, beta)``: symmetric cross-entropy (n,), in nats."""
    logits, labels, alpha, beta = (
        torch.tensor([[2.0, 0, 1], [9, 0, 0], [200, 0, 0]]),
        torch.tensor([0, 1, 1]),
        0.3,
        0.5,
    )
    ce = cross_entropy(logits, labels, reduction="none")
    p, twice = (-ce).exp(), cross_entropy(logits.softmax(1), labels, reduction="none")
    rce = 4 * (1 - p)
    wanted = alpha * ce + beta * rce
    mistakes = {
        "alpha and beta are swapped: alpha is for cross-entropy": beta * ce + alpha * rce,
        "this is cross-entropy alone, alpha·CE: the reverse term is missing": alpha * ce,
        "this is the reverse term alone: alpha·CE is missing": beta * rce,
        "log 0 is to be -4; -9.21 is the logarithm of 0.0001": alpha * ce
        + beta * 9.21034 * (1 - p),
        "the reverse term has the wrong sign: log 0 is -4, and the sum has a minus": alpha * ce
        - beta * rce,
        "log 1 is 0, so the reverse term counts p of the *other* classes": alpha * ce
        + beta * 4 * p,
        "softmax twice: cross_entropy takes logits": alpha * twice + beta * rce,
        "cross-entropy is in nats here, this is in bits": alpha * ce / math.log(2) + beta * rce,
        "this is the mean of all samples: one loss a sample is wanted": wanted.mean(),
        "log 0 is left infinite: set it to -4": [torch.inf, torch.inf, torch.nan],
        "p of the last sample has become 0, and its logarithm infinite: take log_softmax": [
            *wanted[:2],
            torch.inf,
        ],
    }
    same("the loss", call(answer, logits, labels, alpha, beta), wanted, mistakes)
    draws = {
        "with alpha = 1, beta = 0": ((logits, labels, 1.0, 0.0), ce),
        "with alpha = 0, beta = 1": ((logits, labels, 0.0, 1.0), rce),
        "for two equal logits": ((torch.zeros(1, 2), labels[:1], 1.0, 1.0), [math.log(2) + 2]),
    }
    again("the loss", answer, draws)
    right(
        "Both fall as p of the label rises, so they rank alike. "
        "Near p = 0 the second one is flat: it pulls no more."
    )


def mixed(answer: Callable) -> None:
    """Check ``answer(images, labels, order, share)``: mixed images and mixed labels.

    They are (n, 3, h, w) and (n, classes).
    """
    images = torch.rand(3, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    labels, order, share = torch.eye(4)[:3], torch.tensor([2, 0, 1]), torch.tensor([0.2, 0.9, 0.6])
    form = "return two tensors: the mixed images, and the mixed labels"
    mixed_pair = several(call(answer, images, labels, order, share), 2, form)

    def blend(own, x):
        return own * x + (1 - own) * x[order]

    own, rows = torch.maximum(share, 1 - share), (-1, 1, 1, 1)
    mistakes = {
        "share as it was drawn: the larger of share and 1 - share is one's own": blend(
            share.view(rows), images
        ),
        "the *smaller* share is one's own here, so the other image is in front": blend(
            1 - own.view(rows), images
        ),
        "the images are not mixed": images,
        "share (n,) has met the columns: every image has one share, so view it as (n, "
        "1, 1, 1)": blend(own, images),
        "share (n, 1, 1) has met the channels: it wants to be (n, 1, 1, 1)": blend(
            own.view(-1, 1, 1), images
        ),
    }
    same("the images", mixed_pair[0], blend(own.view(rows), images), mistakes)
    mistakes = {
        "the labels are not mixed: an image that is two fifths star is so in its "
        "label as well": labels,
        "the labels have another share than the images: the larger one is one's own": blend(
            share[:, None], labels
        ),
    }
    same("the labels", mixed_pair[1], blend(own[:, None], labels), mistakes)
    pair, half = torch.arange(12.0).view(2, 3, 1, 2), torch.tensor([0.5, 0.0])
    mixed_images = torch.stack([pair.mean(0), pair[1]])
    draws = {
        "for shares of a half and 0": (
            (pair, torch.eye(2), torch.tensor([1, 0]), half),
            (mixed_images, [[0.5, 0.5], [0.0, 1.0]]),
        )
    }
    again(("the images", "the labels"), answer, draws)
    right(
        "As one's own share is a half at least, "
        "the first rows can still be counted as labelled, the rest as guessed."
    )


def contrast(answer: Callable) -> None:
    """Check ``answer(z, temperature)``: SimCLR's loss of projected features (2n, d).

    It is the mean over all views.
    """
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    unit, own, twin = normalize(z), torch.eye(6).bool(), torch.arange(6).roll(3)
    cosine, loss = unit @ unit.T, simclr.nt_xent(z, 0.5)
    near, without = cosine / 0.5, (cosine / 0.5).masked_fill(own, -math.inf)
    others = without.masked_fill(torch.eye(6)[twin].bool(), -math.inf).logsumexp(1)
    mistakes = {
        "a view is compared with itself: leave k = i out of the sum": cross_entropy(near, twin),
        "a similarity of 0 still counts as exp(0) = 1: put -inf on the diagonal": cross_entropy(
            near * ~own, twin
        ),
        "z has no unit length yet": cross_entropy(
            (z @ z.T / 0.5).masked_fill(own, -math.inf), twin
        ),
        "the temperature is missing": simclr.nt_xent(z, 1.0),
        "divide by the temperature, do not multiply": simclr.nt_xent(z, 2.0),
        "the partner of row i is row i + n (and back), not its neighbour": cross_entropy(
            without, torch.arange(6) ^ 1
        ),
        "only the first n rows are asked; the others have partners as well": cross_entropy(
            without[:3], twin[:3]
        ),
        "this is the sum over the views: take the mean": 6 * loss,
        "one loss a view: take their mean": cross_entropy(without, twin, reduction="none"),
        "the sum below leaves out i alone: the partner stays in it": (
            others - near[torch.arange(6), twin]
        ).mean(),
        "the sign is wrong: the loss is minus the logarithm": -loss,
    }
    same("the loss", call(answer, z, 0.5), loss, mistakes)
    draws = {
        "for a temperature of 0.1": ((z, 0.1), simclr.nt_xent(z, 0.1)),
        "for two images": ((z[:4], 1.0), simclr.nt_xent(z[:4], 1.0)),
    }
    again("the loss", answer, draws)
    right(
        "Every other view of the batch is a counterexample, so batches are large. "
        "And no label is read anywhere."
    )
