"""Trials for the tests of sweeps: in a file of their own, which worker processes can import."""

import os
import sys
import time
from pathlib import Path

import torch

from dlp_lib import Context, Runtime, Split, Store, Supervised, supervised, wrn_16_1
from dlp_lib.data import shapes10
from dlp_lib.files import CannotWrite

_GENERATOR = (number for number in range(3))  # whose code has no fingerprint


def add(parameters):
    return {"sum": parameters["a"] + parameters["b"]}


def unreadable(parameters):
    return {"next": next(_GENERATOR)}


def noted(parameters):
    """Leave a line for every time it is run."""
    with (Path(parameters["store"]) / "runs.txt").open("a") as file:
        file.write(f"{parameters['a']}\n")
    time.sleep(0.2)
    return {"square": parameters["a"] ** 2}


def fails_once(parameters):
    mark = Path(parameters["store"]) / "failed"
    if parameters["a"] == 2 and not mark.exists():
        mark.touch()
        raise RuntimeError("no luck")
    return {"half": parameters["a"] / 2}


def returns(parameters):
    results = {
        "nested": {"x": {}},
        "nan": {"x": float("nan")},
        "taken": {"a": 1},
        "fine": {"x": None},
    }
    return results[parameters["a"]]


def dies(parameters):
    """Kill its own worker, the first time or always; or take a while."""
    mark = Path(parameters["store"]) / "died"
    first_time = parameters["a"] == "once" and not mark.exists()
    if parameters["a"] == "always" or first_time:
        mark.touch()
        os._exit(1)
    time.sleep(1)
    return {"alive": True}


def leaves(parameters):
    sys.exit("of its own accord")


def threads(parameters):
    return {"threads": torch.get_num_threads(), "inherited": os.environ["OMP_NUM_THREADS"]}


def doubled(parameters):
    return {"double": 2 * parameters["a"]}


def _with_defaults(parameters):
    return {"a": 5} | parameters


doubled.check = _with_defaults


def learns(parameters):
    """Train three epochs on a small set, the same for every ``a``; tell how many were computed."""
    stage, computed = _train(parameters["store"], 3, 0)
    return {"computed": computed, "loss": stage.history[-1]["loss"]}


def prefix(parameters):
    """Train some epochs, in no hurry: longer trials go on from where shorter ones have ended."""
    time.sleep(0.3)
    stage, _ = _train(parameters["store"], parameters["epochs"], parameters["seed"])
    return {"loss": stage.history[-1]["loss"]}


def _train(store, epochs, seed):
    images, labels = shapes10.draw(200, 8, 0, 0)
    split = Split.from_arrays(images, labels, shapes10.CLASSES)
    computed = []
    context = Context(Runtime(seed), Store(store), lambda *row: computed.append(row))
    stage = supervised(wrn_16_1(10, Runtime(seed)), split, epochs, Supervised(), context)
    return stage, len(computed)


def fills_the_disk(parameters):
    raise CannotWrite(28, "no room here")


def complains(parameters):
    raise ValueError(parameters["text"])
