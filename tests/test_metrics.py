import json
from dataclasses import asdict

import pytest
import torch

from dlp_lib import BadNets, Metrics, Split, Truth, accuracy, evaluate, filter_precision, predict
from dlp_lib.models.interface import to_float
from dlp_lib.training.inference import collapsed


class Corner(torch.nn.Module):
    """Answers class 0 where the last pixel is white, else the class that the first pixel spells."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.norm = torch.nn.BatchNorm2d(3)

    def forward(self, images):
        spelt = (images[:, 0, 0, 0] * 255).round().long()
        answer = torch.where(images[:, 0, -1, -1] == 1, 0, spelt)
        return 5 * torch.nn.functional.one_hot(answer, 4).float()


@pytest.fixture
def test_set():
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    images = torch.zeros(8, 3, 8, 8, dtype=torch.uint8)
    images[:, :, 0, 0] = labels.to(torch.uint8)[:, None]
    images[3, :, 0, 0] = 2  # one that looks like another class
    return Split(images, labels, tuple("abcd"))


def test_ca_asr_and_ra_by_hand(test_set):
    metrics = evaluate(Corner(), test_set, BadNets(target=0))
    assert (metrics.ca, metrics.asr, metrics.ra) == (7 / 8, 1.0, 0.0)
    assert (metrics.n_clean, metrics.n_triggered) == (
        8,
        6,
    )  # images of the target class are no victims
    assert not metrics.collapsed


def test_a_model_that_ignores_the_trigger(test_set):
    model = Corner()
    model.forward = lambda images: torch.nn.functional.one_hot(
        (images[:, 0, 0, 0] * 255).round().long(), 4
    ).float()
    metrics = evaluate(model, test_set, BadNets(target=0))
    assert (metrics.asr, metrics.ra) == (0.0, 5 / 6)


def test_all_to_all_makes_a_victim_of_every_image(test_set):
    metrics = evaluate(Corner(), test_set, BadNets(target="all-to-all"))
    assert (metrics.asr, metrics.ra, metrics.n_triggered) == (2 / 8, 2 / 8, 8)  # it answers 0


@pytest.mark.parametrize("attack", [None, BadNets(target=0)])
def test_recall_is_told_class_by_class(test_set, attack):
    metrics = evaluate(Corner(), test_set, attack)
    assert metrics.recalls == (1.0, 0.5, 1.0, 1.0)
    assert metrics.least_recall == 0.5


def test_a_class_without_test_images_has_no_recall(test_set):
    metrics = evaluate(Corner(), test_set.subset(test_set.labels != 2))
    assert metrics.recalls == (1.0, 0.5, None, 1.0)
    assert metrics.least_recall == 0.5


def test_metrics_come_back_from_json_and_those_without_recalls_are_read():
    metrics = Metrics(0.5, 0.25, 0.1, 10, 9, False, (1.0, None))
    assert Metrics(**json.loads(json.dumps(asdict(metrics)))) == metrics
    older = {name: value for name, value in asdict(metrics).items() if name != "recalls"}
    assert Metrics(**older).recalls == ()
    assert Metrics(**older).least_recall is None


def test_without_an_attack_only_ca_is_known(test_set):
    metrics = evaluate(Corner(), test_set)
    assert (metrics.ca, metrics.asr, metrics.ra, metrics.n_triggered) == (7 / 8, None, None, 0)


def test_a_constant_prediction_is_a_collapse_and_not_a_defence(test_set):
    model = Corner()
    model.forward = lambda images: torch.tensor([0.0, 0, 0, 1]).expand(len(images), 4)
    metrics = evaluate(model, test_set, BadNets(target=0))
    assert metrics.asr == 0
    assert metrics.collapsed


def test_bad_targets_and_test_sets_are_refused(test_set):
    with pytest.raises(ValueError, match="target=4"):
        evaluate(Corner(), test_set, BadNets(target=4))
    with pytest.raises(ValueError, match="no image of another class"):
        evaluate(Corner(), test_set.subset(test_set.labels == 1), BadNets(target=1))


@pytest.mark.parametrize("training", [True, False])
def test_predict_keeps_order_and_mode_and_scores_in_evaluation_mode(training, model, shapes):
    images = torch.cat([shapes[0].images, shapes[1].images])  # more than one batch
    model.train(training)
    logits = predict(model, images)
    assert model.training == training
    model.eval()
    alone = torch.cat([model(to_float(image[None])) for image in images[::50]])
    torch.testing.assert_close(logits[::50], alone.detach(), rtol=1e-4, atol=1e-4)
    assert logits.shape == (500, 10)
    assert logits.dtype == torch.float32


def test_accuracy_of_a_subset():
    logits = torch.eye(3)
    assert accuracy(logits, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)
    assert accuracy(logits, torch.tensor([0, 1, 1]), torch.tensor([False, False, True])) == 0


def test_filter_precision_counts_both_parts():
    truth = Truth(torch.tensor([True, True, False, False]), torch.zeros(4), candidates=4)
    precision = filter_precision(torch.tensor([0, 2]), torch.tensor([1, 2, 3, 3]), truth)
    assert precision == {"suspected": 0.5, "trusted": 0.75}


def test_a_frequent_label_hides_no_collapse():
    labels = torch.tensor([0] * 80 + [1] * 10 + [2] * 10)
    constant = torch.tensor([[1.0, 0, 0]]).expand(100, 3)
    assert collapsed(constant, labels)  # although 80 % of the answers are right
    some = constant.clone()
    some[80:85] = torch.tensor([0.0, 1, 0])  # half of class 1 as well
    assert not collapsed(some, labels)


@pytest.mark.parametrize(
    ("recalls", "collapsed", "forgets"),
    [
        ((0.44, 0.9, 0.9), False, True),
        ((0.46, 0.9, 0.9), False, False),
        ((0.0, 0.9, None), False, True),  # the test set has no image of the last class
        ((None, 0.9, 0.9), False, False),
        ((0.0, 1.0, 0.0), True, False),
        ((), False, False),
    ],
)
def test_a_class_that_is_given_up_is_noticed(recalls, collapsed, forgets):
    assert Metrics(0.7, 0.0, 0.7, 10, 9, collapsed, recalls).forgets(0) is forgets
