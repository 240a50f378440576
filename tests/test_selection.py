"""Which samples are suspected and trusted, and how lasting a suspicion is, by plain references."""

import json

import pytest
import torch

from dlp_lib import DLP, Checkpoints, Split, Stage, Store, select
from dlp_lib.defences import agreed_e1, agreement, most_suspicious


def split(labels, classes=None):
    images = torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8)
    return Split.from_arrays(images, labels, classes)


@pytest.mark.parametrize("count", [0, 1, 150, 300, 400])
def test_of_equal_scores_the_earlier_sample_is_the_more_suspicious(count):
    generator = torch.Generator().manual_seed(5)
    suspicion = torch.randint(-2, 3, (300,), generator=generator).float()
    in_order = sorted(range(300), key=lambda sample: (-suspicion[sample], sample))
    assert most_suspicious(suspicion, count).tolist() == in_order[:count]


def plain_agreement(suspicions, labels, count, window):
    values = []
    for last in range(len(suspicions)):
        means = []
        for label in set(labels):
            shares = []
            for epoch in range(max(0, last - window + 1), last + 1):
                order = sorted(range(len(labels)), key=lambda i: (-suspicions[epoch][i], i))
                suspects = [labels[i] for i in order[:count]]
                shares.append(suspects.count(label) / count)
            means.append(sum(shares) / window)
        values.append(max(means))
    return values


@pytest.mark.parametrize("window", [1, 2, 3])
def test_agreement_against_a_plain_reference(window):
    generator = torch.Generator().manual_seed(4)
    labels = (torch.arange(60) % 3).tolist()
    suspicions = [torch.randint(9, (60,), generator=generator).float() for _ in range(5)]
    found = agreement(suspicions, split(labels), 0.2, window).tolist()
    plain = plain_agreement([part.tolist() for part in suspicions], labels, 12, window)
    assert found == pytest.approx(plain)


def test_agreement_wants_one_class_for_several_epochs():
    tampered = split([0] * 10 + [1] * 10)
    class_1 = torch.arange(20.0)  # suspects it
    class_0 = -torch.arange(20.0)
    lasting = agreement([class_1, class_1, class_1, class_0], tampered, 0.1)
    assert lasting.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 2 / 3])
    changing = agreement([class_1, class_0], tampered, 0.1)
    assert changing.tolist() == pytest.approx([1 / 3, 1 / 3])


def test_agreement_wants_a_window():
    with pytest.raises(ValueError, match="window=0"):
        agreement([torch.zeros(4)], split([0, 0, 1, 1]), 0.3, 0)


def plain_select(suspicion, labels, count, quota):
    """Return the suspects, then each class's trusted samples, with lists and loops."""
    order = sorted(range(len(labels)), key=lambda i: (-suspicion[i], i))
    suspects = order[:count]
    trusted = []
    for label in sorted(set(labels)):
        members = [i for i in order[count:] if labels[i] == label]
        at_most = min(quota, labels.count(label) // 2)
        trusted += members[max(0, len(members) - at_most) :]
    return suspects, trusted


@pytest.mark.parametrize("quota", ["per class", "total"])
@pytest.mark.parametrize("gamma", [0.05, 0.1, 0.3])
def test_select_against_a_plain_reference(gamma, quota):
    generator = torch.Generator().manual_seed(3)
    labels = (torch.arange(100) % 4).tolist()
    suspicion = torch.randint(12, (100,), generator=generator).float()  # many are equal
    selection = select(suspicion, split(labels), gamma, quota)
    count = round(100 * gamma)
    per_class = count if quota == "per class" else count // 4
    suspects, trusted = plain_select(suspicion.tolist(), labels, count, per_class)
    assert selection.suspected.tolist() == suspects
    assert selection.trusted.tolist() == trusted
    assert selection.shortfall == (per_class > 12)
    assert sum(selection.quotas) == len(trusted)
    assert not set(suspects) & set(trusted)


def test_a_class_gives_at_most_half_of_itself_and_says_so():
    labels = [0] * 90 + [1] * 10
    selection = select(torch.zeros(100), split(labels), 0.2)
    assert selection.quotas == (20, 5)
    assert selection.shortfall
    assert not select(torch.zeros(100), split(labels), 0.05).shortfall


@pytest.mark.parametrize("gamma", [0, 1, -0.1, 2, "0.1"])
def test_gamma_outside_0_and_1_is_refused(gamma):
    with pytest.raises(ValueError, match="gamma="):
        select(torch.zeros(4), split([0, 0, 1, 1]), gamma)


def test_gamma_that_selects_nothing_names_the_least():
    with pytest.raises(ValueError, match=r"gamma=0\.1 selects no sample of 4.*at least 0\.25"):
        select(torch.zeros(4), split([0, 0, 1, 1]), 0.1)
    with pytest.raises(ValueError, match=r"or none of some class: at least 0\.5"):
        select(torch.zeros(4), split([0, 0, 1, 1]), 0.3, "total")


def test_shares_of_samples_are_not_lost_to_rounding():
    assert len(select(torch.zeros(100), split([0, 1] * 50), 0.29).suspected) == 29


def test_a_label_aware_quota_trusts_fewer_of_a_class_that_the_suspects_have():
    labels = torch.arange(400) % 4
    suspicion = torch.rand(400, generator=torch.Generator().manual_seed(0))
    suspicion[labels == 2] += 0.5
    suspicion[:40] += torch.where(labels[:40] == 1, 2.0, 0.0)  # ten suspects of class 1
    even = select(suspicion, split(labels), 0.1)
    aware = select(suspicion, split(labels), 0.1, "label_aware")
    assert torch.equal(aware.suspected, even.suspected)
    suspects = labels[aware.suspected].bincount(minlength=4).tolist()
    assert list(aware.quotas) == [max(10, 40 - count) for count in suspects]
    assert suspects[1] == 10
    for label in range(4):  # the least suspicious of those that were trusted before
        fewer = aware.trusted[labels[aware.trusted] == label]
        more = even.trusted[labels[even.trusted] == label]
        assert torch.equal(fewer, more[len(more) - len(fewer) :])
    assert not aware.shortfall


def test_half_of_the_largest_class_is_trusted_and_all_of_a_small_one():
    suspicion = torch.arange(20.0).flip(0)  # the first is the most suspicious
    labels = torch.arange(20) % 2
    left_out = torch.tensor([0, 2, 4, 6, 8, 10, 12, 19])
    chosen = select(suspicion, split(labels), 0.1, "half", left_out)
    assert chosen.suspected.tolist() == [0, 1]
    assert chosen.trusted.tolist() == [14, 16, 18, 11, 13, 15, 17]  # of 3 and of 9 members
    assert chosen.quotas == (3, 4)
    assert chosen.shortfall
    assert select(suspicion, split(labels), 0.1, "half").quotas == (5, 5)


@pytest.mark.parametrize("quota", ["per class", "label_aware"])
def test_what_is_left_out_is_not_trusted_and_no_member(quota):
    suspicion = torch.arange(20.0).flip(0)
    labels = torch.arange(20) % 2
    whole = select(suspicion, split(labels), 0.2, quota)
    chosen = select(suspicion, split(labels), 0.2, quota, torch.tensor([18, 16, 14, 12]))
    assert torch.equal(chosen.suspected, whole.suspected)
    assert not set(chosen.trusted.tolist()) & {18, 16, 14, 12}
    assert chosen.quotas[0] == min(whole.quotas[0], 3)  # half of 6


def test_unknown_quotas_and_missing_classes_are_refused():
    allowed = "allowed are 'per class', 'total', 'label_aware' and 'half'"
    with pytest.raises(ValueError, match=f"quota='each': {allowed}"):
        select(torch.zeros(4), split([0, 0, 1, 1]), 0.3, "each")
    with pytest.raises(ValueError, match="holds 0 samples of class 'cat'"):
        select(torch.zeros(4), split([0, 0, 1, 1], ("ant", "bee", "cat")), 0.3)
    with pytest.raises(ValueError, match="holds 1 samples of class '1'"):
        select(torch.zeros(4), split([0, 0, 0, 1]), 0.3)


def test_a_class_of_suspects_alone_is_named():
    labels = [0, 0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="all of class '0' is suspected"):
        select(torch.tensor([2.0, 2, 1, 1, 1, 1]), split(labels), 0.4)


def recorded(by_epoch):
    """A stage of which the logits after every epoch are known."""
    checkpoints = Checkpoints(Store(), "SL")
    history = []
    for block, logits in enumerate(by_epoch, 1):
        row = {"block": block, "diverged": False}
        checkpoints.write(block, {"logits": logits}, row)
        history.append(row)
    return Stage("SL", checkpoints, history, len(history))


def logits_of(labels, sure):
    """Logits that are right where a sample is sure, and vaguely wrong elsewhere."""
    right = torch.nn.functional.one_hot(labels, 3).float()
    wrong = right.roll(1, dims=1)
    return torch.where(sure[:, None], 10 * right, wrong)


@pytest.mark.parametrize(
    ("sure_of_class_1", "is_doubtful"),
    [(0.3, False), (0.85, False), (1.0, True)],  # poison in part, in most, an easy class
)
def test_an_agreed_e1_is_doubtful_where_a_class_is_easy_as_a_whole(sure_of_class_1, is_doubtful):
    labels = torch.arange(300) % 3
    position = torch.arange(300) // 3 / 100  # of a sample in its class, 0 to 1
    sure = (labels == 1) & (position < sure_of_class_1)
    one_other = (labels == 2) & (position < 0.1)
    logits = logits_of(labels, sure | one_other)
    logits[one_other] /= 2
    stage = recorded([logits] * 4)
    agreed = agreed_e1(stage, split(labels), 0.1)
    assert agreed == 3
    assert json.dumps({"e1": agreed}) == '{"e1": 3}'
    assert type(DLP(e1=agreed).e1) is int
    assert (agreed.label, agreed.is_doubtful) == (1, is_doubtful)
    assert agreed.others == pytest.approx(0.05)
    assert agreed.hardest == (1.0 if is_doubtful else 0.0)
    assert agreed_e1(stage, split(labels), 0.5) is None
