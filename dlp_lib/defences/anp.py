"""Adversarial neuron pruning, ANP (Wu & Wang 2021, arXiv:2110.14430)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ..checking import check_field, check_fraction, check_int, check_number, check_type
from ..context import Context
from ..data.split import Split
from ..models.interface import copied
from ..training.admission import admit
from ..training.identity import FixedModel
from .base import DefenceResult
from .clean import held_out
from .finetuning import Batch, Training, clean_accuracy, finetune

Noise = list[Tensor]  # of all scales, layer by layer, and then of all shifts
THRESHOLDS = [step / 20 for step in range(20)]  # those of the authors' code


class Masks(nn.Module):
    """One number in [0, 1] for every neuron: each channel of each batch-norm layer of a model.

    Raises:
        ValueError: for a model without batch-norm layers that have scales.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.names: list[str] = []  # of the batch-norm layers
        self.masks = nn.ParameterList()
        for name, layer in model.named_modules():
            if isinstance(layer, _BatchNorm) and layer.affine:
                self.names.append(name)
                self.masks.append(torch.ones_like(layer.weight))
        if not self.names:
            raise ValueError(
                f"{type(model).__name__} has no batch-norm layer, whose scales ANP prunes"
            )


@dataclass(frozen=True, kw_only=True)
class ANP:
    """Prune the neurons that an adversary can do most harm with.

    Masks are trained against an adversary that perturbs all neurons. Neurons behind a backdoor
    are sensitive, so that their masks fall. The threshold of pruning is the highest that costs at
    most ``allowed`` of validation CA. Threat model: a trained model, and a few clean images.
    """

    sees: ClassVar[str] = "clean"
    starts: ClassVar[str] = "trained"

    eps: float = 0.4  # how far scales and shifts are perturbed, relative to themselves; the paper's
    inner: int = 1  # steps of the adversary; that of the authors' code
    alpha: float = 0.2  # weight of the loss without perturbation; the paper's
    allowed: float = 0.04  # by how much validation CA may drop; ours
    # Of the masks. Learning rate, momentum and batch are those of the authors' code. Its 2,000
    # steps are about 125 epochs of 2,000 images
    training: Training = field(
        default_factory=lambda: Training(lr=0.2, weight_decay=0.0, epochs=125)
    )

    def __post_init__(self):
        check_field(self, "eps", check_number, least=0)
        check_field(self, "inner", check_int, 1)
        check_field(self, "alpha", check_number, least=0, most=1)
        check_field(self, "allowed", check_fraction)
        check_field(self, "training", check_type, Training)

    def run(self, model: nn.Module, clean: Split, context: Context | None = None) -> DefenceResult:
        """Prune a copy of the model.

        Raises:
            TypeError: before any work, for arguments of other types.
            ValueError: before any work, for fewer than five clean images, and for a model that
                cannot take them, has other classes, or has no batch-norm.
            Diverged: where the masks did not stay finite.
        """
        context = context or Context()
        model, clean = admit("clean", model, clean, context, trains=False, in_parts=True)
        masks = Masks(model)
        training, validation = held_out(clean, context)
        loss = self._loss(model, training, context)
        stage = finetune(
            "ANP",
            masks,
            training,
            self.training,
            context,
            loss,
            passes=self.inner + 2,
            takes_images=False,
        )
        pruned = prune(model, masks, validation, self.allowed)
        return DefenceResult(pruned.eval(), {"ANP": stage})

    def _loss(
        self, model: nn.Module, training: Split, context: Context
    ) -> Callable[[Masks, Batch], Tensor]:
        """Return the loss of masks and a batch: alpha·(as it is) + (1 - alpha)·(perturbed)."""
        frozen = copied(model).requires_grad_(False).train()
        fixed = FixedModel(frozen, training.images, context.runtime)
        eps = self.eps
        inner = self.inner
        alpha = self.alpha

        def loss(masks: Masks, batch: Batch) -> Tensor:
            images, labels = batch
            with torch.no_grad():
                for mask in masks.masks:
                    mask.clamp_(0, 1)

            def with_noise(noise: Noise) -> Tensor:
                state = perturbed(fixed.model, masks, noise)
                for name, buffer in fixed.model.named_buffers():
                    state[name] = buffer.clone()  # so that the model's own stays as it was
                logits = functional_call(fixed.model, state, (images,))
                return functional.cross_entropy(logits, labels)

            noise = adversary(with_noise, list(masks.masks) * 2, eps, inner)
            no_noise = [torch.zeros_like(part) for part in noise]
            natural = with_noise(no_noise)
            robust = with_noise(noise)
            return alpha * natural + (1 - alpha) * robust

        return loss


def perturbed(model: nn.Module, masks: Masks, noise: Noise) -> dict[str, Tensor]:
    """Return batch-norm's weights: scales (mask + noise)·scale, and shifts (1 + noise)·shift.

    Args:
        model: left as it is.
        masks: of the model.
        noise: (channels,) each, of all scales and then of all shifts.
    """
    weights = dict(model.named_parameters())
    layers = len(masks.names)
    changed = {}
    of_scales = noise[:layers]
    of_shifts = noise[layers:]
    for name, mask, extra in zip(masks.names, masks.masks, of_scales, strict=True):
        scale = f"{name}.weight"
        changed[scale] = (mask + extra) * weights[scale]
    for name, extra in zip(masks.names, of_shifts, strict=True):
        shift = f"{name}.bias"
        changed[shift] = (1 + extra) * weights[shift]
    return changed


def adversary(loss: Callable[[Noise], Tensor], like: list[Tensor], eps: float, steps: int) -> Noise:
    """Return noise in [-eps, eps] that raises the loss, found by signed gradient steps.

    It starts at random, drawn from torch's global stream, which the loop seeds.

    Args:
        loss: of the noise.
        like: tensors of the noise's shapes.
        eps: the bound.
        steps: how many; each of eps / steps.
    """
    noise = [eps * (2 * torch.rand_like(part) - 1) for part in like]
    for _ in range(steps):
        noise = [part.detach().requires_grad_() for part in noise]
        slopes = torch.autograd.grad(loss(noise), noise)
        raised = []
        for part, slope in zip(noise, slopes, strict=True):
            stepped = part + eps / steps * slope.sign()
            raised.append(stepped.clamp(-eps, eps))
        noise = raised
    return [part.detach() for part in noise]


def prune(model: nn.Module, masks: Masks, validation: Split, allowed: float) -> nn.Module:
    """Return the copy of the highest threshold that costs at most ``allowed`` of accuracy.

    Args:
        model: left as it is; it comes back itself where even threshold 0 costs too much.
        masks: of the model.
        validation: clean images.
        allowed: by how much validation accuracy may fall.
    """
    least = clean_accuracy(model, validation) - allowed
    candidates = (silence(model, masks, threshold) for threshold in THRESHOLDS)
    accuracies = [clean_accuracy(candidate, validation) for candidate in candidates]
    threshold = highest_threshold(accuracies, least)
    return model if threshold is None else silence(model, masks, threshold)


def highest_threshold(accuracies: Sequence[float], least: float) -> float | None:
    """Return the highest threshold whose accuracy is high enough; None where there is none.

    Args:
        accuracies: shares in [0, 1], on clean images, at each of ``THRESHOLDS``.
        least: the accuracy that is high enough.
    """
    measured = zip(THRESHOLDS, accuracies, strict=True)
    allowed = [threshold for threshold, accuracy in measured if accuracy >= least]
    return max(allowed, default=None)


@torch.no_grad()
def silence(model: nn.Module, masks: Masks, threshold: float) -> nn.Module:
    """Return a copy of the model without the neurons whose mask is at most the threshold."""
    silenced = copied(model)
    for name, mask in zip(masks.names, masks.masks, strict=True):
        silenced.get_submodule(name).weight.masked_fill_(mask <= threshold, 0)
    return silenced
