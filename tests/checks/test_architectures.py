"""What the checks of notebook 10 say of wrong answers."""

import pytest
import torch
from torch import nn

from dlp_lib.checks import Wrong, architectures


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda n, e1, gamma, e2, k, b, mu: n * e1 + n * e2 + k * b * (1 + mu),
            "the suspects alone",
        ),
        (lambda n, e1, gamma, e2, k, b, mu: n * e1 + k * b * (1 + mu), "unlearning is missing"),
        (
            lambda n, e1, gamma, e2, k, b, mu: n * e1 + n * gamma * e2 + k * b,
            "unlabelled images are missing",
        ),
        (
            lambda n, e1, gamma, e2, k, b, mu: n * e1 + n * gamma * e2 + k * b * mu,
            "the labelled images",
        ),
        (
            lambda n, e1, gamma, e2, k, b, mu: n * e1 + n * gamma * e2 + k * (1 + mu),
            "not one image",
        ),
        (
            lambda n, e1, gamma, e2, k, b, mu: n + n * gamma + k * b * (1 + mu),
            "there are E1 and E2",
        ),
        (lambda n, e1, gamma, e2, k, b, mu: n * e1, "is 8000, it should be 2.536e"),
    ],
)
def test_passes(answer, message):
    with pytest.raises(Wrong, match=message):
        architectures.passes(answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda k, i, o, g: k * k * i * o // g, "batch-norm is missing"),
        (lambda k, i, o, g: k * k * i * o // g + o, r"a factor \*and\* an offset"),
        (lambda k, i, o, g: k * k * i * o // g + 2 * i, r"channels that come \*out\*"),
        (lambda k, i, o, g: k * k * i * o // g + 4 * o, "buffers"),
        (lambda k, i, o, g: k * k * i * o // g + 3 * o, "no bias here"),
        (lambda k, i, o, g: k * i * o // g + 2 * o, "3 · 3 places"),
        (lambda k, i, o, g: k * k * i * o + 2 * o, "groups are ignored"),
        (lambda k, i, o, g: k * k * (i // g) * (o // g) + 2 * o, "by the groups twice"),
        (lambda k, i, o, g: k * k * i * o * g + 2 * o, "should be 352"),
    ],
)
def test_weights(answer, message):
    with pytest.raises(Wrong, match=message):
        architectures.weights(answer)


def walk(rule):
    def sides(size, layers):
        found = []
        for layer in layers:
            size = rule(size, *layer)
            found.append(size)
        return found

    return sides


good = walk(lambda n, k, s, p: (n + 2 * p - k) // s + 1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (walk(lambda n, k, s, p: (n + 2 * p - k) // s), r"\+ 1 is missing"),
        (walk(lambda n, k, s, p: -((k - n - 2 * p) // s) + 1), "rounded up"),
        (walk(lambda n, k, s, p: (n + 2 * p - k) / s + 1), "half a pixel"),
        (walk(lambda n, k, s, p: (n + p - k) // s + 1), "on both sides"),
        (walk(lambda n, k, s, p: -(-n // s)), "size / stride does not do"),
        (
            lambda n, layers: [good(n, [layer])[0] for layer in layers],
            "every layer was given the image",
        ),
        (lambda n, layers: [n, *good(n, layers)], "the image's own side"),
        (lambda n, layers: good(n, layers)[-1], r"the shape is \(\)"),
    ],
)
def test_sides(answer, message):
    with pytest.raises(Wrong, match=message):
        architectures.sides(answer)


def judge(*questions):
    """A verdict that asks these questions in this order."""
    rules = {
        "untrained": lambda u, d: u[0] < 0.5,
        "destroyed": lambda u, d: d[0] < 0.5,
        "backdoored": lambda u, d: d[1] > 0.2,
        "never there": lambda u, d: u[1] <= 0.2,
    }
    return lambda u, d: next((name for name in questions if rules[name](u, d)), "removed")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda u, d: True, "return one of untrained, destroyed, .* this is True"),
        (lambda u, d: "gone", "this is 'gone'"),
        (lambda u, d: "destroyed" if d[0] < 50 else "removed", "it is gone, and CA is 92 %"),
        (lambda u, d: "removed", "it is still there"),
        (judge("untrained", "backdoored", "never there"), "has a low ASR for nothing"),
        (
            judge("untrained", "backdoored", "destroyed", "never there"),
            "nearly one answer for everything",
        ),
        (judge("untrained", "destroyed", "backdoored"), "none to remove"),
        (judge("untrained", "destroyed", "never there", "backdoored"), "judge the end first"),
        (judge("destroyed", "backdoored", "never there", "untrained"), "a model that knew nothing"),
        (judge("destroyed", "backdoored", "never there"), "a model that knew nothing"),
    ],
)
def test_verdicts(answer, message):
    with pytest.raises(Wrong, match=message):
        architectures.verdicts(answer)


def places(layer, seen, output):
    return output[0, 0].numel()


def uses(
    count=places, kinds=(nn.Conv2d, nn.Linear), weight=None, left=False, evaluate=True, back=True
):
    """An answer that is right but for what is said."""

    def my_multiply_adds(model, images):
        counts = []

        def note(layer, seen, output):
            size = weight(layer) if weight else layer.weight.numel()
            counts.append(size * count(layer, seen[0], output))

        training = model.training
        handles = [
            part.register_forward_hook(note) for part in model.modules() if isinstance(part, kinds)
        ]
        model.train(not evaluate)(images)
        if back:
            model.train(training)
        for handle in handles:
            if not left:
                handle.remove()
        return sum(counts)

    return my_multiply_adds


def by_definition(model, images):
    """An answer without hooks, right for layers that are used once, one after the other."""
    total, model = 0, model.eval()
    for part in dict.fromkeys(model):
        images = part(images)
        total += (
            part.weight.numel() * images[0, 0].numel()
            if isinstance(part, nn.Conv2d | nn.Linear)
            else 0
        )
    model.train()
    return total


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (uses(count=lambda layer, seen, output: output[:, 0].numel()), "for the whole batch"),
        (uses(count=lambda *given: 2 * places(*given)), "two for every multiply-add"),
        (uses(count=lambda *given: 1), "these are the weights"),
        (
            lambda model, images: sum(p.numel() for p in model.parameters()),
            "these are the model's parameters",
        ),
        (uses(kinds=nn.Conv2d), "linear layers multiply"),
        (uses(weight=lambda layer: sum(p.numel() for p in layer.parameters())), "a bias is added"),
        (uses(kinds=(nn.Conv2d, nn.Linear, nn.BatchNorm2d)), "batch-norm is counted"),
        (uses(count=lambda layer, seen, output: seen[0, 0].numel()), r"the map that goes \*in\*"),
        (
            uses(weight=lambda layer: layer.weight.numel() * getattr(layer, "groups", 1)),
            "groups are ignored",
        ),
        (uses(left=True), "hooks are left"),
        (uses(evaluate=False), "running statistics"),
        (uses(back=False), "left in evaluation mode"),
        (by_definition, "it is counted once"),
        (lambda model, images: 0, "it should be 1.851e"),
    ],
)
def test_multiply_adds(answer, message):
    with pytest.raises(Wrong, match=message):
        architectures.multiply_adds(answer)


def test_right_answers(capsys):
    architectures.sides(good)
    architectures.verdicts(judge("untrained", "destroyed", "backdoored", "never there"))
    architectures.multiply_adds(uses())
    architectures.multiply_adds(torch.no_grad()(uses()))
    assert capsys.readouterr().out.count("Right. ") == 4
