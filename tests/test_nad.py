"""Neural attention distillation: the maps, the loss, and the layers that it compares."""

import math

import pytest
import torch
from torch.nn import functional

from dlp_lib import Context, Runtime
from dlp_lib.defences import NAD, nad
from dlp_lib.models.architectures import build
from dlp_lib.models.interface import to_float


@pytest.mark.parametrize("power", [1, 2])
def test_a_map_is_the_channels_mean_power_of_unit_length(power):
    activations = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    for sample, found in zip(activations, nad.attention(activations, power), strict=True):
        plain = []
        for y in range(4):
            for x in range(5):
                plain.append(sum(abs(sample[c, y, x].item()) ** power for c in range(3)))
        length = math.sqrt(sum(value**2 for value in plain))
        assert found.tolist() == pytest.approx([value / length for value in plain], rel=1e-5)


def test_the_loss_is_cross_entropy_and_the_weighted_distances_of_the_maps(case, monkeypatch):
    calls = {}

    def catch(name, model, data, config, context, loss=None):
        calls[name] = (model, loss)

    monkeypatch.setattr(nad, "finetune", catch)
    NAD(betas=(1.0, 2.0, 4.0)).run(case.trained, case.clean, Context())
    student, loss = calls["NAD"]
    teacher, _ = calls["NAD teacher"]
    student.eval()
    images = to_float(case.clean.images[:8])
    labels = case.clean.labels[:8]
    plain = functional.cross_entropy(student(images), labels)
    # The teacher is still the same, so there is no distance
    assert torch.allclose(loss(student, (images, labels)), plain)
    with torch.no_grad():
        teacher.stem.weight.mul_(0.5).add_(0.1)
    names = [layer.name for layer in nad.layers(student, case.clean.images, 3)]
    with nad.captured(student, names) as of_student:
        student(images)
    with nad.captured(teacher, names) as of_teacher:
        teacher(images)
    distances = []
    for name in names:
        difference = nad.attention(of_student[name]) - nad.attention(of_teacher[name])
        distances.append(difference.pow(2).mean())
    assert min(distances) > 0
    weighted = distances[0] + 2 * distances[1] + 4 * distances[2]
    assert torch.allclose(loss(student, (images, labels)), plain + weighted)


@pytest.mark.parametrize("name", ["WRN-16-1", "ResNet18", "MobileNetV2"])
def test_the_last_modules_of_the_last_resolutions_are_found(name, case):
    model = build(name, 10, Runtime(0))
    chosen = nad.layers(model, case.clean.images, 3)
    assert {layer.channels for layer in chosen} == {1}
    found = [layer.name for layer in chosen]
    with nad.captured(model, found) as outputs:
        model.eval()(to_float(case.clean.images[:2]))
    sizes = [outputs[layer].shape[-1] for layer in found]
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[-1] > 1
    if name == "WRN-16-1":
        assert found == ["blocks.2.bn1", "blocks.4.bn1", "bn"]
        assert sizes == [16, 8, 4]
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match=r"betas: 9 are given, .* resolutions above 1×1"):
        nad.layers(model, case.clean.images, 9)
