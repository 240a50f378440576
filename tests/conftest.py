import os
from pathlib import Path
from typing import NamedTuple

import matplotlib
import pytest
import torch
from longest_first import LONGEST_FIRST
from torch import nn

from dlp_lib import BadNets, Context, Runtime, Split, Supervised, poison, supervised, wrn_16_1
from dlp_lib.data import shapes10
from dlp_lib.defences import clean_part, defend

matplotlib.use("Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # workers and their children share the cores
    share = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ["OMP_NUM_THREADS"] = str(share)
    torch.set_num_threads(share)

TESTS = Path(__file__).resolve().parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One worker more than there are cores, as many tests wait for processes that they start."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items):
    """Put the files that take long before all others."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture
def runtime():
    return Runtime(seed=0)


@pytest.fixture
def context(runtime):
    return Context(runtime)


@pytest.fixture(scope="session")
def shapes():
    """300 training and 200 test images of 16×16."""
    parts = (shapes10.draw(n, 16, 0, part) for part, n in enumerate((300, 200)))
    return tuple(Split.from_arrays(images, labels, shapes10.CLASSES) for images, labels in parts)


@pytest.fixture(scope="session")
def tampered(shapes):
    """The tampered training set and its truth: 30 of 300 samples carry BadNets' trigger."""
    return poison(shapes[0], BadNets(), 0.1, Context(Runtime(0)))


@pytest.fixture
def model(runtime):
    return wrn_16_1(10, runtime)


class DefenceCase(NamedTuple):
    """What a defence may be given, and the test set that is left to judge it."""

    untrained: nn.Module
    trained: nn.Module  # for two epochs, on the tampered set
    tampered: Split
    clean: Split  # 60 images
    test: Split

    def defend(self, method, context=None, untrained=None, trained=None):
        """Run a method on what its threat model allows."""
        untrained = self.untrained if untrained is None else untrained
        trained = self.trained if trained is None else trained
        context = context or Context(Runtime(0))
        return defend(method, untrained, trained, self.tampered, self.clean, context)


@pytest.fixture(scope="session")
def case(shapes, tampered):
    context = Context(Runtime(0))
    untrained = wrn_16_1(10, context.runtime)
    trained = wrn_16_1(10, context.runtime)
    supervised(trained, tampered[0], 2, Supervised(), context)
    clean, test = clean_part(*shapes, context, 0.2)
    return DefenceCase(untrained, trained, tampered[0], clean, test)


@pytest.fixture(scope="session")
def same_state():
    """Whether two modules have the same weights and statistics, bit for bit."""

    def same(one, other):
        pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)

    return same
