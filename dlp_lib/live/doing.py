"""What a job of the live lab does now, how far it is, and how long it still takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from .background import Check
from .setting import LabSetting

Tell = Callable[[], None]


@dataclass(eq=False)
class Job:
    """Work for a setting that runs in the background."""

    setting: LabSetting
    is_finetuning: bool
    queues: bool  # another one has to end before it begins
    has_begun: bool = False


@dataclass(frozen=True)
class Doing:
    """What a job does now."""

    stage: str = "data"  # or "SL", "AU", "ASSFT"
    block: int = 0  # the last one that is done: an epoch, or a tenth of fine-tuning
    blocks: int = 0  # of the stage
    seconds_left: float | None = None  # of the stage; None: not known yet
    waits: bool = False  # another page or process trains the same; its results will be read
    ca: float | None = None  # of the weights so far, in fine-tuning: the truth


class Report:
    """Keeps what a job does, tells of it, and checks whether the job is still wanted."""

    def __init__(self, check: Check, tell: Tell):
        """Begin a report.

        Args:
            check: called at every step; may raise an exception to stop the job.
            tell: called at every step, when ``doing`` is up to date.
        """
        self.doing = Doing()
        self._check = check
        self._tell = tell
        self._began = time.monotonic()
        self._first_block = 0  # of those that were not recorded when the stage began

    def begin(self, stage: str, block: int, blocks: int) -> None:
        """Tell that a stage begins, of which some blocks may be recorded."""
        self.doing = Doing(stage, block, blocks)
        self._began = time.monotonic()
        self._first_block = block
        self.step()

    def advance(
        self, block: int, waits: bool = False, blocks: int | None = None, ca: float | None = None
    ) -> None:
        """Tell how many blocks of the stage are done.

        Args:
            block: the last one that is done.
            waits: whether another process does it.
            blocks: of the stage; None: as many as it began with.
            ca: clean accuracy of the weights so far, where it was measured.
        """
        blocks = self.doing.blocks if blocks is None else blocks
        computed = block - self._first_block
        left = None
        if computed > 0:
            pace = (time.monotonic() - self._began) / computed
            left = pace * (blocks - block)
        self.doing = Doing(self.doing.stage, block, blocks, left, waits, ca)
        self.step()

    def wait(self) -> None:
        """Tell that another page or process computes what is needed here."""
        self.doing = replace(self.doing, waits=True)
        self.step()

    def step(self) -> None:
        """Tell, and stop if the job is not wanted any more."""
        self._tell()
        self._check()
