"""MixMatch: its formulas, its batches, and which labels it reads."""

import copy
from dataclasses import replace

import pytest
import torch

from dlp_lib import Context, Runtime
from dlp_lib.defences import MixMatch, mixmatch


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_sharpening_against_loops(temperature):
    p = torch.tensor([[0.5, 0.3, 0.2], [0.0, 0.4, 0.6], [0.0, 1.0, 0.0]])
    expected = []
    for row in p.tolist():
        powers = [value ** (1 / temperature) for value in row]
        expected.append([power / sum(powers) for power in powers])
    torch.testing.assert_close(mixmatch.sharpen(p, temperature), torch.tensor(expected))


def test_mixup_against_loops():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 2, 2, generator=generator)
    labels = torch.rand(4, 5, generator=generator)
    order = torch.tensor([2, 0, 3, 1])
    share = torch.tensor([0.1, 0.9, 0.5, 1.0])
    mixed_images, mixed_labels = mixmatch.mixup(images, labels, order, share)
    for i, own in enumerate([0.9, 0.9, 0.5, 1.0]):
        j = order[i]
        torch.testing.assert_close(mixed_images[i], own * images[i] + (1 - own) * images[j])
        torch.testing.assert_close(mixed_labels[i], own * labels[i] + (1 - own) * labels[j])


@pytest.fixture
def trained_on(model, tampered):
    """A function of labels that returns the model after MixMatch, with every other one trusted."""

    def train(labels):
        trained = copy.deepcopy(model)
        split = replace(tampered[0], labels=labels)
        trusted = torch.arange(0, 300, 2)
        mixmatch.mixmatch(trained, split, trusted, MixMatch(epochs=2), Context(Runtime(0)))
        return trained

    return train


def test_lost_labels_do_not_matter_and_trusted_ones_do(trained_on, tampered, same_state):
    labels = tampered[0].labels
    wrong = (labels + 1) % 10
    others_wrong = wrong.clone()
    others_wrong[::2] = labels[::2]
    assert same_state(trained_on(labels), trained_on(others_wrong))
    assert not same_state(trained_on(labels), trained_on(wrong))


@pytest.mark.parametrize(("epoch", "weight"), [(1, 5.0), (2, 10.0), (3, 15.0)])
def test_the_unlabelled_matter_more_from_epoch_to_epoch(
    epoch, weight, model, tampered, monkeypatch
):
    tasks = []

    class NoStage:
        def expect_finite(self):
            return self

    def catch(task, *inputs, **options):
        tasks.append(task)
        return NoStage()

    monkeypatch.setattr(mixmatch, "run_task", catch)
    config = MixMatch(epochs=3, lambda_u=15.0, batch=64)
    trusted = torch.arange(100)
    mixmatch.mixmatch(model, tampered[0], trusted, config, Context(Runtime(0)))
    batches = list(tasks[0].batches(epoch))
    assert [batch.weight for batch in batches] == [weight] * 2
    sizes = [(len(batch.labelled.rows), len(batch.unlabelled.rows)) for batch in batches]
    assert sizes == [(64, 128), (36, 72)]
    assert [len(batch.share) for batch in batches] == [192, 108]
    rows = torch.cat([batch.labelled.rows for batch in batches])
    # Each trusted sample has its turn, exactly one time
    assert torch.equal(rows.sort().values, trusted)
