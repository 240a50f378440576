"""The live lab's controller: a setting in, plain data out. What takes long is for a thread."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

import torch

from ..context import Context
from ..evaluation import filter_precision
from . import copying
from .answer import Answer, agreement, training_curves
from .background import Check
from .doing import Doing, Report, Tell
from .plan import Planner
from .recordings import Recordings
from .setting import LabSetting, ascent_key, finetuning_key, scenario_key
from .trainer import Trainer, no_call

PATIENCE = 0.2  # seconds between two reports while another thread trains


class Lab:
    """Answers settings from what is recorded, and trains what is not.

    ``look`` is quick and for any thread. ``work`` and ``finetune`` take long; they call ``check``
    often, which may raise an exception to stop them. What is recorded by then stays.
    """

    def __init__(
        self,
        context: Context,
        n_train: int | None = 5000,
        n_test: int | None = 1000,
        epochs: int = 20,
        steps: int | None = None,
        image_size: int | None = None,
    ):
        """Make a lab.

        Args:
            context: device and store; the seed is the setting's.
            n_train: how many training images, at most; None: all there are.
            n_test: how many test images, the first of them; None: all there are. Of a folder
                always all, as its images are sorted by class.
            epochs: the longest E1 and E2.
            steps: of fine-tuning; None: the recipe's.
            image_size: pixels a side; None: the data set's own.
        """
        self.context = context
        self.epochs = epochs
        self._planner = Planner(context, n_train, n_test, image_size, steps)
        self._lock = threading.Lock()  # the page's thread and a notebook's cell may both ask
        self._report = Report(no_call, no_call)  # of the newest call of work or finetune
        self._recordings = Recordings()

    def recommended(self, dataset: str = "shapes10", seed: int = 0) -> LabSetting:
        """Return the setting of a data set's recipe, E1 and E2 as far as the lab's epochs go."""
        setting = LabSetting(dataset, seed=seed)
        return replace(setting, e1=min(setting.e1, self.epochs), e2=min(setting.e2, self.epochs))

    def code(self, setting: LabSetting) -> str:
        """Return Python that gives the lab's own numbers; see ``Planner.plan``."""
        return copying.python_code(self._planner.plan(setting))

    def command(self, setting: LabSetting) -> str:
        """Return a shell command that gives the lab's own numbers; see ``Planner.plan``."""
        return copying.command(self._planner.plan(setting))

    def look(self, setting: LabSetting) -> Answer:
        """Return what is known now, within milliseconds."""
        recordings = self._recordings
        key = scenario_key(setting)
        # The selection first: a job may add an epoch meanwhile, and never takes one away
        selection = recordings.selection(setting, self._planner.dlp(setting).quota)
        learned = list(recordings.learned.get(key, ()))
        answer = Answer(setting, recordings.scenarios.get(key), training_curves(learned))
        if selection is None:
            return answer
        scenario = answer.scenario
        ascent = list(recordings.ascents.get(ascent_key(setting), ()))
        return replace(
            answer,
            entropy=learned[setting.e1 - 1].entropy,
            selection=selection,
            precision=filter_precision(selection.suspected, selection.trusted, scenario.truth),
            agreement=agreement(scenario.tampered, selection.suspected),
            ascent=ascent,
            stages=self._stages(setting, ascent),
        )

    def _stages(self, setting: LabSetting, ascent: list[dict]) -> dict[str, dict]:
        recordings = self._recordings
        rows = {
            "SL": recordings.after_learning.get((*scenario_key(setting), setting.e1)),
            "AU": ascent[setting.e2 - 1] if 0 < setting.e2 <= len(ascent) else None,
            "ASSFT": recordings.after_finetuning.get(finetuning_key(setting)),
        }
        return {name: row for name, row in rows.items() if row is not None}

    @property
    def doing(self) -> Doing:
        """What ``work`` or ``finetune`` does now, or did last."""
        return self._report.doing

    def work(self, setting: LabSetting, check: Check, tell: Tell) -> None:
        """Train what ``look`` lacks: to E1, then the ascent, then on to the longest E1.

        Args:
            setting: what the controls say.
            check: called after every epoch, and while another process trains the same; may raise an
                exception to stop.
            tell: called likewise, when ``look`` and ``doing`` are up to date.

        Raises:
            ValueError: for what the data cannot give.
            Diverged: where supervised learning did not stay finite up to E1.
        """
        with self._turn(check, tell) as trainer:
            trainer.train_two_stages(setting)
            trainer.learn(setting, self.epochs)
            # The first optimiser of a process takes a second. Nobody waits for this one.
            torch.optim.SGD([torch.zeros(1)])

    def finetune(self, setting: LabSetting, check: Check, tell: Tell) -> None:
        """Run stage 3 from where the ascent stands at E2.

        Args:
            setting: what the controls say.
            check: as for ``work``.
            tell: likewise.

        Raises:
            ValueError: for what the data cannot give.
            Diverged: where a stage did not stay finite.
        """
        with self._turn(check, tell) as trainer:
            trainer.train_two_stages(setting)
            trainer.finetune(setting)

    @contextlib.contextmanager
    def _turn(self, check: Check, tell: Tell) -> Iterator[Trainer]:
        """Wait until no other thread trains, and report from then on."""
        self._report = Report(check, tell)
        while not self._lock.acquire(timeout=PATIENCE):
            self._report.wait()
        try:
            report = self._report = Report(check, tell)
            yield Trainer(self.context, self.epochs, self._planner, self._recordings, report)
        finally:
            self._lock.release()
