"""Records of a run, copied from a GPU in one piece and written while the next block computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from ..fingerprint import neutral
from .checkpoints import Checkpoints

Tensors = dict[str, Tensor]
Report = Callable[[], None]


class BlockRecord(NamedTuple):
    """All that one block leaves."""

    block: int
    tensors: Tensors  # of the block: weights, and whatever the stage measured
    row: dict  # of History
    state: Tensors  # of which a longer run goes on
    facts: dict  # of the state


@neutral
class Recorder:
    """Writes blocks in their order; to be used in a ``with`` statement.

    On the CPU a block is written at once. On a GPU its tensors are copied in one piece, and a
    thread writes them while the next block computes. One block at a time is under way. At the end
    of the ``with`` statement all are written, also where an error ended the run.

    Args:
        checkpoints: where the blocks are written.
        in_background: whether a thread writes.
    """

    def __init__(self, checkpoints: Checkpoints, in_background: bool):
        self.checkpoints = checkpoints
        self._thread = ThreadPoolExecutor(1) if in_background else None
        self._writing: Future | None = None
        self._report: Report | None = None  # of the block that is under way

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        try:
            self._finish(report=kind is None)
        finally:
            if self._thread is not None:
                self._thread.shutdown()

    def write(self, record: BlockRecord, report: Report) -> None:
        """Write a block, or begin to.

        Args:
            record: of the block. Its tensors may change afterwards.
            report: called, in this thread, as soon as the block is known to be written.

        Raises:
            OSError: where the block before could not be written; on the CPU, this one.
        """
        self._finish(report=True)
        if self._thread is None:
            _write(self.checkpoints, record, None)
            report()
            return
        names = [*record.tensors, *record.state]
        tensors = [*record.tensors.values(), *record.state.values()]
        copies, copied = copy_to_cpu(tensors)
        count = len(record.tensors)
        record = record._replace(
            tensors=dict(zip(names[:count], copies[:count], strict=True)),
            state=dict(zip(names[count:], copies[count:], strict=True)),
        )
        self._report = report
        self._writing = self._thread.submit(_write, self.checkpoints, record, copied)

    def _finish(self, report: bool) -> None:
        """Wait until the block that is under way is written, and report it."""
        if self._writing is None:
            return
        writing = self._writing
        self._writing = None
        writing.result()
        if report:
            self._report()


def _write(checkpoints: Checkpoints, record: BlockRecord, copied: torch.cuda.Event | None) -> None:
    if copied is not None:
        copied.synchronize()
    # The record comes before the state: killed in between, the block is trained once more.
    checkpoints.write(record.block, record.tensors, record.row)
    checkpoints.write_state(record.state, record.facts)


def copy_to_cpu(tensors: list[Tensor]) -> tuple[list[Tensor], torch.cuda.Event | None]:
    """Begin to copy tensors to the CPU, with one transfer for all that are on a GPU.

    Args:
        tensors: on the CPU and on at most one GPU.

    Returns:
        The copies, and an event: before it has happened, the copies hold nothing. It is None where
        nothing was on a GPU.
    """
    copies = [
        tensor.detach().clone() if tensor.device.type == "cpu" else None for tensor in tensors
    ]
    remote = [index for index, copied in enumerate(copies) if copied is None]
    if not remote:
        return copies, None
    # The largest elements first, so that each tensor begins at a multiple of its element's size
    remote.sort(key=lambda index: -tensors[index].element_size())
    flat = flatten([tensors[index] for index in remote])
    on_cpu = torch.empty(len(flat), dtype=torch.uint8, pin_memory=True)
    on_cpu.copy_(flat, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()
    parts = unflatten(on_cpu, [tensors[index] for index in remote])
    for index, part in zip(remote, parts, strict=True):
        copies[index] = part
    return copies, copied


def flatten(tensors: list[Tensor]) -> Tensor:
    """Return the bytes of tensors one after another, as one tensor (uint8)."""
    return torch.cat([tensor.detach().reshape(-1).view(torch.uint8) for tensor in tensors])


def unflatten(flat: Tensor, like: list[Tensor]) -> list[Tensor]:
    """Return views of bytes, with the dtypes and shapes of other tensors, one after another.

    Args:
        flat: (bytes,) uint8.
        like: in falling order of the size of their elements.
    """
    parts = flat.split([tensor.nbytes for tensor in like])
    views = []
    for part, tensor in zip(parts, like, strict=True):
        views.append(part.view(tensor.dtype).view(tensor.shape))
    return views
