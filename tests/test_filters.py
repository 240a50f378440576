import math
import warnings

import numpy as np
import pytest
import torch

from dlp_lib import FILTERS, Outputs, Split, entropy, logits_and_features, predict, select
from dlp_lib.defences.filters import agreement


def split(labels, classes=None):
    images = torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8)
    return Split.from_arrays(images, labels, classes)


def test_entropy_against_a_plain_reference():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0)) * 5
    for row, value in zip(logits, entropy(logits), strict=True):
        powers = [math.exp(float(z)) for z in row]
        shares = [power / sum(powers) for power in powers]
        assert float(value) == pytest.approx(-sum(p * math.log2(p) for p in shares), abs=1e-5)


def test_entropy_is_in_bits_and_finite_at_its_ends():
    values = entropy(torch.tensor([[0.0] * 8, [1000.0] + [0] * 7, [50.0, 50] + [-1000] * 6]))
    assert values.tolist() == pytest.approx([3, 0, 1], abs=1e-6)


each_filter = pytest.mark.parametrize("name", FILTERS)


def plain_entropy(seen, labels):
    return [sum(p * math.log2(p) for p in row.softmax(0).tolist()) for row in seen.logits.double()]


def plain_loss(seen, labels):
    return [
        math.log(row.softmax(0)[label])
        for row, label in zip(seen.logits.double(), labels, strict=True)
    ]


def plain_spectral_signatures(seen, labels):
    """The main axis by power iteration on each class's covariance."""
    scores = [0.0] * len(labels)
    for label in set(labels.tolist()):
        rows = [i for i, other in enumerate(labels.tolist()) if other == label]
        centred = seen.features[rows].double().numpy()
        centred = centred - centred.mean(0)
        axis = np.ones(centred.shape[1])
        for _ in range(2000):
            axis = centred.T @ (centred @ axis)
            axis /= np.linalg.norm(axis)
        for i, row in zip(rows, centred, strict=True):
            scores[i] = float(row @ axis) ** 2
    return scores


def test_spectral_signatures_are_exact_for_larger_classes():
    """Of a class of 600, with no axis that stands out, against the singular value decomposition itself."""
    features = torch.randn(600, 64, generator=torch.Generator().manual_seed(6))
    centred = features.double() - features.double().mean(0)
    plain = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[0]) ** 2
    scores = FILTERS["spectral signatures"](
        Outputs(torch.zeros(600, 2), features), torch.zeros(600).long()
    )
    torch.testing.assert_close(scores.double(), plain, rtol=1e-3, atol=1e-5)


PLAIN = {
    "entropy": plain_entropy,
    "loss": plain_loss,
    "spectral signatures": plain_spectral_signatures,
}


@pytest.fixture(scope="module")
def seen():
    """60 samples of three classes; in class 1, seven lie in a heap of their own, and the model is sure of them."""
    generator = torch.Generator().manual_seed(1)
    logits, features = (torch.randn(60, size, generator=generator) for size in (3, 16))
    labels = torch.arange(60) % 3
    odd = (labels == 1).nonzero()[:7, 0]
    features[odd] = features[odd] / 10 + 4
    logits[odd, 1] += 9
    return Outputs(logits, features), labels, odd


@pytest.mark.parametrize("name", PLAIN)
def test_scores_against_a_plain_reference(name, seen):
    outputs, labels, _ = seen
    assert FILTERS[name](outputs, labels).tolist() == pytest.approx(
        PLAIN[name](outputs, labels), rel=1e-4, abs=1e-6
    )


def test_activation_clustering_by_hand():
    """Two heaps on a line: a sample's score tells how much nearer it is to the smaller heap's centre."""
    line = torch.tensor([0.0, 1, 2, 3, 4, 20, 22])  # centres 2 and 21
    scores = FILTERS["activation clustering"](
        Outputs(torch.zeros(7, 2), line[:, None]), torch.zeros(7).long()
    )
    expected = [(abs(x - 2) - abs(x - 21)) / (abs(x - 2) + abs(x - 21)) for x in line.tolist()]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)


@each_filter
def test_the_heap_is_suspected(name, seen):
    outputs, labels, odd = seen
    scores = FILTERS[name](outputs, labels)
    assert scores.shape == labels.shape
    assert scores.dtype == torch.float32
    assert set(scores.topk(7).indices.tolist()) == set(odd.tolist())


@each_filter
def test_scores_are_in_the_samples_own_order(name, seen):
    outputs, labels, _ = seen
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    shuffled = FILTERS[name](Outputs(outputs.logits[order], outputs.features[order]), labels[order])
    same = shuffled.isclose(FILTERS[name](outputs, labels)[order], atol=1e-5)
    assert same[labels[order] == 1].all()
    assert (
        same.all() or name == "activation clustering"
    )  # where there are no clusters, k-means finds some or other


@each_filter
def test_tiny_and_constant_classes_have_finite_scores(name):
    outputs = Outputs(torch.zeros(9, 4), torch.randn(9, 4))
    outputs.features[:4] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn finds fewer clusters than two, and says so
        scores = FILTERS[name](outputs, torch.tensor([0, 0, 0, 0, 1, 1, 2, 3, 3]))
    assert scores.isfinite().all()
    if name == "activation clustering":
        assert scores[4:].tolist() == [0] * 5  # one or two samples are no clusters


@pytest.mark.parametrize(("width", "reduced"), [(16, 10), (4, 4)])
def test_activation_clustering_looks_at_ten_dimensions(width, reduced, monkeypatch):
    from sklearn import cluster

    fit, seen = cluster.KMeans.fit, []
    monkeypatch.setattr(cluster.KMeans, "fit", lambda self, x: seen.append(x) or fit(self, x))
    features = torch.randn(40, width, generator=torch.Generator().manual_seed(5))
    FILTERS["activation clustering"](Outputs(torch.zeros(40, 2), features), torch.zeros(40).long())
    assert seen[0].shape == (40, reduced)
    total = (
        torch.linalg.svdvals(features.double() - features.double().mean(0))[:reduced].square().sum()
    )
    assert (seen[0] ** 2).sum() == pytest.approx(total.item())  # the widest dimensions, none other


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


def plain_agreement(suspicions, labels, n, window):
    values = []
    for last in range(len(suspicions)):
        means = []
        for label in set(labels):
            shares = []
            for epoch in range(last - window + 1, last + 1):
                order = sorted(range(len(labels)), key=lambda i: (-suspicions[epoch][i], i))[:n]
                shares.append(sum(labels[i] == label for i in order) / n if epoch >= 0 else 0)
            means.append(sum(shares) / window)
        values.append(max(means))
    return values


@pytest.mark.parametrize("window", [1, 2, 3])
def test_agreement_against_a_plain_reference(window):
    generator = torch.Generator().manual_seed(4)
    labels = (torch.arange(60) % 3).tolist()
    suspicions = [torch.randint(9, (60,), generator=generator).float() for _ in range(5)]
    ours = agreement(suspicions, split(labels), 0.2, window).tolist()
    assert ours == pytest.approx(
        plain_agreement([s.tolist() for s in suspicions], labels, 12, window)
    )


def test_agreement_wants_one_class_for_several_epochs():
    tampered = split([0] * 10 + [1] * 10)
    first, second = torch.arange(20.0), -torch.arange(20.0)  # suspect class 1, class 0
    assert agreement([first, first, first, second], tampered, 0.1).tolist() == pytest.approx(
        [1 / 3, 2 / 3, 1, 2 / 3]
    )
    assert agreement([first, second], tampered, 0.1).tolist() == pytest.approx([1 / 3, 1 / 3])


def test_agreement_wants_a_window():
    with pytest.raises(ValueError, match="window=0"):
        agreement([torch.zeros(4)], split([0, 0, 1, 1]), 0.3, 0)


def plainly_selected(suspicion, labels, n_suspected, asked):
    """Lists and loops: the suspects, then each class's trusted samples."""
    order = sorted(range(len(labels)), key=lambda i: (-suspicion[i], i))
    suspects = order[:n_suspected]
    trusted = []
    for label in sorted(set(labels)):
        members = [i for i in order if labels[i] == label and i not in suspects]
        count = min(asked, labels.count(label) // 2)
        trusted += members[len(members) - min(count, len(members)) :]
    return suspects, trusted


@pytest.mark.parametrize("quota", ["per class", "total"])
@pytest.mark.parametrize("gamma", [0.05, 0.1, 0.3])
def test_select_against_a_plain_reference(gamma, quota):
    generator = torch.Generator().manual_seed(3)
    labels = (torch.arange(100) % 4).tolist()
    suspicion = torch.randint(12, (100,), generator=generator).float()  # many ties
    selection = select(suspicion, split(labels), gamma, quota)
    count = round(100 * gamma)
    asked = count if quota == "per class" else count // 4
    suspects, trusted = plainly_selected(suspicion.tolist(), labels, count, asked)
    assert selection.suspected.tolist() == suspects
    assert selection.trusted.tolist() == trusted
    assert selection.shortfall == (asked > 12)
    assert sum(selection.quotas) == len(trusted)
    assert not set(suspects) & set(trusted)


def test_a_class_gives_at_most_half_of_itself_and_says_so():
    labels = [0] * 90 + [1] * 10
    selection = select(torch.zeros(100), split(labels), 0.2)
    assert selection.quotas == (20, 5)
    assert selection.shortfall
    assert not select(torch.zeros(100), split(labels), 0.05).cut


@pytest.mark.parametrize("gamma", [0, 1, -0.1, 2, "0.1"])
def test_gamma_outside_0_and_1_is_refused(gamma):
    with pytest.raises(ValueError, match="gamma="):
        select(torch.zeros(4), split([0, 0, 1, 1]), gamma)


def test_gamma_that_selects_nothing_names_the_least():
    with pytest.raises(ValueError, match=r"gamma=0\.1 selects no sample of 4.*at least 0\.25"):
        select(torch.zeros(4), split([0, 0, 1, 1]), 0.1)
    with pytest.raises(ValueError, match=r"or none of some class: at least 0\.5"):
        select(torch.zeros(4), split([0, 0, 1, 1]), 0.3, "total")


def test_fractions_of_samples_are_not_lost_to_rounding():
    assert len(select(torch.zeros(100), split([0, 1] * 50), 0.29).suspected) == 29


def test_a_wary_quota_trusts_fewer_of_a_class_that_the_suspects_carry():
    labels = torch.arange(400) % 4
    suspicion = torch.rand(400, generator=torch.Generator().manual_seed(0))
    suspicion[labels == 2] += 0.5
    suspicion[:40] += torch.where(labels[:40] == 1, 2.0, 0.0)  # ten suspects of class 1
    even = select(suspicion, split(labels), 0.1)
    wary = select(suspicion, split(labels), 0.1, "label_aware")
    assert torch.equal(wary.suspected, even.suspected)
    carried = labels[wary.suspected].bincount(minlength=4).tolist()
    assert list(wary.quotas) == [max(10, 40 - count) for count in carried]
    assert carried[1] == 10
    for label in range(4):  # the least suspicious of those that were trusted before
        ours, theirs = (part.trusted[labels[part.trusted] == label] for part in (wary, even))
        assert torch.equal(ours, theirs[len(theirs) - len(ours) :])
    assert not wary.cut


def test_unknown_quotas_and_missing_classes_are_refused():
    with pytest.raises(
        ValueError, match="quota='each': allowed are 'per class', 'total' and 'label_aware'"
    ):
        select(torch.zeros(4), split([0, 0, 1, 1]), 0.3, "each")
    with pytest.raises(ValueError, match="holds 0 samples of class 'cat'"):
        select(torch.zeros(4), split([0, 0, 1, 1], ("ant", "bee", "cat")), 0.3)
    with pytest.raises(ValueError, match="holds 1 samples of class '1'"):
        select(torch.zeros(4), split([0, 0, 0, 1]), 0.3)


def test_a_class_of_suspects_alone_is_named():
    labels = [0, 0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="all of class '0' is suspected"):
        select(torch.tensor([2.0, 2, 1, 1, 1, 1]), split(labels), 0.4)
