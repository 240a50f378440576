"""What of a model counts for its fingerprint: not what a forward pass writes by itself."""

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn

from ..fingerprint import CannotFingerprint, fingerprint, neutral
from ..models.interface import uncompiled
from ..runtime import Runtime
from .inference import outputs_in_both_modes

Attribute = tuple[nn.Module, str]
_SAMPLE = 4  # images a pass


@neutral
@contextlib.contextmanager
def scratch_left_out(model: nn.Module, images: Tensor | None, runtime: Runtime) -> Iterator[None]:
    """Inside the block, the model has no attributes that its forward passes keep changing.

    A forward pass may keep tensors or counters in the model: made lazily, or for the next pass.
    They would tell a model that has been used from one that has not. So a few images pass first,
    twice, in both modes. What is made once exists then in any case, and counts. What differs
    between the two rounds is scratch, and is left out.

    Args:
        model: its weights, statistics and modes stay as they are.
        images: (n, 3, h, w) uint8; None where the model takes no images.
        runtime: for the random stream of the passes.
    """
    if images is None:
        yield
        return
    model = uncompiled(model)  # to compile for a few images is not worth the time
    first = images[:_SAMPLE]
    last = images[-_SAMPLE:]
    outputs_in_both_modes(model, first, runtime)
    before = _plain_attributes(model)
    outputs_in_both_modes(model, last.flip(0), runtime)
    after = _plain_attributes(model)
    scratch = [attribute for attribute in after if after[attribute] != before.get(attribute)]
    values = {}
    for module, name in scratch:
        values[module, name] = module.__dict__.pop(name)
    try:
        yield
    finally:
        for (module, name), value in values.items():
            module.__dict__[name] = value


@neutral
class FixedModel:
    """A model that a task's functions use and do not train.

    It counts for a fingerprint without what its forward passes keep changing. The model itself
    would tell a run that trained it from one that read its weights.
    """

    def __init__(self, model: nn.Module, images: Tensor, runtime: Runtime):
        self.model = model
        self.images = images  # some images (n, 3, h, w), uint8, that the model takes
        self.runtime = runtime

    def __fingerprint__(self) -> str:
        with scratch_left_out(self.model, self.images, self.runtime):
            return fingerprint(self.model)


def _plain_attributes(model: nn.Module) -> dict[Attribute, str]:
    """Fingerprint every attribute that is no part of nn.Module's own bookkeeping."""
    own = set(nn.Module().__dict__)
    found = {}
    for module in model.modules():
        for name, value in module.__dict__.items():
            if name in own:
                continue
            try:
                found[module, name] = fingerprint(value)
            except CannotFingerprint:
                found[module, name] = f"an object of type {type(value).__name__}"
    return found
