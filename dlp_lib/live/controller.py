"""The live lab's controller: a setting in, plain data out. What takes long is for a thread."""

import copy
import threading
from collections.abc import Callable
from dataclasses import asdict, replace

import torch

from ..context import Context, Progress, no_progress
from ..defences import fixmatch, select, unlearn
from ..evaluation import evaluate, filter_precision, measure_checkpoint
from ..experiments import Scenario
from ..training import Checkpoints, Stage, supervised
from . import copying
from .answer import Answer, LearnedEpoch, agreement, learned_epoch, training_curves
from .background import Check
from .follow import Tell, follow
from .plan import Planner
from .setting import LabSetting, ascent_key, finetuning_key, scenario_key

TellFinetuning = Callable[[int, int, float], None]  # block, blocks, CA of the weights so far


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
        self._scenarios: dict[tuple, Scenario] = {}
        self._learned: dict[tuple, list[LearnedEpoch]] = {}
        self._after_learning: dict[tuple, dict] = {}
        self._ascents: dict[tuple, list[dict]] = {}
        self._ascent_checkpoints: dict[tuple, Checkpoints] = {}
        self._after_finetuning: dict[tuple, dict] = {}

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
        key = scenario_key(setting)
        learned = list(self._learned.get(key, ()))
        answer = Answer(setting, self._scenarios.get(key), training_curves(learned))
        if len(learned) < setting.e1:
            return answer
        scores = learned[setting.e1 - 1].entropy
        scenario = answer.scenario
        quota = self._planner.dlp(setting).quota
        selection = select(-scores, scenario.tampered, setting.gamma, quota)
        ascent = list(self._ascents.get(ascent_key(setting), ()))
        return replace(
            answer,
            entropy=scores,
            selection=selection,
            precision=filter_precision(selection.suspected, selection.trusted, scenario.truth),
            agreement=agreement(scenario.tampered, selection.suspected),
            ascent=ascent,
            stages=self._stages(setting, ascent),
        )

    def _stages(self, setting: LabSetting, ascent: list[dict]) -> dict[str, dict]:
        rows = {
            "SL": self._after_learning.get((*scenario_key(setting), setting.e1)),
            "AU": ascent[setting.e2 - 1] if 0 < setting.e2 <= len(ascent) else None,
            "ASSFT": self._after_finetuning.get(finetuning_key(setting)),
        }
        return {name: row for name, row in rows.items() if row is not None}

    def work(self, setting: LabSetting, check: Check, tell: Tell) -> None:
        """Train what ``look`` lacks: to E1, then the ascent, then on to the longest E1.

        Args:
            setting: what the controls say.
            check: called after every epoch; may raise an exception to stop.
            tell: called after every epoch.

        Raises:
            ValueError: for what the data cannot give.
            Diverged: where supervised learning did not stay finite up to E1.
        """
        with self._lock:
            self._train_two_stages(setting, check, tell)
            self._learn(setting, self.epochs, check, tell)
            # The first optimiser of a process takes a second. Nobody waits for this one.
            torch.optim.SGD([torch.zeros(1)])

    def finetune(self, setting: LabSetting, check: Check, tell: TellFinetuning) -> None:
        """Run stage 3 from where the ascent stands at E2.

        Args:
            setting: what the controls say.
            check: called after every block; may raise an exception to stop.
            tell: called after every block.

        Raises:
            ValueError: for what the data cannot give.
            Diverged: where a stage did not stay finite.
        """
        with self._lock:
            self._train_two_stages(setting, check, lambda: None)
            self._finetune(setting, check, tell)

    def _train_two_stages(self, setting: LabSetting, check: Check, tell: Tell) -> None:
        self._prepare(setting, check)
        self._learn(setting, setting.e1, check, tell)
        self._supervised(setting, setting.e1).expect_finite()
        self._ascend(setting, check, tell)

    def _context(self, setting: LabSetting, progress: Progress = no_progress) -> Context:
        runtime = replace(self.context.runtime, seed=setting.seed)
        return Context(runtime, self.context.store, progress)

    def _prepare(self, setting: LabSetting, check: Check) -> None:
        """Load and poison the data."""
        key = scenario_key(setting)
        if key in self._scenarios:
            return
        self._planner.count_images(setting.dataset)
        context = self._context(setting, lambda *_: check())
        scenario = self._planner.plan(setting).scenario(context)
        self._scenarios[key] = replace(scenario, context=self._context(setting))

    def _supervised(
        self, setting: LabSetting, epochs: int, progress: Progress = no_progress
    ) -> Stage:
        """Run stage 1, or read it. No epochs: only find out where it is recorded."""
        scenario = self._scenarios[scenario_key(setting)]
        config = self._planner.dlp(setting).supervised
        context = self._context(setting, progress)
        return supervised(scenario.untrained(), scenario.tampered, epochs, config, context)

    def _learn(self, setting: LabSetting, epochs: int, check: Check, tell: Tell) -> None:
        """Have a LearnedEpoch for every epoch of stage 1."""
        scenario = self._scenarios[scenario_key(setting)]
        checkpoints = self._supervised(setting, 0).checkpoints

        def read(epoch: int) -> LearnedEpoch | None:
            record = checkpoints.read(epoch)
            return None if record is None else learned_epoch(record.tensors["logits"], scenario)

        def train(progress: Progress) -> None:
            self._supervised(setting, epochs, progress)

        learned = self._learned.setdefault(scenario_key(setting), [])
        follow(learned, epochs, read, train, check, tell)

    def _ascend(self, setting: LabSetting, check: Check, tell: Tell) -> None:
        """Have a row for every epoch of stage 2, from the weights at E1."""
        scenario = self._scenarios[scenario_key(setting)]
        learning = self._supervised(setting, 0).checkpoints
        model = scenario.untrained()
        learning.load(model, setting.e1)
        learned_key = (*scenario_key(setting), setting.e1)
        self._after_learning[learned_key] = _measure(scenario, learning, setting.e1)
        tell()
        suspected = self.look(setting).selection.suspected
        config = self._planner.dlp(setting).unlearn

        def climb(epochs: int, progress: Progress = no_progress) -> Stage:
            context = self._context(setting, progress)
            start = copy.deepcopy(model)
            return unlearn(start, scenario.tampered, suspected, epochs, config, context)

        checkpoints = climb(0).checkpoints
        self._ascent_checkpoints[ascent_key(setting)] = checkpoints

        def read(epoch: int) -> dict | None:
            record = checkpoints.read(epoch)
            if record is None:
                return None
            return _measure(scenario, checkpoints, epoch, reestimated=True) | record.facts

        def train(progress: Progress) -> None:
            climb(self.epochs, progress)

        rows = self._ascents.setdefault(ascent_key(setting), [])
        follow(rows, self.epochs, read, train, check, tell)

    def _finetune(self, setting: LabSetting, check: Check, tell: TellFinetuning) -> None:
        answer = self.look(setting)
        scenario = answer.scenario
        model = scenario.untrained()
        epoch = min(setting.e2, len(answer.ascent))
        if epoch:
            ascent = self._ascent_checkpoints[ascent_key(setting)]
            ascent.load(model, epoch, reestimated=True)
        else:
            self._supervised(setting, setting.e1).load(model)

        def progress(_: str, block: int, blocks: int, row: dict) -> None:
            check()
            tell(block, blocks, evaluate(model, scenario.test).ca)

        config = self._planner.dlp(setting).fixmatch
        context = self._context(setting, progress)
        stage = fixmatch(model, scenario.tampered, answer.selection.trusted, config, context)
        stage.expect_finite()
        metrics = asdict(evaluate(model, scenario.test, scenario.attack))
        self._after_finetuning[finetuning_key(setting)] = metrics


def _measure(
    scenario: Scenario, checkpoints: Checkpoints, block: int, reestimated: bool = False
) -> dict:
    """Return the fields of Metrics of recorded weights."""
    model = scenario.untrained()
    metrics = measure_checkpoint(
        checkpoints, block, model, scenario.test, scenario.attack, reestimated
    )
    return asdict(metrics)
