"""Context: where training runs, where its results are stored, and who hears of its progress."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .checking import check_type, shown
from .fingerprint import neutral
from .runtime import Runtime
from .store import Store

Progress = Callable[[str, int, int, dict], None]


@neutral
def no_progress(stage: str, block: int, blocks: int, row: dict) -> None:
    """Report nothing."""


@neutral
def print_progress(stage: str, block: int, blocks: int, row: dict) -> None:
    """Print how many blocks of a stage are done, on one line that is written anew each time."""
    end = "\n" if block == blocks else ""
    print(f"\r{stage}: {block} of {blocks}", end=end, flush=True)


@dataclass(frozen=True)
class Context:
    """What every stage needs besides its model, its data and its config."""

    runtime: Runtime = field(default_factory=Runtime)
    store: Store = field(default_factory=Store)  # of stages; by default in memory
    # Called after every block that was computed, not read: stage, block, blocks, row of History.
    progress: Progress = no_progress

    def __post_init__(self):
        check_type("runtime", self.runtime, Runtime)
        check_type("store", self.store, Store)
        if not callable(self.progress):
            raise TypeError(f"progress={shown(self.progress)}: allowed is a function")

    def __fingerprint__(self) -> Runtime:
        """Only the runtime decides what a stage comes to."""
        return self.runtime
