"""Fine-pruning: the least active feature goes first, until validation accuracy suffers."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from dlp_lib import logits_and_features
from dlp_lib.defences import FP, Training, fp

SHORT = Training(batch=16, epochs=2)


class ColourMeans(nn.Module):
    """Features: the mean of each colour channel; class: the largest of the three."""

    def __init__(self):
        super().__init__()
        self.head = nn.Identity()

    def features(self, x):
        return x.mean((2, 3))

    def forward(self, x):
        return self.head(self.features(x))


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (0.04, [1, 1, 0]),
        (0.49, [1, 1, 0]),  # without its channel, class 1 is taken for class 0
        (0.5, [0, 0, 0]),  # with no channel left, all images are taken for class 0
    ],
)
def test_silent_channels_are_pruned_until_accuracy_suffers(allowed, expected, shapes):
    images = torch.zeros(10, 3, 8, 8, dtype=torch.uint8)
    images[:5, 0] = 200
    images[5:, 1] = 100  # the third channel is always silent
    split = replace(shapes[0], images=images, labels=torch.tensor([0] * 5 + [1] * 5))
    model = ColourMeans()
    order = logits_and_features(model, images).features.mean(0).argsort(stable=True)
    assert order.tolist() == [2, 1, 0]
    assert fp.prune(model, order, split, allowed).tolist() == expected


def test_pruned_features_stay_zero_through_fine_tuning(case):
    result = case.defend(FP(training=SHORT, allowed=0.3))
    outputs = logits_and_features(result.model, case.test.images)
    is_pruned = result.model.mask == 0
    assert is_pruned.any()
    assert not outputs.features[:, is_pruned].any()
    assert torch.equal(outputs.logits, result.model.model.head(outputs.features))
