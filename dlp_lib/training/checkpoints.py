"""Checkpoints: the recorded blocks of one training run, and the state from which it goes on."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from ..fingerprint import neutral
from ..store import Record, Store

STATE = "state"  # the name of the newest state, beside the numbers of the blocks


def block_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what of a model is recorded after a block, by name."""
    return {f"model.{name}": value for name, value in model.state_dict().items()}


def state_tensors(modules: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what a longer run goes on from, by name.

    Args:
        modules: the model and its average.
        optimiser: of which all slots are kept.
    """
    tensors = dict(modules.state_dict())
    for index, state in optimiser.state_dict()["state"].items():
        for slot, value in state.items():
            tensors[f"optimiser/{index}/{slot}"] = torch.as_tensor(value)
    return tensors


@neutral
class Checkpoints:
    """All that one training run has stored.

    Every block has a record: the weights that it left, other tensors of the stage, and its row
    of History. One more record, "state", is what a longer run goes on from: weights, their
    average, and the optimiser's slots (momentum, for example), of whatever shape.
    """

    def __init__(self, store: Store, name: str):
        self.store = store
        self.name = name

    def lock(self) -> AbstractContextManager:
        """Hold the run for one process at a time."""
        return self.store.lock(self.name)

    def read(self, block: int | str) -> Record | None:
        """Read the record of a block (1 is the first), or None where there is none."""
        return self.store.read(f"{self.name}/{block}")

    def history(self, blocks: int) -> list[dict]:
        """Read the rows of the first ``blocks`` blocks.

        They end before the first block that is not recorded, and after one that diverged.
        """
        rows: list[dict] = []
        while len(rows) < blocks:
            record = self.read(len(rows) + 1)
            if record is None:
                break
            rows.append(record.facts)
            if record.facts["diverged"]:
                break
        return rows

    def write(self, block: int, tensors: dict[str, Tensor], row: dict) -> None:
        """Record a block: tensors (of ``block_tensors``, and more), and its row of History."""
        self.store.write(f"{self.name}/{block}", tensors, row)

    def load(self, model: nn.Module, block: int, reestimated: bool = False) -> None:
        """Load a block's weights into the model.

        Args:
            model: of the same architecture and size; changed in place.
            block: 1 is the first.
            reestimated: take the batch-norm statistics that unlearning estimated anew.

        Raises:
            LookupError: where the block is not recorded.
        """
        record = self.read(block)
        if record is None:
            raise LookupError(f"{self.name}: block {block} is not recorded")
        state = {}
        for name in model.state_dict():
            state[name] = record.tensors[f"model.{name}"]
            if reestimated and f"reestimated.{name}" in record.tensors:
                state[name] = record.tensors[f"reestimated.{name}"]
        model.load_state_dict(state)

    def write_state(self, tensors: dict[str, Tensor], facts: dict[str, object]) -> None:
        """Record what a longer run goes on from; it replaces the state before.

        Args:
            tensors: of ``state_tensors``.
            facts: plain values; among them "block" and "step", how many were done.
        """
        self.store.write(f"{self.name}/{STATE}", tensors, facts)

    def resume(
        self, modules: nn.Module, optimiser: torch.optim.Optimizer, recorded: int
    ) -> tuple[int, int]:
        """Load the newest state.

        Args:
            modules: as they were given to ``state_tensors``; changed in place.
            optimiser: fresh, of the same parameters; its slots are filled.
            recorded: how many blocks are recorded; a state beyond them is not used.

        Returns:
            How many blocks and how many steps were done; (0, 0) where there is no state.
        """
        record = self.read(STATE)
        if record is None or record.facts["block"] > recorded:
            return 0, 0
        modules.load_state_dict({name: record.tensors[name] for name in modules.state_dict()})
        self._load_slots(optimiser, record.tensors)
        return record.facts["block"], record.facts["step"]

    def _load_slots(self, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
        weights = [weight for group in optimiser.param_groups for weight in group["params"]]
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if not name.startswith("optimiser/"):
                continue
            _, index, slot = name.split("/", 2)
            weight = weights[int(index)]
            if value.shape == weight.shape:  # in the weight's memory format, as it was made
                value = torch.empty_like(weight, dtype=value.dtype).copy_(value)
            states.setdefault(int(index), {})[slot] = value
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": states, "param_groups": groups})
