"""Neural attention distillation, NAD (Li et al. 2021, arXiv:2101.05930)."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_field, check_int, check_number, check_sequence, check_type
from ..context import Context
from ..data.split import Split
from ..models.interface import copied
from ..training.admission import admit
from ..training.identity import FixedModel
from ..training.inference import predict
from ..training.stage import Stage
from .base import DefenceResult
from .clean import held_out
from .finetuning import Batch, Training, finetune


class Layer(NamedTuple):
    """A module whose output is a picture at some resolution."""

    name: str
    channels: int  # which axis of its output they are: 1 of (n, c, h, w), 3 of (n, h, w, c)


@dataclass(frozen=True, kw_only=True)
class NAD:
    """Fine-tune a teacher on clean images, then a student with the teacher's attention maps.

    Threat model: a trained model, and a few clean images.
    """

    sees: ClassVar[str] = "clean"
    starts: ClassVar[str] = "trained"

    # Weights of the attention losses at the last three resolutions; those of the authors' code
    betas: tuple[float, ...] = (500.0, 1000.0, 1000.0)
    power: int = 2  # p of the attention maps; the paper's
    # Learning rate, batch and the drop are those of the authors' code, the epochs are the paper's
    teacher: Training = field(
        default_factory=lambda: Training(lr=0.1, batch=64, epochs=10, drops=(2,))
    )
    # Learning rate, batch, epochs and the drop are those of the authors' code
    student: Training = field(
        default_factory=lambda: Training(lr=0.1, batch=64, epochs=20, drops=(2,))
    )

    def __post_init__(self):
        check_field(self, "betas", check_sequence, check_number, least=0)
        if not self.betas:
            raise ValueError("betas=(): allowed are one or more weights ≥ 0")
        check_field(self, "power", check_int, 1)
        check_field(self, "teacher", check_type, Training)
        check_field(self, "student", check_type, Training)

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> DefenceResult:
        """Distil into a copy of the model.

        Raises:
            TypeError: before any work, for arguments of other types.
            ValueError: before any work, for fewer than five clean images, and for a model that
                cannot take them, has other classes, or has fewer resolutions than ``betas``.
            Diverged: where a stage did not stay finite.
        """
        context = context or Context()
        model, clean = admit("clean", model, clean, context, in_parts=True)
        training, _ = held_out(clean, context)
        chosen = layers(model, training.images, len(self.betas))
        teacher = copied(model)
        student = copied(model)
        stages = {"NAD teacher": finetune("NAD teacher", teacher, training, self.teacher, context)}
        teacher.eval()
        stages["NAD"] = self._distil(teacher, student, chosen, training, context)
        return DefenceResult(student.eval(), stages)

    def _distil(
        self,
        teacher: nn.Module,
        student: nn.Module,
        chosen: list[Layer],
        training: Split,
        context: Context,
    ) -> Stage:
        """Train the student with the teacher's attention maps at the chosen layers."""
        betas = self.betas
        power = self.power
        names = [layer.name for layer in chosen]
        fixed = FixedModel(teacher, training.images, context.runtime)

        def loss(student: nn.Module, batch: Batch) -> Tensor:
            images, labels = batch
            with torch.no_grad(), captured(fixed.model, names) as of_teacher:
                fixed.model(images)
            with captured(student, names) as of_student:
                logits = student(images)
            distillation = 0
            for layer, beta in zip(chosen, betas, strict=True):
                ours = attention(of_student[layer.name], power, layer.channels)
                theirs = attention(of_teacher[layer.name], power, layer.channels)
                distillation = distillation + beta * functional.mse_loss(ours, theirs)
            return functional.cross_entropy(logits, labels) + distillation

        return finetune("NAD", student, training, self.student, context, loss)


def attention(activations: Tensor, power: int = 2, channels: int = 1) -> Tensor:
    """Return where a layer looks: the channels' mean of |activations|^power, of unit length.

    Args:
        activations: (n, c, h, w), or (n, h, w, c).
        power: p of the paper.
        channels: which axis they are, 1 or 3.

    Returns:
        (n, h·w).
    """
    maps = activations.abs().pow(power).mean(channels)
    return functional.normalize(maps.flatten(1))


def layers(model: nn.Module, images: Tensor, count: int) -> list[Layer]:
    """Return the last modules at each of the last ``count`` resolutions above 1×1.

    A module that changes its output in place, as a ReLU may, is taken as it leaves it. One that
    returns tokens (n, tokens, c), or anything but a tensor, has no resolution.

    Args:
        model: left as it is.
        images: (n, 3, h, w) uint8, of which one passes.
        count: how many resolutions.

    Raises:
        ValueError: where the model has fewer.
    """
    height, width = images.shape[-2:]
    names = [name for name, _ in model.named_modules() if name]
    with captured(model, names) as outputs:
        predict(model, images[:1])
    shapes = {name: output.shape[1:] for name, output in outputs.items() if output.ndim == 4}
    readings = {name: channel_axes(shape, height, width) for name, shape in shapes.items()}
    has_channels_last = [3] in readings.values()
    last: dict[tuple[int, int], Layer] = {}
    for name, axes in readings.items():
        if axes == [1, 3] and has_channels_last:  # which of the two cannot be told
            continue
        resolution = _resolution(shapes[name], axes[0])
        if resolution != (1, 1):
            last[resolution] = Layer(name, axes[0])
    if len(last) < count:
        raise ValueError(
            f"betas: {count} are given, and {type(model).__name__} has {len(last)} resolutions "
            f"above 1×1; allowed is a weight for each of the last ones"
        )
    return list(last.values())[-count:]


def channel_axes(shape: torch.Size, height: int, width: int) -> list[int]:
    """Return which axes of an output may be its channels: 1, 3 or both, the likelier one first.

    The other two must have the proportions of the image, to a pixel. Where no reading fits, the
    output is taken as PyTorch's convolutions give it.

    Args:
        shape: three numbers, of (n, c, h, w) or (n, h, w, c) without n.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    axes = []
    for axis in (1, 3):
        rows, columns = _resolution(shape, axis)
        if abs(rows - columns * height / width) < 1:
            axes.append(axis)
    return axes or [1]


def _resolution(shape: torch.Size, channels: int) -> tuple[int, int]:
    first, second, third = shape
    return (second, third) if channels == 1 else (first, second)


@contextlib.contextmanager
def captured(model: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """Give the outputs of the named modules by name, filled in by a forward pass inside the block.

    They are in the order of the forward pass.
    """
    outputs: dict[str, Tensor] = {}

    def hook_of(name: str):
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            if isinstance(output, Tensor):  # attention, for example, returns a tuple
                outputs[name] = output

        return hook

    hooks = []
    for name in names:
        module = model.get_submodule(name)
        hooks.append(module.register_forward_hook(hook_of(name)))
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
