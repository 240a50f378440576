"""The live lab's training: what a setting lacks is trained, or read where it is recorded."""

import copy
from collections.abc import Callable
from dataclasses import replace

from ..context import Context, Progress, no_progress
from ..defences import fixmatch, unlearn
from ..evaluation import as_row, evaluate
from ..training import Stage, supervised
from .answer import LearnedEpoch, learned_epoch, measured
from .doing import Report
from .follow import follow
from .plan import Planner
from .recordings import Recordings
from .setting import LabSetting, ascent_key, finetuning_key, scenario_key


def no_call() -> None:
    """Do nothing."""


class Trainer:
    """Fills recordings on behalf of one job."""

    def __init__(
        self,
        context: Context,
        epochs: int,
        planner: Planner,
        recordings: Recordings,
        report: Report,
    ):
        """Make a trainer.

        Args:
            context: device and store; the seed is the setting's.
            epochs: the longest E1 and E2.
            planner: says what DLP and the data are for a setting.
            recordings: filled in place.
            report: told of every step; it may stop the job by an exception.
        """
        self._context = context
        self._epochs = epochs
        self._planner = planner
        self._recordings = recordings
        self._report = report

    def train_two_stages(self, setting: LabSetting) -> None:
        """Train to E1, and then the whole ascent from there."""
        self._prepare(setting)
        self.learn(setting, setting.e1)
        self._supervised(setting, setting.e1).expect_finite()
        self._ascend(setting)

    def _context_of(
        self,
        setting: LabSetting,
        progress: Progress = no_progress,
        while_waiting: Callable[[], None] = no_call,
    ) -> Context:
        runtime = replace(self._context.runtime, seed=setting.seed)
        return Context(runtime, self._context.store.calling(while_waiting), progress)

    def _prepare(self, setting: LabSetting) -> None:
        """Load and poison the data."""
        key = scenario_key(setting)
        if key in self._recordings.scenarios:
            return
        report = self._report
        report.step()
        self._planner.count_images(setting.dataset)
        context = self._context_of(setting, lambda *_: report.step(), report.wait)
        scenario = self._planner.plan(setting).scenario(context)
        self._recordings.scenarios[key] = replace(scenario, context=self._context_of(setting))

    def _supervised(
        self,
        setting: LabSetting,
        epochs: int,
        progress: Progress = no_progress,
        while_waiting: Callable[[], None] = no_call,
    ) -> Stage:
        """Run stage 1, or read it. No epochs: only find out where it is recorded."""
        scenario = self._recordings.scenarios[scenario_key(setting)]
        config = self._planner.dlp(setting).supervised
        context = self._context_of(setting, progress, while_waiting)
        return supervised(scenario.untrained(), scenario.tampered, epochs, config, context)

    def learn(self, setting: LabSetting, epochs: int) -> None:
        """Have a LearnedEpoch for every epoch of stage 1."""
        scenario = self._recordings.scenarios[scenario_key(setting)]
        checkpoints = self._supervised(setting, 0).checkpoints

        def read(epoch: int) -> LearnedEpoch | None:
            record = checkpoints.read(epoch)
            return None if record is None else learned_epoch(record.tensors["logits"], scenario)

        def train(progress: Progress, while_waiting: Callable[[], None]) -> None:
            self._supervised(setting, epochs, progress, while_waiting)

        learned = self._recordings.learned.setdefault(scenario_key(setting), [])
        follow(learned, "SL", epochs, read, train, self._report)

    def _ascend(self, setting: LabSetting) -> None:
        """Have a row for every epoch of stage 2, from the weights at E1."""
        scenario = self._recordings.scenarios[scenario_key(setting)]
        learning = self._supervised(setting, 0).checkpoints
        model = scenario.untrained()
        learning.load(model, setting.e1)
        learned_key = (*scenario_key(setting), setting.e1)
        self._recordings.after_learning[learned_key] = measured(scenario, learning, setting.e1)
        self._report.step()
        dlp = self._planner.dlp(setting)
        suspected = self._recordings.selection(setting, dlp.quota).suspected

        def climb(
            epochs: int,
            progress: Progress = no_progress,
            while_waiting: Callable[[], None] = no_call,
        ) -> Stage:
            context = self._context_of(setting, progress, while_waiting)
            start = copy.deepcopy(model)
            return unlearn(start, scenario.tampered, suspected, epochs, dlp.unlearn, context)

        checkpoints = climb(0).checkpoints
        self._recordings.ascent_checkpoints[ascent_key(setting)] = checkpoints

        def read(epoch: int) -> dict | None:
            record = checkpoints.read(epoch)
            if record is None:
                return None
            return measured(scenario, checkpoints, epoch, reestimated=True) | record.facts

        def train(progress: Progress, while_waiting: Callable[[], None]) -> None:
            climb(self._epochs, progress, while_waiting)

        rows = self._recordings.ascents.setdefault(ascent_key(setting), [])
        follow(rows, "AU", self._epochs, read, train, self._report)

    def finetune(self, setting: LabSetting) -> None:
        """Run stage 3 from the weights at E2."""
        recordings = self._recordings
        dlp = self._planner.dlp(setting)
        scenario = recordings.scenarios[scenario_key(setting)]
        trusted = recordings.selection(setting, dlp.quota).trusted
        key = ascent_key(setting)
        epoch = min(setting.e2, len(recordings.ascents[key]))
        model = scenario.untrained()
        if epoch:
            recordings.ascent_checkpoints[key].load(model, epoch, reestimated=True)
        else:
            self._supervised(setting, setting.e1).load(model)
        report = self._report

        def progress(_: str, block: int, blocks: int, row: dict) -> None:
            report.advance(block, blocks=blocks, ca=evaluate(model, scenario.test).ca)

        report.begin("ASSFT", 0, 0)
        context = self._context_of(setting, progress, report.wait)
        stage = fixmatch(model, scenario.tampered, trusted, dlp.fixmatch, context)
        stage.expect_finite()
        metrics = evaluate(model, scenario.test, scenario.attack)
        recordings.after_finetuning[finetuning_key(setting)] = as_row(metrics, scenario.attack)
        report.step()
