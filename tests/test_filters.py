import math

import pytest
import torch

from dlp_lib import Split, entropy, select


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
    assert selection.cut == (asked > 12)
    assert sum(selection.quotas) == len(trusted)
    assert not set(suspects) & set(trusted)


def test_a_class_gives_at_most_half_of_itself_and_says_so():
    labels = [0] * 90 + [1] * 10
    selection = select(torch.zeros(100), split(labels), 0.2)
    assert selection.quotas == (20, 5)
    assert selection.cut
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


def test_unknown_quotas_and_missing_classes_are_refused():
    with pytest.raises(ValueError, match="quota='each': allowed are 'per class' and 'total'"):
        select(torch.zeros(4), split([0, 0, 1, 1]), 0.3, "each")
    with pytest.raises(ValueError, match="holds 0 samples of class 'cat'"):
        select(torch.zeros(4), split([0, 0, 1, 1], ("ant", "bee", "cat")), 0.3)
    with pytest.raises(ValueError, match="holds 1 samples of class '1'"):
        select(torch.zeros(4), split([0, 0, 0, 1]), 0.3)


def test_a_class_of_suspects_alone_is_named():
    labels = [0, 0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="all of class '0' is suspected"):
        select(torch.tensor([2.0, 2, 1, 1, 1, 1]), split(labels), 0.4)
