"""What a step may not do on a GPU, and a stand-in for a CUDA graph, both on the CPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

aten = torch.ops.aten
# Each makes the host wait for the device, or has a result whose shape depends on data
WAITING = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.bincount.default,
    aten.equal.default,
}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}


class Waits(AssertionError):
    """A step did what makes a GPU's host wait."""


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a GPU's host wait for the device, and counts what is dispatched."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        if function in WAITING:
            raise Waits(str(function))
        if function in INDEXING:
            for index in args[1]:
                if index is not None and index.dtype in (torch.bool, torch.uint8):
                    raise Waits(f"{function} by a mask")
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            for argument in args:
                if isinstance(argument, torch.Tensor) and argument.device != result.device:
                    raise Waits(f"{function} from {argument.device} to {result.device}")
        return result


class Tape(TorchDispatchMode):
    """Records operations, and does them again with the same arguments, as a CUDA graph does.

    Whatever Python computed while they were recorded is the same in every replay: numbers, and
    which tensors an operation takes.
    """

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        self.operations.append((function, args, kwargs, result))
        return result

    def replay(self):
        """Do all operations again; results of the first time stand for those of this time."""
        now = {}

        def current(value):
            return now.get(id(value), value) if isinstance(value, torch.Tensor) else value

        for function, args, kwargs, result in self.operations:
            with torch.no_grad():
                again = function(*tree_map(current, args), **tree_map(current, kwargs))
            pairs = zip(_tensors(result), _tensors(again), strict=True)
            now.update({id(old): new for old, new in pairs if old is not new})


def _tensors(result):
    parts = result if isinstance(result, (tuple, list)) else [result]
    return [part for part in parts if isinstance(part, torch.Tensor)]


def record_on_tape(function):
    """Stand in for ``capture.record_cuda_graph``.

    A capture launches nothing. Here the operations run while they are recorded, so whatever they
    change is put back.
    """
    with Tape() as tape:
        function()
    return tape.replay
