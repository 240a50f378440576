"""Neural attention distillation (Li et al. 2021, arXiv:2101.05930)."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data import Split
from ..metrics import predict
from ..pipeline import Defended
from ..train import Context
from .base import Training, finetune, held_out

SOURCE = __loader__.get_source(__name__)


@dataclass(frozen=True, kw_only=True)
class NAD:
    """Fine-tune a teacher on clean images, then a student that must also look where the teacher looks.

    Threat model: a trained model, and a few clean images.
    """

    sees: ClassVar[str] = "clean"
    starts: ClassVar[str] = "trained"

    betas: tuple[float, ...] = (500.0, 1000.0, 1000.0)  # weights of the attention losses at the last three resolutions
    power: int = 2  # p of the attention maps
    teacher: Training = field(default_factory=lambda: Training(lr=0.1, batch=64, epochs=10, drops=(2,)))
    student: Training = field(default_factory=lambda: Training(lr=0.1, batch=64, epochs=20, drops=(2,)))

    def __post_init__(self):
        if not self.betas or min(self.betas) < 0 or self.power < 1:
            raise ValueError(f"betas={self.betas}, power={self.power}: allowed are weights ≥ 0 and a power ≥ 1")

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> Defended:
        """Distil into a copy; ValueError for a model without as many resolutions as ``betas``."""
        context = context or Context()
        training, _ = held_out(clean, context)
        names = layers(model, training.images, len(self.betas))
        teacher, student = copy.deepcopy(model), copy.deepcopy(model)
        taught = finetune("NAD teacher", teacher, training, self.teacher, context)
        teacher.eval()

        def loss(student: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
            images, labels = batch
            with torch.no_grad(), captured(teacher, names) as theirs:
                teacher(images)
            with captured(student, names) as ours:
                logits = student(images)
            distances = [
                beta * functional.mse_loss(attention(ours[name], self.power), attention(theirs[name], self.power))
                for name, beta in zip(names, self.betas, strict=True)
            ]
            return functional.cross_entropy(logits, labels) + sum(distances)

        inputs = (SOURCE, teacher, self.betas, self.power)
        stage = finetune("NAD", student, training, self.student, context, loss, inputs)
        return Defended(student.eval(), {"NAD teacher": taught, "NAD": stage})


def attention(activations: Tensor, power: int = 2) -> Tensor:
    """Where a layer looks: (n, h·w) of unit length, the channels' mean of |activations|^power; (n, c, h, w) in."""
    return functional.normalize(activations.abs().pow(power).mean(1).flatten(1))


def layers(model: nn.Module, images: Tensor, count: int) -> list[str]:
    """The names of the last modules at each of the last ``count`` resolutions above 1×1; ValueError if there are fewer.

    A module that changes its output in place, as a ReLU may, is taken as it leaves it.
    """
    with captured(model, [name for name, _ in model.named_modules() if name]) as seen:
        predict(model, images[:1])
    last = {out.shape[-2:]: name for name, out in seen.items() if out.ndim == 4 and out.shape[-2:].numel() > 1}
    if len(last) < count:
        raise ValueError(f"{type(model).__name__} has {len(last)} resolutions above 1×1, {count} betas are given")
    return list(last.values())[-count:]


@contextlib.contextmanager
def captured(model: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """The outputs of the named modules, by name in the order of the forward pass, filled in by a pass inside."""
    seen: dict[str, Tensor] = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
        for name in names
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
