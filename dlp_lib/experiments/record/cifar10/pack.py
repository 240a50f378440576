"""A pack: the tables of all sittings so far, and what the next one needs of the store."""

import itertools
from collections.abc import Iterable
from pathlib import Path

from ....console import say
from ....store import lock
from .. import volumes
from ..packed_store import STATE, Packed, PackedStore, Use, User, run_of
from ..volumes import Contents, Member
from .collect import finished_parts, read_all, restore
from .parts import PARTS

VOLUMES = 8  # how many a pack has, unless what is needed takes more
# Results that several parts of one scenario share: stages 1 and 2, and what an attack prepares.
# All others serve the part alone that made them.
SHARED = ("SL", "AU", "LCA", "TrojanNN")

_PARTS = {part.name: part for part in PARTS}


class Pack:
    """What a sitting leaves to the next one, in volumes of a folder.

    It holds all tables; the state of the stage that was being trained, and of a stage 1 that
    another part trains on; and those tensors of recorded blocks that a stage was left with or that
    the next one began from. Of all other blocks it holds their rows of History. So these are left
    out: blocks that nobody selected, logits of other epochs than E1, and the optimiser's slots of
    finished stages. A part that wants one of them all the same trains that stage again.

    Selected blocks that no missing part needs are kept as far as there is room. Processes may
    share a folder.
    """

    def __init__(self, folder: Path, store: PackedStore, tables: Path, limit: int = volumes.LIMIT):
        self.folder = folder
        self.store = store
        self.tables = tables  # the folder of the tables
        self.limit = limit  # bytes of a volume

    def unpack(self, settings: dict) -> None:
        """Put the tables where they belong, and what was kept of the store behind the store.

        Args:
            settings: with which the tables must have been made.

        Raises:
            ValueError: where they were made with others.
        """
        contents = volumes.read(self.folder)
        restore(contents.shared.get("tables", {}), settings, self.tables, self.folder)
        self.store.packed = {member.name: _unpacked(member) for member in contents.members}

    def write(self, user: User | None = None) -> None:
        """Write the volumes, and print how many there are.

        Args:
            user: the part that is being measured; None: what it used is in the pack already.
        """
        if user is not None:
            self._add_used(user)
        with lock(self.folder.with_suffix(".lock")):
            before = volumes.read(self.folder, warn=False)
            self._merge(before.members, user)  # another process may have written more
            members = self._members()
            shared = {"tables": read_all(self.tables)}
            contents = Contents(before.generation + 1, shared, members)
            count = volumes.write(self.folder, contents, self.limit)
        size = sum(len(member.data) for member in members) / 2**20
        say(f"packed: {count} volumes of {self.folder}, {size:.1f} MiB")

    def _merge(self, members: Iterable[Member], user: User | None) -> None:
        for member in members:
            if run_of(member.name) in self.store.forgotten:
                continue
            theirs = _unpacked(member)
            theirs.whole_for.discard(user)  # of this part, this process knows better
            ours = self.store.packed.setdefault(member.name, theirs)
            if not member.name.endswith(STATE):
                ours.merge(theirs)
            elif theirs.facts["block"] > ours.facts["block"]:
                self.store.packed[member.name] = theirs

    def _add_used(self, user: User) -> None:
        """Add what a part used so far."""
        newest = self.store.newest_state
        for name, packed in self.store.packed.items():
            if _is_passing_state(name) and name != newest and newest in self.store.used:
                packed.users.discard(user)
        for name, use in list(self.store.used.items()):
            if _is_passing_state(name) and name != newest:
                continue
            self._add(name, use, user)

    def _add(self, name: str, use: Use, user: User) -> None:
        packed = self.store.packed.get(name)
        if packed is None or use.written:
            users = set() if packed is None else packed.users
            packed = Packed(use.facts, use.names, {}, users=users)
            use.written = False
        packed.names = packed.names or use.names
        packed.users.add(user)
        packed.looked_at |= use.looked_at
        if use.whole or name.endswith(STATE) or name == self.store.newest_block:
            packed.whole_for.add(user)
        else:
            packed.whole_for.discard(user)
        self.store.packed[name] = packed
        wanted = packed.names if packed.whole_for else packed.looked_at
        missing = set(wanted or ()) - set(packed.tensors)
        record = self.store.read_disk(name) if missing else None
        if record is not None:
            packed.tensors |= {tensor: record.tensors[tensor] for tensor in missing}

    def _members(self) -> list[Member]:
        """Choose what goes into the volumes, and forget the rest; a run's records stand together.

        What a missing part needs goes in whatever it takes. Of the others, selected blocks go in,
        the smallest first, while there is room.
        """
        finished = finished_parts(self.tables)
        users = set().union(*(packed.users for packed in self.store.packed.values()))
        open_scenarios = _open_scenarios(users, finished)
        needed: dict[str, Member] = {}
        others: dict[str, Member] = {}
        for name, packed in list(self.store.packed.items()):
            is_needed = _is_needed(name, packed.users, finished, open_scenarios)
            wanted = _wanted(name, packed, is_needed, finished)
            tensors = packed.tensors
            packed.tensors = {key: tensors[key] for key in sorted(wanted) if key in tensors}
            member = _packed(name, packed)
            if is_needed:
                needed[name] = member
            elif packed.tensors and not name.endswith(STATE):
                others[name] = member
        room = VOLUMES * self.limit - sum(map(_size, needed.values()))
        for member in sorted(others.values(), key=_size):
            room -= _size(member)
            if room > 0:
                needed[member.name] = member
        self.store.packed = {name: self.store.packed[name] for name in needed}
        return [needed[name] for name in sorted(needed)]


def _is_passing_state(name: str) -> bool:
    """Tell whether it is a state of a stage that no other part trains on."""
    return name.endswith(STATE) and not name.startswith("SL-")


def _open_scenarios(users: set[User], finished: set[User]) -> set[tuple]:
    """Return seed and scenario of all parts that are missing, of the users' seeds.

    Shorter schedules do not count, as nobody needs both.
    """
    found = set()
    for seed, part in itertools.product({seed for seed, _ in users}, PARTS):
        if not part.shorter and (seed, part.name) not in finished:
            found.add((seed, *part.scenario))
    return found


def _is_needed(name: str, users: set[User], finished: set[User], open_scenarios: set) -> bool:
    """Tell whether a missing part needs a record: a user of it, or one that shares its run."""
    if not users <= finished:
        return True
    kind = run_of(name).rpartition("-")[0]
    if kind not in SHARED or _is_passing_state(name):
        return False
    return any((seed, *_PARTS[part].scenario) in open_scenarios for seed, part in users)


def _wanted(name: str, packed: Packed, is_needed: bool, finished: set[User]) -> set[str]:
    """Return the names of the tensors of a record that are worth a place."""
    if name.endswith(STATE) or not packed.whole_for <= finished:
        return set(packed.names or ())
    if is_needed:
        return packed.looked_at
    return packed.looked_at - {"logits"}


def _packed(name: str, packed: Packed) -> Member:
    from safetensors.torch import save

    is_stub = bool(packed.names) and not packed.tensors
    names = None if is_stub else packed.names  # they would take more room than all else
    facts = {"facts": packed.facts, "names": names}
    facts["looked_at"] = sorted(packed.looked_at)
    facts["users"] = sorted(packed.users)
    facts["whole_for"] = sorted(packed.whole_for)
    return Member(name, facts, save(packed.tensors) if packed.tensors else b"")


def _unpacked(member: Member) -> Packed:
    from safetensors.torch import load

    facts = member.facts
    return Packed(
        facts["facts"],
        facts["names"],
        load(member.data) if member.data else {},
        set(facts["looked_at"]),
        _known(facts["users"]),
        _known(facts["whole_for"]),
    )


def _known(users: list) -> set[User]:
    """Return the users that are parts of this version of the program."""
    return {(seed, name) for seed, name in users if name in _PARTS}


def _size(member: Member) -> int:
    """Return about how many bytes of a volume it takes."""
    return len(member.data) + 1000
