"""Neural attention distillation, NAD (Li et al. 2021, arXiv:2101.05930)."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checking import check_int
from ..context import Context
from ..data.split import Split
from ..training.identity import FixedModel
from ..training.inference import predict
from ..training.stage import Stage
from .base import DefenceResult
from .clean import held_out
from .finetuning import Batch, Training, finetune


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
        if not self.betas or min(self.betas) < 0:
            raise ValueError(f"betas={self.betas}: allowed are one or more weights ≥ 0")
        check_int("power", self.power, 1)

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> DefenceResult:
        """Distil into a copy of the model.

        Raises:
            ValueError: for fewer than five clean images, and for a model with fewer resolutions
                than ``betas``.
            Diverged: where a stage did not stay finite.
        """
        context = context or Context()
        training, _ = held_out(clean, context)
        names = layers(model, training.images, len(self.betas))
        teacher = copy.deepcopy(model)
        student = copy.deepcopy(model)
        stages = {"NAD teacher": finetune("NAD teacher", teacher, training, self.teacher, context)}
        teacher.eval()
        stages["NAD"] = self._distil(teacher, student, names, training, context)
        return DefenceResult(student.eval(), stages)

    def _distil(
        self,
        teacher: nn.Module,
        student: nn.Module,
        names: list[str],
        training: Split,
        context: Context,
    ) -> Stage:
        """Train the student with the teacher's attention maps at the named modules."""
        betas = self.betas
        power = self.power
        fixed = FixedModel(teacher, training.images, context.runtime)

        def loss(student: nn.Module, batch: Batch) -> Tensor:
            images, labels = batch
            with torch.no_grad(), captured(fixed.model, names) as of_teacher:
                fixed.model(images)
            with captured(student, names) as of_student:
                logits = student(images)
            distillation = 0
            for name, beta in zip(names, betas, strict=True):
                ours = attention(of_student[name], power)
                theirs = attention(of_teacher[name], power)
                distillation = distillation + beta * functional.mse_loss(ours, theirs)
            return functional.cross_entropy(logits, labels) + distillation

        return finetune("NAD", student, training, self.student, context, loss)


def attention(activations: Tensor, power: int = 2) -> Tensor:
    """Return where a layer looks: the channels' mean of |activations|^power, of unit length.

    Args:
        activations: (n, c, h, w).
        power: p of the paper.

    Returns:
        (n, h·w).
    """
    maps = activations.abs().pow(power).mean(1)
    return functional.normalize(maps.flatten(1))


def layers(model: nn.Module, images: Tensor, count: int) -> list[str]:
    """Return the names of the last modules at each of the last ``count`` resolutions above 1×1.

    A module that changes its output in place, as a ReLU may, is taken as it leaves it.

    Args:
        model: left as it is.
        images: (n, 3, h, w) uint8, of which one passes.
        count: how many resolutions.

    Raises:
        ValueError: where the model has fewer.
    """
    names = [name for name, _ in model.named_modules() if name]
    with captured(model, names) as outputs:
        predict(model, images[:1])
    last: dict[torch.Size, str] = {}
    for name, output in outputs.items():
        resolution = output.shape[-2:]
        if output.ndim == 4 and resolution.numel() > 1:
            last[resolution] = name
    if len(last) < count:
        raise ValueError(
            f"{type(model).__name__} has {len(last)} resolutions above 1×1, {count} betas are given"
        )
    return list(last.values())[-count:]


@contextlib.contextmanager
def captured(model: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """Give the outputs of the named modules by name, filled in by a forward pass inside the block.

    They are in the order of the forward pass.
    """
    outputs: dict[str, Tensor] = {}

    def hook_of(name: str):
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
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
