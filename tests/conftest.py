import os

import matplotlib
import pytest
import torch

from dlp_lib import BadNets, Context, Runtime, Split, poison, shapes10, wrn_16_1

matplotlib.use("Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # side by side: each has its share of the cores, and so have its children
    share = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ["OMP_NUM_THREADS"] = str(share)
    torch.set_num_threads(share)


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


@pytest.fixture(scope="session")
def same_state():
    """Whether two modules have the same weights and statistics, bit for bit."""

    def same(one, other):
        pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        return all(torch.equal(a, b) for a, b in pairs)

    return same
