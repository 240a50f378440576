"""The live lab's controller: settings in, plain data out; what takes long runs in the background, the newest alone."""

import copy
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import attacks
from .attacks import Attack, Truth, poison
from .data import Split, load
from .filters import Selection, entropy, select
from .metrics import accuracy, evaluate, filter_precision
from .models import wrn_16_1
from .pipeline import measure
from .runtime import fraction, whole
from .stages import FixMatch, Stage, Supervised, Unlearn, fixmatch, supervised, unlearn
from .surrogate import prepare
from .train import Context, Trail


@dataclass(frozen=True)
class Setting:
    """What the controls say; ValueError for what they cannot say."""

    dataset: str = "shapes10"  # or "cifar10", or a folder
    attack: str = "BadNets"  # a name of attacks.SHAPES10
    poisoning_rate: float = 0.1
    e1: int = 4  # epochs of supervised learning
    gamma: float = 0.02  # filtering rate
    e2: int = 11  # epochs of unlearning
    lr: float = 0.005  # of unlearning
    seed: int = 0

    def __post_init__(self):
        if self.attack not in attacks.SHAPES10:
            raise ValueError(f"attack={self.attack!r}: allowed are {', '.join(attacks.SHAPES10)}")
        fraction("poisoning_rate", self.poisoning_rate)
        fraction("gamma", self.gamma)
        for name, least in (("e1", 1), ("e2", 0), ("seed", 0)):
            whole(name, getattr(self, name), least)
        Unlearn(lr=self.lr)

    def code(self) -> str:
        """Python that trains with this setting."""
        return (
            f"dlp = DLP(gamma={self.gamma}, e1={self.e1}, e2={self.e2}, unlearn=Unlearn(lr={self.lr}, reestimate=1000, "
            f"stop=False), fixmatch=FixMatch(mu=3, steps=360))\n"
            f"result = dlp.run(wrn_16_1(10, Runtime({self.seed})), tampered, Context(Runtime({self.seed})))"
        )

    def command(self) -> str:
        """A papermill command that runs the quick start with this setting."""
        parameters = {name: value for name, value in asdict(self).items() if name != "lr"} | {"unlearn_lr": self.lr}
        given = " ".join(f"-p {name} {value}" for name, value in parameters.items())
        return f"papermill notebooks/00_quickstart.ipynb out.ipynb {given}"


class Scene(NamedTuple):
    """A tampered set, and all that stands by it."""

    tampered: Split
    truth: Truth
    attack: Attack
    test: Split  # a fixed part of the test set, for CA and ASR while you wait
    untrained: nn.Module

    def measure(self, trail: Trail, block: int, reestimated: bool = False) -> dict:
        """CA, ASR and RA of recorded weights."""
        return asdict(measure(trail, block, self.untrained, self.test, self.attack, reestimated))


class Answer(NamedTuple):
    """What is known about a setting so far; None and empty lists where nothing is, yet."""

    setting: Setting
    scene: Scene | None
    gap: dict[str, list[float]]  # training accuracy per epoch: "all" is visible, "clean" and "poisoned" are the truth
    entropy: Tensor | None  # (n,) bits, after e1
    selection: Selection | None
    precision: dict[str, float]  # the truth
    agreement: tuple[str, float] | None  # the suspects' commonest class, and its share: visible
    ascent: list[dict]  # epoch by epoch: the suspects' accuracy (visible); ca, asr, ra (the truth)
    stages: dict[str, dict]  # ca, asr, ra after "SL", "AU", "ASSFT": the truth


class Lab:
    """Answers settings from what is recorded, and trains what is not. ``look`` is quick; ``work`` is for a thread."""

    def __init__(self, context: Context, n_train: int = 5000, n_test: int = 1000, epochs: int = 20, steps: int = 360):
        self.context, self.n_train, self.n_test, self.epochs, self.steps = context, n_train, n_test, epochs, steps
        self._lock = threading.Lock()  # the page's thread and a notebook's cell may both ask
        self._scenes: dict[tuple, Scene] = {}
        self._learned: dict[tuple, list[tuple[Tensor, float, float, float]]] = {}
        self._ascents: dict[tuple, list[dict]] = {}
        self._trails: dict[tuple, Trail] = {}
        self._measured: dict[tuple, dict] = {}

    def look(self, s: Setting) -> Answer:
        """What is known now, in milliseconds."""
        key = _scene_key(s)
        answer = Answer(s, self._scenes.get(key), {}, None, None, {}, None, [], {})
        learned = self._learned.get(key, ())
        if not learned:
            return answer
        _, *curves = zip(*learned, strict=True)
        answer = answer._replace(gap=dict(zip(("all", "clean", "poisoned"), map(list, curves), strict=True)))
        if len(learned) < s.e1:
            return answer
        scene, h = self._scenes[key], learned[s.e1 - 1][0]
        selection = select(-h, scene.tampered, s.gamma)
        counts = scene.tampered.labels[selection.suspected].bincount(minlength=len(scene.tampered.classes))
        common = scene.tampered.classes[int(counts.argmax())], counts.max().item() / len(selection.suspected)
        ascent = list(self._ascents.get(_ascent_key(s), ()))
        stages = {"SL": self._measured.get((*key, s.e1)), "AU": ascent[s.e2 - 1] if 0 < s.e2 <= len(ascent) else None}
        stages["ASSFT"] = self._measured.get(_tuned_key(s))
        precision = filter_precision(selection.suspected, selection.trusted, scene.truth)
        return answer._replace(
            entropy=h, selection=selection, precision=precision, agreement=common, ascent=ascent,
            stages={name: row for name, row in stages.items() if row},
        )  # fmt: skip

    def work(self, s: Setting, check: Callable[[], None], tell: Callable[[], None]) -> None:
        """Train what ``look`` lacks, calling ``check`` and ``tell`` after every epoch: to E1, the ascent, then on."""
        with self._lock:
            self._two_stages(s, check, tell)
            self._learn(s, self.epochs, check, tell)
            torch.optim.SGD([torch.zeros(1)])  # a process's first optimiser takes a second: now, not when one waits

    def finetune(self, s: Setting, check: Callable[[], None], tell: Callable[[int, int, float], None]) -> None:
        """Stage 3 from where the ascent stands at E2; ``tell`` is given block, blocks, and CA of the weights so far."""
        with self._lock:
            self._two_stages(s, check, lambda: None)
            self._finetune(s, check, tell)

    def _two_stages(self, s: Setting, check: Callable[[], None], tell: Callable[[], None]) -> None:
        self._prepare(s, check)
        self._learn(s, s.e1, check, tell)
        self._ascend(s, check, tell)

    def _finetune(self, s: Setting, check: Callable[[], None], tell: Callable[[int, int, float], None]) -> None:
        scene, answer = self._scenes[_scene_key(s)], self.look(s)
        model, epoch = copy.deepcopy(scene.untrained), min(s.e2, len(answer.ascent))
        if epoch:
            self._trails[_ascent_key(s)].load(model, epoch, reestimated=True)
        else:
            self._trail(s).load(model, s.e1)

        def progress(_: str, block: int, blocks: int, row: dict) -> None:
            check()
            tell(block, blocks, evaluate(model, scene.test).ca)

        config = FixMatch(mu=3, steps=self.steps)
        stage = fixmatch(model, scene.tampered, answer.selection.trusted, config, self._context(s, progress))
        self._measured[_tuned_key(s)] = scene.measure(stage.trail, stage.chosen)

    def _context(self, s: Setting, progress: Callable = lambda *_: None) -> Context:
        return Context(replace(self.context.runtime, seed=s.seed), self.context.store, progress)

    def _prepare(self, s: Setting, check: Callable[[], None]) -> None:
        if _scene_key(s) in self._scenes:
            return
        context = self._context(s, lambda *_: check())
        train, test = load(s.dataset, self.n_train, store=context.store)
        train, test = train.to(context.runtime.device), test.to(context.runtime.device)
        attack = prepare(attacks.settings(s.dataset, train)[s.attack].attack, train, context)
        tampered, truth = poison(train, attack, s.poisoning_rate, context)
        untrained = wrn_16_1(len(train.classes), context.runtime)
        self._scenes[_scene_key(s)] = Scene(tampered, truth, attack, test.subset(slice(self.n_test)), untrained)

    def _learn(self, s: Setting, epochs: int, check: Callable[[], None], tell: Callable[[], None]) -> None:
        scene, learned = self._scenes[_scene_key(s)], self._learned.setdefault(_scene_key(s), [])
        labels, poisoned = scene.tampered.labels, scene.truth.poisoned
        trail = self._trail(s)

        def add() -> bool:
            record = trail.read(len(learned) + 1)
            if record:
                logits = record.tensors["logits"].to(labels.device)
                parts = (accuracy(logits, labels, mask) for mask in (None, ~poisoned, poisoned))
                learned.append((entropy(logits), *parts))
            return record is not None

        def run(progress: Callable) -> None:
            supervised(copy.deepcopy(scene.untrained), scene.tampered, epochs, Supervised(), self._context(s, progress))

        _follow(learned, epochs, add, run, check, tell)

    def _trail(self, s: Setting) -> Trail:
        """Where stage 1 is recorded."""
        scene = self._scenes[_scene_key(s)]
        return supervised(copy.deepcopy(scene.untrained), scene.tampered, 0, Supervised(), self._context(s)).trail

    def _ascend(self, s: Setting, check: Callable[[], None], tell: Callable[[], None]) -> None:
        scene, trail = self._scenes[_scene_key(s)], self._trail(s)
        model, suspected = copy.deepcopy(scene.untrained), self.look(s).selection.suspected
        trail.load(model, s.e1)
        self._measured[*_scene_key(s), s.e1] = scene.measure(trail, s.e1)
        tell()
        points, config = self._ascents.setdefault(_ascent_key(s), []), Unlearn(lr=s.lr, reestimate=1000, stop=False)

        def run(epochs: int, progress: Callable = lambda *_: None) -> Stage:
            return unlearn(copy.deepcopy(model), scene.tampered, suspected, epochs, config, self._context(s, progress))

        ascent = self._trails[_ascent_key(s)] = run(0).trail

        def add() -> bool:
            record = ascent.read(len(points) + 1)
            if record:
                points.append(scene.measure(ascent, len(points) + 1, reestimated=True) | record.facts)
            return record is not None

        _follow(points, self.epochs, add, lambda progress: run(self.epochs, progress), check, tell)


def _follow(rows: list, blocks: int, add: Callable, run: Callable, check: Callable, tell: Callable) -> None:
    """Have a row for every block: ``add`` those that are recorded, then ``run``, which adds the others one by one."""

    def progress(*_) -> None:
        add()
        tell()
        check()

    while len(rows) < blocks and add():
        check()
    if len(rows) < blocks:
        run(progress)
    tell()


def _scene_key(s: Setting) -> tuple:
    return s.dataset, s.attack, s.poisoning_rate, s.seed


def _ascent_key(s: Setting) -> tuple:
    return *_scene_key(s), s.e1, s.gamma, s.lr


def _tuned_key(s: Setting) -> tuple:
    return *_ascent_key(s), s.e2, "ASSFT"
