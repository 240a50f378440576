"""Every filter against a plain reference, and what all of them must do."""

import math
import warnings

import numpy as np
import pytest
import torch

from dlp_lib import FILTERS, Outputs, entropy, logits_and_features, predict


def test_entropy_against_a_plain_reference():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0)) * 5
    for row, value in zip(logits, entropy(logits), strict=True):
        powers = [math.exp(float(z)) for z in row]
        shares = [power / sum(powers) for power in powers]
        expected = -sum(share * math.log2(share) for share in shares)
        assert float(value) == pytest.approx(expected, abs=1e-5)


def test_entropy_is_in_bits_and_finite_at_its_ends():
    values = entropy(torch.tensor([[0.0] * 8, [1000.0] + [0] * 7, [50.0, 50] + [-1000] * 6]))
    assert values.tolist() == pytest.approx([3, 0, 1], abs=1e-6)


each_filter = pytest.mark.parametrize("name", FILTERS)


def plain_entropy(outputs, labels):
    scores = []
    for row in outputs.logits.double():
        scores.append(sum(p * math.log2(p) for p in row.softmax(0).tolist()))
    return scores


def plain_loss(outputs, labels):
    scores = []
    for row, label in zip(outputs.logits.double(), labels, strict=True):
        scores.append(math.log(row.softmax(0)[label]))
    return scores


def plain_spectral_signatures(outputs, labels):
    """Find the main axis by power iteration on each class's covariance."""
    scores = [0.0] * len(labels)
    for label in set(labels.tolist()):
        rows = [i for i, other in enumerate(labels.tolist()) if other == label]
        features = outputs.features[rows].double().numpy()
        centred = features - features.mean(0)
        axis = np.ones(centred.shape[1])
        for _ in range(2000):
            axis = centred.T @ (centred @ axis)
            axis /= np.linalg.norm(axis)
        for i, row in zip(rows, centred, strict=True):
            scores[i] = float(row @ axis) ** 2
    return scores


PLAIN = {
    "entropy": plain_entropy,
    "loss": plain_loss,
    "spectral signatures": plain_spectral_signatures,
}


def test_spectral_signatures_are_exact_for_larger_classes():
    """Of a class of 600 without a clear main axis, against the singular value decomposition."""
    features = torch.randn(600, 64, generator=torch.Generator().manual_seed(6))
    centred = features.double() - features.double().mean(0)
    decomposition = torch.linalg.svd(centred, full_matrices=False)
    plain = (centred @ decomposition.Vh[0]) ** 2
    outputs = Outputs(torch.zeros(600, 2), features)
    scores = FILTERS["spectral signatures"](outputs, torch.zeros(600).long())
    torch.testing.assert_close(scores.double(), plain, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def outputs():
    """Of 60 samples of three classes; the seven ``odd`` ones of class 1 form a cluster.

    The model is sure of those seven.
    """
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(60, 3, generator=generator)
    features = torch.randn(60, 16, generator=generator)
    odd = odd_samples()
    features[odd] = features[odd] / 10 + 4
    logits[odd, 1] += 9
    return Outputs(logits, features)


@pytest.fixture(scope="module")
def labels():
    return torch.arange(60) % 3


def odd_samples():
    return torch.arange(60)[1::3][:7]


@pytest.mark.parametrize("name", PLAIN)
def test_scores_against_a_plain_reference(name, outputs, labels):
    scores = FILTERS[name](outputs, labels).tolist()
    assert scores == pytest.approx(PLAIN[name](outputs, labels), rel=1e-4, abs=1e-6)


def test_activation_clustering_by_hand():
    """Of two clusters on a line: how much nearer a sample is to the smaller one's centre."""
    line = torch.tensor([0.0, 1, 2, 3, 4, 20, 22])  # centres 2 and 21
    outputs = Outputs(torch.zeros(7, 2), line[:, None])
    scores = FILTERS["activation clustering"](outputs, torch.zeros(7).long())
    to_large = (line - 2).abs()
    to_small = (line - 21).abs()
    torch.testing.assert_close(scores, (to_large - to_small) / (to_large + to_small))


@each_filter
def test_the_cluster_is_suspected(name, outputs, labels):
    scores = FILTERS[name](outputs, labels)
    assert scores.shape == labels.shape
    assert scores.dtype == torch.float32
    assert set(scores.topk(7).indices.tolist()) == set(odd_samples().tolist())


@each_filter
def test_scores_are_in_the_samples_own_order(name, outputs, labels):
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    reordered = Outputs(outputs.logits[order], outputs.features[order])
    scores = FILTERS[name](reordered, labels[order])
    same = scores.isclose(FILTERS[name](outputs, labels)[order], atol=1e-5)
    assert same[labels[order] == 1].all()
    if name != "activation clustering":  # in the classes without clusters, k-means finds any two
        assert same.all()


@each_filter
def test_tiny_and_constant_classes_have_finite_scores(name):
    outputs = Outputs(torch.zeros(9, 4), torch.randn(9, 4))
    outputs.features[:4] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn says where it finds fewer than two clusters
        scores = FILTERS[name](outputs, torch.tensor([0, 0, 0, 0, 1, 1, 2, 3, 3]))
    assert scores.isfinite().all()
    if name == "activation clustering":
        assert scores[4:].tolist() == [0] * 5  # one or two samples are no clusters


@pytest.mark.parametrize(("width", "reduced"), [(16, 10), (4, 4)])
def test_activation_clustering_takes_the_ten_widest_dimensions(width, reduced, monkeypatch):
    from sklearn import cluster

    inputs = []
    fit = cluster.KMeans.fit

    def spy(self, features):
        inputs.append(features)
        return fit(self, features)

    monkeypatch.setattr(cluster.KMeans, "fit", spy)
    features = torch.randn(40, width, generator=torch.Generator().manual_seed(5))
    FILTERS["activation clustering"](Outputs(torch.zeros(40, 2), features), torch.zeros(40).long())
    assert inputs[0].shape == (40, reduced)
    centred = features.double() - features.double().mean(0)
    widest = torch.linalg.svdvals(centred)[:reduced]
    assert (inputs[0] ** 2).sum() == pytest.approx(widest.square().sum().item())


def test_one_pass_gives_logits_and_features(shapes, model):
    images = shapes[0].images[:30]
    model.train()
    outputs = logits_and_features(model, images)
    assert model.training
    assert torch.equal(outputs.logits, predict(model, images))
    assert torch.equal(model.eval().head(outputs.features), outputs.logits)
    assert outputs.features.shape == (30, 64)
    with pytest.raises(TypeError, match="Linear lacks features"):
        logits_and_features(torch.nn.Linear(3, 2), images)
