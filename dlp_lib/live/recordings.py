"""What a live lab has found out so far, each result under what it depends on."""

from dataclasses import dataclass, field

from ..defences import Selection, select
from ..experiments import Scenario
from ..training import Checkpoints
from .answer import LearnedEpoch
from .setting import LabSetting, scenario_key


@dataclass(frozen=True, eq=False)
class Recordings:
    """Results by the keys of setting.py. They grow while a job runs."""

    scenarios: dict[tuple, Scenario] = field(default_factory=dict)
    learned: dict[tuple, list[LearnedEpoch]] = field(default_factory=dict)  # by scenario_key
    after_learning: dict[tuple, dict] = field(default_factory=dict)  # Metrics, by it and E1
    ascents: dict[tuple, list[dict]] = field(default_factory=dict)  # rows, by ascent_key
    ascent_checkpoints: dict[tuple, Checkpoints] = field(default_factory=dict)
    after_finetuning: dict[tuple, dict] = field(default_factory=dict)  # by finetuning_key

    def selection(self, setting: LabSetting, quota: str) -> Selection | None:
        """Return suspects and trusted samples; None where E1 is not reached yet."""
        learned = self.learned.get(scenario_key(setting), [])
        if len(learned) < setting.e1:
            return None
        scores = learned[setting.e1 - 1].entropy
        tampered = self.scenarios[scenario_key(setting)].tampered
        return select(-scores, tampered, setting.gamma, quota)
