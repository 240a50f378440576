"""Anti-backdoor learning: its loss, and what it isolates."""

import copy

import pytest
import torch
from torch.nn import functional

from dlp_lib import Context, Unlearn, logits_and_features
from dlp_lib.defences import ABL, Training, abl

SHORT = Training(batch=16, epochs=2)
QUICK = ABL(
    isolation=SHORT,
    training=SHORT,
    isolated=0.05,
    unlearning=Unlearn(reestimate=50),
    unlearn_epochs=2,
)


@pytest.mark.parametrize(
    ("per_sample", "expected", "signs"),
    [(True, (-0.2 - 0.4 + 0.9 + 1.7) / 4, [-1, -1, 1, 1]), (False, 0.8, [1, 1, 1, 1])],
)
def test_a_loss_below_the_bound_is_raised(per_sample, expected, signs):
    losses = torch.tensor([0.2, 0.4, 0.9, 1.7], requires_grad=True)
    found = abl.bounded(losses, 0.5, per_sample)
    found.backward()
    assert found.item() == pytest.approx(expected)
    assert losses.grad.tolist() == pytest.approx([sign / 4 for sign in signs])


def test_all_losses_of_a_batch_are_raised_where_their_mean_is_low():
    losses = torch.tensor([0.1, 0.2, 0.9], requires_grad=True)
    abl.bounded(losses, 0.5, per_sample=False).backward()
    assert losses.grad.tolist() == pytest.approx([-1 / 3] * 3)


def test_the_samples_of_lowest_loss_are_unlearned_and_the_others_are_trained_on(case, monkeypatch):
    trained_on = {}
    unlearned = []
    finetune = abl.finetune
    unlearn = abl.unlearn

    def spy_on_finetune(name, model, data, *rest):
        trained_on[name] = data
        return finetune(name, model, data, *rest)

    def spy_on_unlearn(model, tampered, suspected, *rest):
        unlearned.append(suspected)
        return unlearn(model, tampered, suspected, *rest)

    monkeypatch.setattr(abl, "finetune", spy_on_finetune)
    monkeypatch.setattr(abl, "unlearn", spy_on_unlearn)
    result = QUICK.run(case.untrained, case.tampered, Context())
    model = copy.deepcopy(case.untrained)
    result.stages["isolation"].load(model)
    logits = logits_and_features(model, case.tampered.images).logits
    losses = functional.cross_entropy(logits, case.tampered.labels, reduction="none")
    lowest = set(losses.argsort()[:15].tolist())
    assert set(unlearned[0].tolist()) == lowest
    others = case.tampered.subset(sorted(set(range(300)) - lowest))
    assert torch.equal(trained_on["ABL training"].images, others.images)
    assert torch.equal(trained_on["ABL training"].labels, others.labels)


def test_too_small_a_share_is_refused_before_any_training(case):
    context = Context(progress=lambda *_: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=r"isolated=0.003: no sample of 300; .* at least 0.00333"):
        ABL(isolated=0.003).run(case.untrained, case.tampered, context)


def test_a_class_may_have_one_image(case):
    """ABL isolates by the loss alone, and trusts no sample of any class."""
    members = (case.tampered.labels == 9).nonzero()[:, 0]
    stays = torch.ones_like(case.tampered.labels, dtype=torch.bool)
    stays[members[1:]] = False
    result = QUICK.run(case.untrained, case.tampered.subset(stays), Context())
    assert result.total("images") > 0
