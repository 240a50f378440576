"""Adversarial neuron pruning (Wu & Wang 2021, arXiv:2110.14430)."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ..data import Split
from ..pipeline import Defended
from ..runtime import fraction, whole
from ..train import Context
from .base import Training, clean_accuracy, finetune, held_out

SOURCE = __loader__.get_source(__name__)
THRESHOLDS = [step / 20 for step in range(20)]


class Masks(nn.Module):
    """One number in [0, 1] for every neuron, that is, for every channel of every batch-norm layer of a model."""

    def __init__(self, model: nn.Module):
        super().__init__()
        kept = {name: layer for name, layer in model.named_modules() if isinstance(layer, _BatchNorm) and layer.affine}
        if not kept:
            raise ValueError(f"{type(model).__name__} has no batch-norm layer, whose scales ANP prunes")
        self.names = list(kept)
        self.masks = nn.ParameterList(torch.ones_like(layer.weight) for layer in kept.values())


@dataclass(frozen=True, kw_only=True)
class ANP:
    """Learn which neurons can go without harm, while an adversary perturbs all of them; prune those.

    Where a perturbation wakes the backdoor, the neurons behind it are given up. The threshold is the highest that costs
    ``allowed`` of validation CA at most. Threat model: a trained model, and a few clean images.
    """

    sees: ClassVar[str] = "clean"
    starts: ClassVar[str] = "trained"

    eps: float = 0.4  # how far scales and shifts may be perturbed, relative to themselves
    inner: int = 1  # steps of the adversary
    alpha: float = 0.2  # weight of the loss without perturbation
    allowed: float = 0.04  # by how much validation CA may drop
    training: Training = field(default_factory=lambda: Training(lr=0.2, weight_decay=0.0, epochs=125))  # of the masks

    def __post_init__(self):
        fraction("allowed", self.allowed)
        whole("inner", self.inner, 1)
        if self.eps < 0 or not 0 <= self.alpha <= 1:
            raise ValueError(f"eps={self.eps}, alpha={self.alpha}: allowed are eps ≥ 0 and 0 ≤ alpha ≤ 1")

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> Defended:
        """Prune a copy; ValueError for a model without batch-norm."""
        context, model = context or Context(), copy.deepcopy(model)
        masks, (training, validation) = Masks(model), held_out(clean, context)
        frozen = copy.deepcopy(model).requires_grad_(False).train()

        def loss(masks: Masks, batch: tuple[Tensor, Tensor]) -> Tensor:
            with torch.no_grad():
                for mask in masks.masks:
                    mask.clamp_(0, 1)

            def of(noise: list[Tensor]) -> Tensor:
                buffers = {name: buffer.clone() for name, buffer in frozen.named_buffers()}  # which stay as they were
                logits = functional_call(frozen, perturbed(frozen, masks, noise) | buffers, batch[:1])
                return functional.cross_entropy(logits, batch[1])

            noise = adversary(of, list(masks.masks) * 2, self.eps, self.inner)
            still = [torch.zeros_like(each) for each in noise]
            return self.alpha * of(still) + (1 - self.alpha) * of(noise)

        inputs = (SOURCE, model, self.eps, self.inner, self.alpha)
        stage = finetune("ANP", masks, training, self.training, context, loss, inputs, passes=self.inner + 2)
        return Defended(prune(model, masks, validation, self.allowed).eval(), {"ANP": stage})


def perturbed(model: nn.Module, masks: Masks, noise: list[Tensor]) -> dict[str, Tensor]:
    """Batch-norm's weights: scales (mask + noise)·scale, and shifts (1 + noise)·shift, whose noise comes second."""
    own, half = dict(model.named_parameters()), len(masks.names)
    scales = zip(masks.names, masks.masks, noise[:half], strict=True)
    shifts = zip(masks.names, noise[half:], strict=True)
    changed = {f"{name}.weight": (mask + extra) * own[f"{name}.weight"] for name, mask, extra in scales}
    return changed | {f"{name}.bias": (1 + extra) * own[f"{name}.bias"] for name, extra in shifts}


def adversary(loss: Callable[[list[Tensor]], Tensor], like: list[Tensor], eps: float, steps: int) -> list[Tensor]:
    """Noise in [-eps, eps] that raises the loss: from a random start (``train`` seeds it), signed gradient steps."""
    noise = [eps * (2 * torch.rand_like(each) - 1) for each in like]
    for _ in range(steps):
        noise = [each.detach().requires_grad_() for each in noise]
        slopes = torch.autograd.grad(loss(noise), noise)
        noise = [(n + eps / steps * slope.sign()).clamp(-eps, eps) for n, slope in zip(noise, slopes, strict=True)]
    return [each.detach() for each in noise]


def prune(model: nn.Module, masks: Masks, validation: Split, allowed: float) -> nn.Module:
    """The copy of the highest threshold that costs ``allowed`` of validation accuracy at most."""
    least, best = clean_accuracy(model, validation) - allowed, model
    for threshold in THRESHOLDS:
        candidate = silence(model, masks, threshold)
        if clean_accuracy(candidate, validation) >= least:
            best = candidate
    return best


@torch.no_grad()
def silence(model: nn.Module, masks: Masks, threshold: float) -> nn.Module:
    """A copy without the neurons whose mask is at most the threshold."""
    model = copy.deepcopy(model)
    for name, mask in zip(masks.names, masks.masks, strict=True):
        model.get_submodule(name).weight.masked_fill_(mask <= threshold, 0)
    return model
