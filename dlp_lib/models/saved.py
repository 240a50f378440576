"""Saved models: one safetensors file that says what it needs to be loaded. Nothing is unpickled."""

import importlib.metadata
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checking import check_int
from ..files import write_atomically
from ..store import header_of, separate
from .architectures import ARCHITECTURES, expect_architecture

_KEY = "dlp_lib"  # of the header's JSON
# What a user of the weights must know, whatever library they are loaded with.
_INPUT = "float images (n, 3, h, w) in [0, 1]; no normalisation, as the model centres them itself"


def save_model(
    model: nn.Module, path: str | Path, architecture: str, classes: tuple[str, ...], image_size: int
) -> None:
    """Write a model into one safetensors file, atomically.

    The header holds JSON under "dlp_lib": architecture, classes, image size, what the model takes,
    and the version of this library.

    Args:
        model: as ``models.build`` makes it, trained or not.
        path: of the file; an older one is replaced.
        architecture: its name in ARCHITECTURES.
        classes: names of the classes, in the order of the logits.
        image_size: pixels a side of the images that it was trained on.

    Raises:
        ValueError: where the model is not of this architecture, or has other classes.
    """
    from safetensors.torch import save

    check_int("image_size", image_size, 1)
    tensors = separate(model.state_dict())
    _expect_tensors(tensors, _empty(architecture, len(classes)), f"architecture={architecture!r}")
    facts = {
        "architecture": architecture,
        "classes": list(classes),
        "image_size": image_size,
        "input": _INPUT,
        "version": _version(),
    }
    write_atomically(Path(path), save(tensors, {_KEY: json.dumps(facts)}))


def load_model(path: str | Path) -> nn.Module:
    """Read a model that ``save_model`` or ``python -m dlp_lib defend`` has written.

    Args:
        path: of the safetensors file.

    Returns:
        The model on the CPU, in evaluation mode. It takes float images (n, 3, h, w) in [0, 1];
        ``predict`` gives it uint8 images. Its attribute ``classes`` has their names, in the order
        of the logits, and ``image_size`` the pixels a side that it was trained on.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: where the file is not such a model.
    """
    path = Path(path)
    tensors, facts = _read(path)
    model = _empty(facts["architecture"], len(facts["classes"]))
    _expect_tensors(tensors, model, str(path))
    model.load_state_dict(tensors, assign=True)
    model.classes = tuple(facts["classes"])
    model.image_size = facts["image_size"]
    return model.to(memory_format=torch.channels_last).eval()


def _read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Return the tensors and the checked facts of a file."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = path.read_bytes()
    try:
        tensors = load(data)
        facts = json.loads(header_of(data)[_KEY])
        _expect_facts(facts)
    except (SafetensorError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a model that dlp_lib has saved ({error!r})") from None
    return tensors, facts


def _expect_facts(facts: dict) -> None:
    """Check what a header says; ValueError, KeyError or TypeError where it says something else."""
    expect_architecture(facts["architecture"])
    classes = facts["classes"]
    are_names = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not are_names or len(classes) < 2:
        raise ValueError("classes: allowed are the names of two or more")
    check_int("image_size", facts["image_size"], 1)


def _empty(architecture: str, n_classes: int) -> nn.Module:
    """Return a model whose weights have shapes, but neither memory nor values."""
    make_model = ARCHITECTURES[expect_architecture(architecture)]
    with torch.device("meta"):
        return make_model(check_int("n_classes", n_classes, 2))


def _expect_tensors(tensors: dict[str, Tensor], model: nn.Module, origin: str) -> None:
    """Check names, shapes and kinds of numbers of all tensors against an architecture's."""
    expected = model.state_dict()
    odd = sorted(set(tensors) ^ set(expected))
    for name in set(tensors) & set(expected):
        same_shape = tensors[name].shape == expected[name].shape
        if not same_shape or tensors[name].dtype != expected[name].dtype:
            odd.append(name)
    if odd:
        raise ValueError(
            f"{origin}: its weights do not fit {len(expected)} tensors of that architecture and "
            f"these classes ({odd[0]!r} does not)"
        )


def _version() -> str:
    try:
        return importlib.metadata.version("dlp_lib")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        return "unknown"
