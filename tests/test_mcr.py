"""Mode connectivity repair: the curve, its point, and what is trained."""

import copy

import pytest
import torch
from torch import nn

from dlp_lib import Context
from dlp_lib.defences import MCR, Training, mcr


@pytest.mark.parametrize(
    ("t", "shares"), [(0, (1, 0, 0)), (0.5, (0.25, 0.5, 0.25)), (1, (0, 0, 1))]
)
def test_the_curve_starts_and_ends_at_the_models_and_passes_near_the_bend(t, shares):
    start = nn.Linear(3, 2)
    bend = nn.Linear(3, 2)
    end = nn.Linear(3, 2)
    found = mcr.bezier(mcr.weights(start), mcr.weights(end), bend, t)
    for name, weight in found.items():
        parts = [model.get_parameter(name) for model in (start, bend, end)]
        plain = sum(share * part for share, part in zip(shares, parts, strict=True))
        assert torch.allclose(weight, plain)


def test_the_point_is_the_one_nearest_to_the_middle_that_is_good_enough():
    assert mcr.middle({0.25: 0.9, 0.5: 0.7, 0.75: 0.8}, 0.05) == 0.25
    assert mcr.middle({0.25: 0.9, 0.5: 0.7, 0.75: 0.8}, 0.3) == 0.5


def test_an_untrained_bend_is_halfway_between_the_ends(case):
    end = Training(batch=16, epochs=2)
    curve = Training(batch=16, epochs=0)
    result = MCR(end=end, curve=curve, points=1).run(case.trained, case.clean, Context())
    fine_tuned = copy.deepcopy(case.trained)
    result.stages["MCR end"].load(fine_tuned)
    for name, weight in result.model.named_parameters():  # the one point is t = ½
        ends = case.trained.get_parameter(name) + fine_tuned.get_parameter(name)
        assert torch.allclose(weight, ends / 2, atol=1e-6)
