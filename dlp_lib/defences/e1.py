"""How a defender may choose E1, the epochs of supervised learning, and when to doubt the choice."""

import torch
from torch import Tensor
from torch.nn import functional

from ..checking import check_int, check_number, check_type
from ..data.split import Split
from ..training.inference import accuracy
from ..training.stage import Stage
from .bearers import PixelCovariance, find_bearers
from .filters import entropy
from .selection import expect_scores, most_suspicious, selection_sizes

_HARDEST = 0.1  # share of a class: the samples that the model is least sure of; ours
_DOUBTFUL = 0.75  # accuracy on those, relative to that on other classes; ours


class AgreedE1(int):
    """The epoch that ``agreed_e1`` chose: a number like any other, with what speaks against it."""

    label: int  # the class that most suspects have
    hardest: float  # accuracy on the tenth of that class that the model is least sure of
    others: float  # accuracy on the samples of all other classes
    # Whether ``hardest`` is at least three quarters of ``others``: the class is easy as a whole.
    # Then the suspects may be its clean samples, and nothing that a defender sees tells
    is_doubtful: bool

    def __new__(cls, epoch: int, label: int, hardest: float, others: float) -> "AgreedE1":
        """Return an epoch with what is known of its suspects' class."""
        chosen = super().__new__(cls, epoch)
        chosen.label = label
        chosen.hardest = hardest
        chosen.others = others
        chosen.is_doubtful = hardest >= _DOUBTFUL * others
        return chosen


def agreement(suspicions: list[Tensor], tampered: Split, gamma: float, window: int = 3) -> Tensor:
    """Return for every epoch how lasting the suspicion of one class is.

    It is the largest share that one class has of the suspects, as a mean over the epoch and the
    ``window`` - 1 epochs before it. An epoch before the first one counts as 0. Which clean samples
    are the easiest changes from epoch to epoch, while poison with one target stays. It is not the
    paper's, and does not detect all-to-all attacks.

    Args:
        suspicions: a score (n,) per sample for every epoch.
        tampered: the training set.
        gamma: filtering rate of the suspects.
        window: number of epochs in the mean, at least 1.

    Returns:
        (epochs,) shares in [0, 1].
    """
    count, _ = selection_sizes(tampered, gamma, "per class")
    check_int("window", window, 1)
    if len(suspicions) == 0:
        raise ValueError("suspicions: there are none; allowed are scores of one epoch or more")
    by_epoch = []
    for epoch, suspicion in enumerate(suspicions, 1):
        expect_scores(f"suspicions of epoch {epoch}", suspicion, len(tampered))
        by_epoch.append(most_suspicious(suspicion, count))
    labels = tampered.labels[torch.stack(by_epoch)]  # (epochs, count)
    classes = len(tampered.classes)
    shares = functional.one_hot(labels, classes).double().mean(1)  # (epochs, classes)
    before = shares.new_zeros(window - 1, classes)
    windows = torch.cat([before, shares]).unfold(0, window, 1)  # (epochs, classes, window)
    return windows.mean(-1).amax(1)


def agreed_e1(
    stage: Stage, tampered: Split, gamma: float, threshold: float = 0.98
) -> AgreedE1 | None:
    """Choose E1 as a defender may: the first epoch at which the suspects' agreement lasts.

    The paper does not say how to choose E1; see ``agreement``.

    Suspects also agree where they are clean, if the model learns one class before all others. So
    the answer has a flag, ``is_doubtful``. Poison makes some samples of a class easy, and leaves
    the others as hard as they were. The flag is set where even the hardest tenth of the suspects'
    class is recognised at least three quarters as often as the samples of other classes. Such a
    class is easy as a whole, and the suspects may be its clean samples. DLP can then raise ASR: it
    unlearns clean samples, and may trust poisoned ones. Another gamma, or a later E1, may give
    other suspects. A choice without the flag can be wrong as well.

    Args:
        stage: a recorded stage 1.
        tampered: its training set.
        gamma: filtering rate of the suspects.
        threshold: from which agreement on counts, above 0 and at most 1.

    Returns:
        The epoch, with the flag; or None where no epoch reaches the threshold, as it should be
        without poison.

    Raises:
        ValueError: for a gamma or a threshold that is not allowed.
        TypeError: for arguments of other types.
    """
    threshold = check_number("threshold", threshold, above=0, most=1)
    check_type("stage", stage, Stage)
    check_type("tampered", tampered, Split)
    tampered = tampered.to("cpu")  # where recorded logits are
    logits_by_epoch = stage.logits_by_block()
    suspicions = [-entropy(logits) for logits in logits_by_epoch]
    lasting = agreement(suspicions, tampered, gamma) >= threshold
    if not lasting.any():
        return None
    epoch = int(lasting.double().argmax()) + 1
    suspicion = suspicions[epoch - 1]
    count, _ = selection_sizes(tampered, gamma, "per class")
    suspected = most_suspicious(suspicion, count)
    label = int(tampered.labels[suspected].mode().values)
    logits = logits_by_epoch[epoch - 1]
    hardest = accuracy_on_hardest(logits, suspicion, tampered.labels, label)
    others = accuracy(logits, tampered.labels, tampered.labels != label)
    return AgreedE1(epoch, label, hardest, others)


def revealed_e1(stage: Stage, tampered: Split, gamma: float, first: int = 1) -> int | None:
    """Choose E1 as a defender may: the first epoch at which the suspects show a trigger.

    A second sign beside lasting agreement: what the suspects have in common in their pixels; see
    ``bearers.find_bearers``. Clean suspects of an easy class have little in common. So it is silent
    where agreement misleads. It is silent as well where a trigger moves pixels, or lies at another
    place in each image. There it tells nothing.

    Args:
        stage: a recorded stage 1.
        tampered: its training set.
        gamma: filtering rate of the suspects.
        first: the first epoch that is looked at, such as the agreed one.

    Returns:
        The epoch, or None where no epoch's suspects show a trigger.

    Raises:
        ValueError: for a gamma or a first epoch that is not allowed.
        TypeError: for arguments of other types.
    """
    check_type("stage", stage, Stage)
    check_type("tampered", tampered, Split)
    first = check_int("first", first, 1)
    tampered = tampered.to("cpu")  # where recorded logits are
    count, _ = selection_sizes(tampered, gamma, "per class")
    pixels = PixelCovariance(tampered.images)
    for epoch in range(first, len(stage.history) + 1):
        suspicion = -entropy(stage.logits(epoch))
        suspected = most_suspicious(suspicion, count)
        if find_bearers(tampered, suspected, pixels).is_clear:
            return epoch
    return None


def accuracy_on_hardest(logits: Tensor, suspicion: Tensor, labels: Tensor, label: int) -> float:
    """Return the accuracy on the tenth of a class that is the least suspicious.

    Args:
        logits: (n, classes).
        suspicion: (n,) minus the entropy of every sample.
        labels: (n,).
        label: of the class.
    """
    members = (labels == label).nonzero()[:, 0]
    count = max(1, round(_HARDEST * len(members)))
    hardest = members[suspicion[members].argsort(stable=True)[:count]]
    return accuracy(logits[hardest], labels[hardest])
