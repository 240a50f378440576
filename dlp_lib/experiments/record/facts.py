"""Columns that several tables have."""

import torch
from torch import Tensor

from ...attacks import Truth
from ...data import Split
from ...defences import Result
from ...evaluation import filter_precision
from ...training import accuracy


def subset_accuracies(logits: Tensor, tampered: Split, poisoned: Tensor) -> dict[str, float]:
    """Return how well the clean and the poisoned subset are learned.

    Args:
        logits: (n, classes) of all tampered samples.
        tampered: the training set, on the device of the logits.
        poisoned: (n,) bool.

    Returns:
        "clean" and, if there is any, "poisoned": training accuracy of that subset. "mistaken": the
        share of the clean samples of other classes that are taken for class 0.
    """
    target = torch.zeros_like(tampered.labels)
    others = ~poisoned & (tampered.labels != 0)
    shares = {"clean": accuracy(logits, tampered.labels, ~poisoned)}
    if poisoned.any():
        shares["poisoned"] = accuracy(logits, tampered.labels, poisoned)
    shares["mistaken"] = accuracy(logits, target, others)
    return shares


def e1_facts(agreed: int | None, result: Result) -> dict:
    """Return the E1 that DLP took, and whether the suspects' agreement gave it."""
    return {"e1": result.stages["SL"].selected_block, "agreed": agreed is not None}


def filter_facts(result: Result, truth: Truth) -> dict[str, float]:
    """Return the poisoned share of DLP's suspects, and the clean share of its trusted samples."""
    selection = result.selection
    return filter_precision(selection.suspected, selection.trusted, truth)
