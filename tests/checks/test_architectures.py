"""What the checks of notebook 10 say of wrong answers."""

import copy

import numpy
import pytest
import torch
from torch import nn

from dlp_lib.checks import Wrong, architectures


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
        (lambda k, i, o, g: 9 * i * o // g + 2 * o, "for kernel 1"),
        (lambda k, i, o, g: 3 * k * i * o // g + 2 * o, "for kernel 1"),
        (lambda k, i, o, g: k * k * (1 if g > 1 else i) * o + 2 * o, "in 2 groups"),
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
        (walk(lambda n, k, s, p: (n + 2 * p - k) // min(s, 2) + 1), "for a stride of 3"),
        (lambda n, layers: good(32, layers), "for one layer"),
    ],
)
def test_sides(answer, message):
    with pytest.raises(Wrong, match=message):
        architectures.sides(answer)


def judge(*questions, ca=0.5, asr=0.2):
    """A verdict that asks these questions in this order, with these limits."""
    rules = {
        "untrained": lambda u, d: u[0] < ca,
        "destroyed": lambda u, d: d[0] < ca,
        "backdoored": lambda u, d: d[1] > asr,
        "never there": lambda u, d: u[1] <= asr,
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
        (judge("untrained", "destroyed", "backdoored", "never there", asr=0.3), "21 %"),
        (judge("untrained", "destroyed", "backdoored", "never there", asr=0.5), "21 %"),
        (judge("untrained", "destroyed", "backdoored", "never there", asr=0.19999), "20 %"),
        (judge("untrained", "destroyed", "backdoored", "never there", ca=0.30), "49 %"),
        (
            judge("untrained", "destroyed", "backdoored", "never there", ca=0.50001),
            "50 % is of use",
        ),
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
        (uses(count=lambda layer, seen, output: output.shape[-1] ** (output.ndim - 2)), "8·20"),
        (lambda model, images: uses()(model.train(), images), "left in training mode"),
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


def weights_by_a_model(kernel, c_in, c_out, groups):
    layers = nn.Conv2d(c_in, c_out, kernel, groups=groups, bias=False, device="meta")
    batch_norm = nn.BatchNorm2d(c_out, device="meta")
    return sum(part.numel() for part in [*layers.parameters(), *batch_norm.parameters()])


def sides_by_counting(size, layers):
    found = []
    for kernel, stride, padding in layers:
        places = range(-padding, size + padding - kernel + 1, stride)
        size = len(places)
        found.append(size)
    return found


def verdict_in_another_order(undefended, defended):
    of_use = [model[0] >= 0.5 for model in (undefended, defended)]
    open_to = [model[1] > 0.2 for model in (undefended, defended)]
    if not all(of_use):
        return "destroyed" if of_use[0] else "untrained"
    if open_to[1]:
        return "backdoored"
    return "removed" if open_to[0] else "never there"


def multiply_adds_of_one_image(model, images):
    """A deep copy leaves the model as it is, whatever becomes of it."""
    model = copy.deepcopy(model).eval()
    counts = []
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.register_forward_hook(
                lambda layer, _, out: counts.append(layer.weight.numel() * out[0][0].numel())
            )
    model(images[:1])
    return torch.tensor(sum(counts))


judged = judge("untrained", "destroyed", "backdoored", "never there")
RIGHT_ANSWERS = {
    "weights": [
        weights_by_a_model,
        lambda k, i, o, g: k * k * i * o / g + 2 * o,
        lambda k, i, o, g: torch.tensor(o * (k**2 * i // g + 2)),
    ],
    "sides": [
        sides_by_counting,
        good,
        lambda size, layers: numpy.array(good(size, layers)),
        lambda size, layers: torch.tensor(good(size, layers)),
    ],
    "verdicts": [judged, verdict_in_another_order, lambda u, d: judged(u, d).capitalize()],
    "multiply_adds": [uses(), torch.no_grad()(uses()), multiply_adds_of_one_image],
}
