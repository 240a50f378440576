"""The rules for tensors and arrays, and for what torch and numpy have besides."""

import numpy as np
import torch
from torch.nn.parameter import UninitializedTensorMixin

from .instances import attributes
from .walk import Walk, rule

_PLAIN_TENSORS = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


@rule(torch.Tensor)
def _tensor(tensor: torch.Tensor, walk: Walk) -> None:
    walk.feed("tensor")
    if type(tensor) not in _PLAIN_TENSORS:
        walk.visit(type(tensor))
    walk.visit(_own_attributes(tensor))
    walk.feed("learns" if tensor.is_leaf and tensor.requires_grad else "constant")
    if isinstance(tensor, UninitializedTensorMixin):
        walk.feed("uninitialized", str(tensor.dtype))
        return
    _gradient_hooks(tensor, walk)
    walk.feed(str(tensor.dtype), str(tuple(tensor.shape)))
    walk.feed_memory(_bytes_of(tensor, walk))
    if tensor.numel() > 0:
        where = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        walk.feed(walk.memory(where))


def _own_attributes(tensor: torch.Tensor) -> dict:
    """What was set on a tensor; ``torch.compile`` leaves notes of its own."""
    pairs = vars(tensor).items()
    return {name: value for name, value in pairs if not name.startswith("_dynamo")}


def _gradient_hooks(tensor: torch.Tensor, walk: Walk) -> None:
    if not tensor.is_leaf:
        return
    for hooks in (tensor._backward_hooks, tensor._post_accumulate_grad_hooks):
        walk.visit(list((hooks or {}).values()), "hooks")


def _bytes_of(tensor: torch.Tensor, walk: Walk) -> np.ndarray:
    """The values in the order of the indices, wherever and however they lie."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        raise walk.refusal(tensor, "which is sparse, quantized or nested")
    if tensor.is_meta:
        raise walk.refusal(tensor, "which has no values, as it lies on the meta device")
    try:
        with torch._C.DisableTorchFunctionSubclass():
            tensor = torch.Tensor.detach(tensor).as_subclass(torch.Tensor)
        values = tensor.cpu().resolve_conj().resolve_neg().contiguous()
        return values.reshape(-1).view(torch.uint8).numpy()
    except (RuntimeError, TypeError):
        raise walk.refusal(tensor, "whose values cannot be read") from None


@rule(torch.dtype, torch.device, torch.layout, torch.memory_format, in_place=True)
@rule(torch.finfo, torch.iinfo, in_place=True)
def _fact(value, walk: Walk) -> None:
    walk.feed("torch", repr(value))


@rule(torch.Size, in_place=True)
def _size(value: torch.Size, walk: Walk) -> None:
    walk.feed("size", str(tuple(value)))


@rule(torch.Generator)
def _generator(generator: torch.Generator, walk: Walk) -> None:
    walk.feed("generator", generator.device.type)
    walk.feed_memory(generator.get_state().numpy())


@rule(torch._ops.OpOverload, torch._ops.OpOverloadPacket)
def _operator(operator, walk: Walk) -> None:
    walk.feed("operator", repr(operator))
    walk.visit(type(operator))


@rule(np.ndarray)
def _array(array: np.ndarray, walk: Walk) -> None:
    walk.feed("array", repr(array.dtype), str(array.shape))
    if type(array) not in (np.ndarray, np.memmap):
        walk.visit(type(array))
        walk.visit(attributes(array))
    if not array.dtype.hasobject:
        walk.feed(np.asarray(array).tobytes())
    elif array.dtype.names:
        raise walk.refusal(array, "which has objects in named fields")
    else:
        walk.visit(np.asarray(array).reshape(-1).tolist())


@rule(np.generic, in_place=True)
def _scalar(value: np.generic, walk: Walk) -> None:
    walk.feed("scalar", repr(value.dtype))
    if value.dtype.hasobject:
        raise walk.refusal(value, "which has objects in named fields")
    walk.feed(value.tobytes())


@rule(np.dtype, in_place=True)
def _array_type(value: np.dtype, walk: Walk) -> None:
    walk.feed("dtype", repr(value))


@rule(np.random.Generator)
def _numpy_generator(value: np.random.Generator, walk: Walk) -> None:
    walk.feed("numpy generator")
    walk.visit(value.bit_generator.state)


@rule(np.random.RandomState)
def _numpy_state(value: np.random.RandomState, walk: Walk) -> None:
    walk.feed("numpy random state")
    walk.visit(value.get_state(legacy=False))
