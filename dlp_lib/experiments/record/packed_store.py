"""A store that notes what is used of it, and that may have a pack of earlier results behind it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ...fingerprint import neutral
from ...store import Record, Store

STATE = "/state"  # how the names of states end
User = tuple[int, str]  # the seed and the name of a part


def run_of(name: str) -> str:
    """Return the run, or the single result, that a record belongs to."""
    return name.split("/")[0]


class LeftOut(LookupError):
    """A tensor is wanted that a pack left out: its run is to be computed again."""

    def __init__(self, name: str, tensor: str):
        super().__init__(f"{name}: {tensor} was left out of the pack")
        self.run = run_of(name)


@dataclass
class Packed:
    """What a pack holds of one record."""

    facts: dict
    names: list[str] | None  # of all tensors that the record had; None: unknown, none is held
    tensors: dict[str, Tensor]  # those that are held
    looked_at: set[str] = field(default_factory=set)  # names of tensors
    users: set[User] = field(default_factory=set)
    whole_for: set[User] = field(default_factory=set)  # users whose tables may want any tensor

    def merge(self, other: "Packed") -> None:
        """Add what another process packed of the same record."""
        self.users |= other.users
        self.whole_for |= other.whole_for
        self.looked_at |= other.looked_at
        self.tensors = other.tensors | self.tensors


@dataclass
class Use:
    """What a part did with one record."""

    facts: dict
    names: list[str] | None  # of all its tensors; None: unknown
    looked_at: set[str] = field(default_factory=set)  # names of tensors
    written: bool = False
    whole: bool = False  # whether any of its tensors may be wanted later in the part


class _Watched(Mapping):
    """Tensors of a record; whoever looks at one is noted."""

    def __init__(self, name: str, packed: Packed, noted: set[str]):
        self._name = name
        self._packed = packed
        self._noted = noted

    def __getitem__(self, tensor: str) -> Tensor:
        if tensor not in self:
            raise KeyError(tensor)
        if tensor not in self._packed.tensors:
            raise LeftOut(self._name, tensor)
        self._noted.add(tensor)
        return self._packed.tensors[tensor]

    def __contains__(self, tensor: object) -> bool:
        return self._packed.names is None or tensor in self._packed.names

    def __iter__(self) -> Iterator[str]:
        if self._packed.names is None:
            raise LeftOut(self._name, "every tensor")
        return iter(self._packed.names)

    def __len__(self) -> int:
        return len(list(iter(self)))


@neutral
class PackedStore(Store):
    """A store on disk that reads what it lacks from a pack, and notes what is used.

    What comes from the pack is not written to the disk, as it is incomplete: other programs that
    share the folder must not meet it.
    """

    def __init__(self, root: str | Path | None = None):
        super().__init__(root)
        self.packed: dict[str, Packed] = {}  # by the names of records
        self.used: dict[str, Use] = {}  # likewise
        self.newest_state: str | None = None  # the name of the state that was written last
        self.newest_block: str | None = None  # the name of its block
        self.forgotten: set[str] = set()  # runs that are computed again
        self.whole = False  # whether records are used as a whole
        self._notes = True

    def read(self, name: str) -> Record | None:
        """Return a record, and note which of its tensors are looked at."""
        packed = self.packed.get(name)
        record = self.read_disk(name)
        if record is not None:
            packed = Packed(record.facts, list(record.tensors), record.tensors)
        if packed is None:
            return None
        return Record(self._watched(name, packed), packed.facts)

    def read_disk(self, name: str) -> Record | None:
        """Return a record of the disk, and note nothing."""
        return super().read(name)

    def write(self, name: str, tensors: dict[str, Tensor], facts: dict) -> Record:
        """Store a record, and note that."""
        record = super().write(name, tensors, facts)
        self.used.pop(name, None)
        packed = Packed(record.facts, list(record.tensors), record.tensors)
        watched = self._watched(name, packed)
        self.used[name].written = True
        if name.endswith(STATE):
            self.newest_state = name
            self.newest_block = f"{run_of(name)}/{facts['block']}"
        return Record(watched, record.facts)

    def forget(self, run: str) -> None:
        """Take a run out of the pack, so that it is computed again."""
        self.forgotten.add(run)
        for name in list(self.packed):
            if run_of(name) == run:
                del self.packed[name]

    @contextlib.contextmanager
    def noting(self, notes: bool = True, whole: bool = False) -> Iterator[None]:
        """Say how use is noted inside the block.

        Args:
            notes: False: what is looked at is not noted.
            whole: True: of every record that is touched, each tensor may be wanted later.
        """
        before = (self._notes, self.whole)
        self._notes = notes
        self.whole = whole
        try:
            yield
        finally:
            self._notes, self.whole = before

    def _watched(self, name: str, packed: Packed) -> _Watched:
        use = self.used.setdefault(name, Use(packed.facts, packed.names))
        use.whole = use.whole or self.whole
        return _Watched(name, packed, use.looked_at if self._notes else set())
