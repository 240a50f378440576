"""What the checks of notebook 08 say of wrong answers."""

import numpy
import pytest
import torch
from torch.nn.functional import normalize

from dlp_lib.checks import Wrong, baselines


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda a: a.pow(2).sum(1).flatten(1), "no unit length yet: divide"),
        (lambda a: a.pow(2).mean(1).flatten(1), "serves as well as the sum"),
        (lambda a: a.pow(2).sum(1).flatten(1) / a.pow(2).sum((1, 2, 3))[:, None], "sums to one"),
        (lambda a: normalize(a.pow(2).sum(1).flatten(), dim=0).view(2, 4), "whole batch"),
        (lambda a: normalize(a.sum(1).flatten(1)), "opposite signs cancel"),
        (lambda a: normalize(a.abs().sum(1).flatten(1)), "absolute values"),
        (lambda a: normalize(a.pow(2).sum(1).sqrt().flatten(1)), "a root too many"),
        (lambda a: normalize(a.pow(2).flatten(2).sum(2)), "which leaves the channels"),
        (lambda a: normalize(a.pow(2).sum(1)), "height alone: flatten each map before$"),
        (lambda a: normalize(a.pow(2).sum(1)).flatten(1), "before you normalise"),
        (lambda a: normalize(a.pow(2).sum(1).flatten(1)).view(2, 2, 2), "the values are right"),
        (lambda a: a.pow_(2).sum(1), "changes the tensor"),
        (lambda a: normalize(a.pow(2)[:, :3].sum(1)).view(2, 4), "before you normalise"),
        (lambda a: normalize(a.pow(2).sum(1).view(2, 4)), "for 2 channels of 1·3 places"),
    ],
)
def test_attention(answer, message):
    with pytest.raises(Wrong, match=message):
        baselines.attention(answer)


def prune(
    order=lambda a: a.mean(0).argsort(),
    late=False,
    skip=False,
    creep=False,
    relative=False,
    same=False,
):
    """An answer to the exercise, with mistakes."""

    def answer(activations, accuracy, allowed):
        stays = torch.ones(activations.shape[1], dtype=torch.bool)
        before = accuracy(stays)
        for channel in order(activations):
            without = stays if same else stays.clone()
            without[channel] = False
            fall = before - accuracy(without)
            if fall > (allowed * before if relative else allowed):
                stays = without if late else stays
                if skip:
                    continue
                break
            stays, before = without, accuracy(without) if creep else before
        return stays

    return answer


def test_pruning_may_be_right(capsys):
    baselines.pruning(prune())
    baselines.pruning(lambda *inputs: prune()(*inputs).float())
    assert capsys.readouterr().out.startswith("Right. ")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda a, accuracy, allowed: a.mean(0).argsort()[3:], "for every channel that stays"),
        (lambda a, accuracy, allowed: a.mean(0), "for every channel that stays"),
        (lambda a, accuracy, allowed: [0, 2, 5], "for every channel that stays"),
        (lambda *inputs: ~prune()(*inputs), "wrong way round"),
        (lambda a, accuracy, allowed: torch.ones(6), "no channel is pruned"),
        (prune(lambda a: a.mean(0).argsort(descending=True)), "most active go first"),
        (prune(lambda a: range(6)), "order of their numbers"),
        (prune(lambda a: a.mean(1).argsort()), "mean over the channels"),
        (prune(lambda a: a.mean(0).argsort().argsort()), "gives ranks"),
        (prune(late=True), "one channel too many"),
        (prune(same=True), "one channel too many"),
        (prune(skip=True), "this skips it"),
        (prune(creep=True), "before the first"),
        (prune(relative=True), "difference of accuracies"),
        (lambda a, accuracy, allowed: a.mean(0) > 0.15, r"you prune \[1\]"),
        (lambda a, accuracy, allowed: prune()(a, accuracy, allowed - 1e-9), "not .more. than it"),
        (lambda a, accuracy, allowed: prune()(a, accuracy, 0.065), "with allowed = 0.25"),
        (prune(lambda a: a.amax(0).argsort()), "with allowed = 0.25"),
    ],
)
def test_pruning(answer, message):
    with pytest.raises(Wrong, match=message):
        baselines.pruning(answer)


def front(beats, itself=False):
    def answer(table):
        pairs = table.items()
        return {
            n
            for n, ours in pairs
            if not any(beats(theirs, ours) for m, theirs in pairs if itself or m != n)
        }

    return answer


def test_a_front_may_be_a_list(capsys):
    right = front(lambda a, b: a[0] <= b[0] and a[1] >= b[1] and a != b)
    baselines.front(lambda table: sorted(right(table)))
    assert capsys.readouterr().out.startswith("Right. ")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda table: "A", "return a set of names, this is str"),
        (front(lambda a, b: a[0] >= b[0] and a[1] >= b[1] and a != b), "attacker's"),
        (front(lambda a, b: a[0] >= b[0] and a[1] <= b[1] and a != b), "in this order"),
        (front(lambda a, b: a[0] < b[0] and a[1] > b[1]), "E is beaten by A"),
        (front(lambda a, b: a[0] <= b[0] and a[1] >= b[1], itself=True), "nobody is left"),
        (front(lambda a, b: a[0] <= b[0] and a[1] >= b[1]), "A and G are equal"),
        (lambda table: {"D", "E"}, r"that \*are\* beaten"),
        (
            lambda table: {
                min(table, key=lambda n: table[n][0]),
                max(table, key=lambda n: table[n][1]),
            },
            "best in one",
        ),
        (lambda table: {max(table, key=lambda n: table[n][1] - table[n][0])}, "sets a price"),
        (set, r"these are \['A', 'B', 'C', 'D', 'E', 'F', 'G'\]"),
        (lambda table: set("ABCFG"), "NAD and FP are beaten by none"),
        (front(lambda a, b: a[0] <= b[0] and a[1] > b[1]), "NAD and FP are beaten by none"),
        (lambda table: unbeaten_in_a_loop(table) if len(table) > 1 else [], "who is alone"),
    ],
)
def test_front(answer, message):
    with pytest.raises(Wrong, match=message):
        baselines.front(answer)


def step(climb=1, sign=torch.sign, size=None, swap=False, up=1, low=0, inner=False):
    """An answer to the exercise, with mistakes."""

    def answer(loss, mask, eps, alpha, lr):
        alpha, mask = 1 - alpha if swap else alpha, mask.clone().requires_grad_()
        noisy = mask + climb * (size or eps) * sign(torch.autograd.grad(loss(mask), mask)[0])
        total = alpha * loss(mask) + (1 - alpha) * loss(noisy.clamp(0, 1) if inner else noisy)
        return (mask - up * lr * torch.autograd.grad(total, mask)[0]).clamp(low, 1 - low)

    return answer


def test_a_step_may_be_right(capsys):
    baselines.anp_step(step())
    assert capsys.readouterr().out.startswith("Right. ")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (step(low=-9), "leaves"),
        (step(climb=-1), "the adversary climbs"),
        (step(sign=lambda g: g), "takes the gradient's sign"),
        (step(size=1), "noise of ±1"),
        (step(swap=True), "swapped"),
        (lambda loss, mask, eps, alpha, lr: step()(loss, mask, eps, 0, lr), "its weight is alpha"),
        (
            lambda loss, mask, eps, alpha, lr: step()(loss, mask, eps, 1, lr),
            "its weight is 1 - alpha",
        ),
        (step(up=-1), "the mask climbs"),
        (step(inner=True), "may leave it"),
        (lambda loss, mask, eps, alpha, lr: mask.clone(), "the mask as it was"),
        (lambda loss, mask, eps, alpha, lr: mask.clamp_(0.1, 1), "changes the tensor"),
        (lambda loss, mask, eps, alpha, lr: loss(mask).backward(), "RuntimeError"),
        (lambda loss, mask, eps, alpha, lr: step()(loss, mask, 0.4, alpha, lr), "another loss"),
        (lambda loss, mask, eps, alpha, lr: step()(loss, mask, eps, 0.2, lr), "another loss"),
        (lambda loss, mask, eps, alpha, lr: step()(loss, mask, eps, alpha, 0.5), "another loss"),
    ],
)
def test_anp_step(answer, message):
    with pytest.raises(Wrong, match=message):
        baselines.anp_step(answer)


def attention_in_a_loop(activations):
    found = []
    for image in activations:
        squares = sum(channel**2 for channel in image).flatten()
        found.append(squares / squares.dot(squares).sqrt())
    return found


def attention_with_numpy(activations):
    maps = (activations.numpy() ** 2).mean(1).reshape(len(activations), -1)
    return maps / numpy.linalg.norm(maps, axis=1, keepdims=True)


def pruned_as_a_list(activations, accuracy, allowed):
    kept = [True] * activations.shape[1]
    before = accuracy(torch.tensor(kept))
    means = activations.mean(0).tolist()
    for channel in sorted(range(len(kept)), key=means.__getitem__):
        kept[channel] = False
        if before - accuracy(torch.tensor(kept)) > allowed + 1e-12:
            kept[channel] = True
            break
    return kept


def pruned_with_numpy(activations, accuracy, allowed):
    order = numpy.argsort(activations.numpy().mean(0))
    before = accuracy(torch.ones(len(order)).bool())
    best = numpy.ones(len(order), dtype=bool)
    for count in range(1, len(order) + 1):
        kept = numpy.ones(len(order), dtype=bool)
        kept[order[:count]] = False
        if before - accuracy(torch.from_numpy(kept)) > allowed:
            break
        best = kept
    return best


def unbeaten_in_a_loop(table):
    found = []
    for name, (asr, ca) in table.items():
        beaten = False
        for other_asr, other_ca in table.values():
            as_good = other_asr <= asr and other_ca >= ca
            beaten = beaten or (as_good and (other_asr < asr or other_ca > ca))
        if not beaten:
            found.append(name)
    return found


def unbeaten_with_numpy(table):
    names = numpy.array([*table])
    asr, ca = numpy.array([*table.values()]).T
    as_good = (asr[:, None] <= asr) & (ca[:, None] >= ca)
    better = (asr[:, None] < asr) | (ca[:, None] > ca)
    return names[~(as_good & better).any(0)]


def step_with_backward(loss, mask, eps, alpha, lr):
    m = mask.clone().requires_grad_()
    loss(m).backward()
    slope = m.grad.clone()
    noisy = (mask + eps * slope.sign()).requires_grad_()
    loss(noisy).backward()
    return (mask - lr * (alpha * slope + (1 - alpha) * noisy.grad)).clamp(0, 1)


def step_as_a_list(loss, mask, eps, alpha, lr):
    return step()(loss, mask, eps, alpha, lr).tolist()


RIGHT_ANSWERS = {
    "attention": [
        attention_in_a_loop,
        attention_with_numpy,
        lambda a: normalize(a.pow(2).sum(1).flatten(1)),
    ],
    "pruning": [
        prune(),
        lambda *inputs: prune()(*inputs).float(),
        pruned_as_a_list,
        pruned_with_numpy,
    ],
    "front": [
        unbeaten_in_a_loop,
        lambda table: frozenset(unbeaten_in_a_loop(table)),
        lambda table: dict.fromkeys(unbeaten_in_a_loop(table)).keys(),
        unbeaten_with_numpy,
    ],
    "anp_step": [step(), step_with_backward, step_as_a_list],
}
