"""A sitting: parts one after another, until all are recorded or the minutes are over."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ....console import say
from ....context import print_progress
from ....runtime import environment
from ....store import lock
from ...scenario import Scenario
from ..packed_store import LeftOut, PackedStore
from .collect import add, is_missing
from .pack import Pack
from .parts import Part
from .tables import READING_BLOCKS, SHARING, TABLES, attack, check, defend, rows

PACK_EVERY = 180  # seconds, while a part is measured


class SittingOver(Exception):
    """The minutes are over. What was trained is stored, and the next sitting goes on from there."""


class Sitting:
    """Measures parts, writes their rows, and packs what the next sitting needs."""

    def __init__(self, minutes: float, store: PackedStore, tables: Path, pack: Pack | None):
        """Begin now.

        Args:
            minutes: after which it ends, at the end of a block.
            store: of the scenario.
            tables: the folder of the tables.
            pack: None: nothing is packed.
        """
        self.end = time.monotonic() + 60 * minutes
        self.store = store
        self.tables = tables
        self.pack = pack
        self._user: tuple[int, str] | None = None  # seed and name of the part that is measured
        self._packed_at = time.monotonic()
        self._is_packed = False  # whether the pack has all that there is

    def progress(self, stage: str, block: int, blocks: int, row: dict) -> None:
        """Print progress, pack if it is time, and end the sitting if the minutes are over.

        Raises:
            SittingOver: after the last minute.
        """
        print_progress(stage, block, blocks, row)
        self._is_packed = False
        now = time.monotonic()
        if now > self.end:
            raise SittingOver
        if now - self._packed_at > PACK_EVERY:
            self._write_pack()

    def measure(self, base: Scenario, runs: Iterable[tuple[int, Part]], settings: dict) -> None:
        """Measure the parts that have no rows yet.

        Args:
            base: the clean data.
            runs: seeds and parts, in their order.
            settings: those of all tables.

        Raises:
            ValueError: before any work, where there are too few images for a part.
        """
        missing = [run for run in runs if is_missing(run[1], run[0], self.tables)]
        for _, part in missing:
            check(base, part)
        try:
            for seed, part in missing:
                if not is_missing(part, seed, self.tables):  # another process has recorded it
                    continue
                if time.monotonic() > self.end:
                    raise SittingOver
                self._measure_part(_with_seed(base, seed), part, settings)
                self._write_pack()
        except SittingOver:
            say("\nthe minutes are over; the same command goes on from here")
        finally:
            if not self._is_packed:
                self._write_pack()

    def _measure_part(self, base: Scenario, part: Part, settings: dict) -> None:
        runtime = base.context.runtime
        self._user = (runtime.seed, part.name)
        self._is_packed = False
        self.store.used.clear()
        tables = self._rows(base, part)
        with lock(self.tables.with_suffix(".lock")):  # others may record into the same folder
            for table, found in tables.items():
                what = TABLES[table].__doc__
                made = {"what": what, "settings": settings, **environment(runtime)}
                add(table, [{"seed": runtime.seed, **row} for row in found], made, self.tables)
        say(f"recorded: seed {runtime.seed}, {part.name}")

    def _rows(self, base: Scenario, part: Part) -> dict[str, list[dict]]:
        """Return the part's rows; a stage of which the pack left too much out is trained again."""
        while True:
            try:
                scene = attack(base, part)
                reads_blocks = bool(set(READING_BLOCKS) & set(part.tables))
                with self.store.noting(whole=reads_blocks):
                    run = defend(scene, part)
                tables = {}
                for name in part.tables:
                    with self.store.noting(name in SHARING):
                        tables[name] = rows(run, name)
                return tables
            except LeftOut as gone:
                say(f"\n{gone}: {gone.run} is computed again")
                self.store.forget(gone.run)

    def _write_pack(self) -> None:
        if self.pack is not None:
            self.pack.write(self._user)
            self._packed_at = time.monotonic()
            self._is_packed = True


def _with_seed(base: Scenario, seed: int) -> Scenario:
    runtime = replace(base.context.runtime, seed=seed)
    return replace(base, context=replace(base.context, runtime=runtime))
