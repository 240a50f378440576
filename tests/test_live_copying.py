"""What *copy* gives is run as it is, and must come to the lab's own numbers."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dlp_lib import DLP, HOME, Context, FixMatch, Runtime, Split, Store, Unlearn
from dlp_lib.__main__ import main
from dlp_lib.data import DATASETS
from dlp_lib.live import copying
from dlp_lib.live.controller import Lab
from dlp_lib.live.plan import Planner
from dlp_lib.live.setting import LabSetting
from dlp_lib.training import Checkpoints

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


def nothing():
    """A job that nothing stops, and nobody is told of."""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """60 noisy PNG images of three classes, in a folder with a space and quotes in its name."""
    root = tmp_path_factory.mktemp("data") / 'the "teacher\'s" images'
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(20):
            noise = generator.integers(-40, 40, (16, 20, 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return str(root)


@pytest.fixture(scope="module", params=["shapes10", "folder"])
def finetuned(request, tmp_path_factory):
    """A lab with its own store, a setting, and what the lab has measured after each stage."""
    store = Store(tmp_path_factory.mktemp("store"))
    dataset = "shapes10"
    if request.param == "folder":
        dataset = request.getfixturevalue("photographs")
    lab = Lab(Context(Runtime(0), store), n_train=200, n_test=80, epochs=2, steps=4)
    setting = LabSetting(dataset, poisoning_rate=0.1, e1=2, gamma=0.1, e2=2, lr=0.05, seed=1)
    lab.work(setting, nothing, nothing)
    lab.finetune(setting, nothing, lambda *_: None)
    return lab, setting, lab.look(setting).stages


def run_code(code):
    """Run code in a fresh namespace; return CA and ASR after each stage."""
    namespace = {}
    exec(compile(code, "copied", "exec"), namespace)
    return {stage: (row.ca, row.asr) for stage, row in namespace["measured"].items()}


def ca_and_asr(stages):
    return {stage: (row["ca"], row["asr"]) for stage, row in stages.items()}


def values_of(command):
    """Return the words of a command before its parameters, and the parameters."""
    words = shlex.split(command)
    first = words.index("-p")
    parameters = {}
    for flag, assignment in zip(words[first::2], words[first + 1 :: 2], strict=True):
        assert flag == "-p"
        name, _, value = assignment.partition("=")
        parameters[name] = yaml.safe_load(value)
    return words[:first], parameters


def test_e2_lies_beyond_the_stop_rule(finetuned):
    """With the rule, which the page does not use, the copies would end at another epoch."""
    lab, setting, _ = finetuned
    answer = lab.look(setting)
    chance = 1 / len(answer.scenario.classes)
    assert answer.ascent[0]["accuracy_reestimated"] <= chance
    assert answer.stages["AU"] != answer.ascent[0]


def test_the_copied_code_trains_the_same_numbers(finetuned, capsys):
    lab, setting, stages = finetuned
    code = lab.code(setting)
    store = copying._store_code(lab.context.store)
    assert store in code
    measured = run_code(code.replace(store, "Store()"))  # so that nothing is read
    assert list(measured) == ["SL", "AU", "ASSFT"]
    assert measured == ca_and_asr(stages)
    assert f"ASSFT: CA {stages['ASSFT']['ca']:.1%}, ASR" in capsys.readouterr().out


def test_the_copied_code_reads_what_the_lab_has_trained(finetuned, monkeypatch):
    lab, setting, stages = finetuned
    monkeypatch.setattr(Checkpoints, "write", lambda *_: pytest.fail("it trained"))
    assert run_code(lab.code(setting)) == ca_and_asr(stages)


@pytest.mark.parametrize("finetuned", ["folder"], indirect=True)  # its name needs quotes
def test_the_copied_code_runs_as_a_script(finetuned):
    lab, setting, stages = finetuned
    command = [sys.executable, "-c", lab.code(setting)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 3
    assert f"SL: CA {stages['SL']['ca']:.1%}, ASR {stages['SL']['asr']:.1%}" in done.stdout


def test_the_copied_command_comes_to_the_same_numbers(finetuned, tmp_path):
    lab, setting, stages = finetuned
    words, parameters = values_of(lab.command(setting))
    assert words == shlex.split("python -m dlp_lib run 00_quickstart --out build/copied")
    assert parameters["cache"] == str(lab.context.store.root)
    assert parameters["stop"] is False
    command = shlex.split(lab.command(setting))
    command += ["-p", f"cache={tmp_path / 'store'}"]  # of two values, the last counts
    command[command.index("build/copied")] = str(tmp_path)
    assert not main(command[3:])
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    rows = {row["stage"]: row for row in metrics["stages"]}
    del rows["undefended"]
    assert ca_and_asr(rows) == ca_and_asr(stages)
    assert metrics["au_stop"] == setting.e2


def test_the_code_holds_what_decides_the_numbers():
    lab = Lab(Context(Runtime(7)), n_train=None)
    plan = lab._planner.plan(LabSetting(attack="SIG", seed=3))
    names = {"DLP": DLP, "Unlearn": Unlearn, "FixMatch": FixMatch, "Runtime": Runtime}
    dlp = copying._as_code(plan.dlp)
    assert eval(dlp, names) == plan.dlp
    assert eval(copying._as_code(plan.context.runtime), names) == Runtime(3)
    code = copying.python_code(plan)
    assert "poisoning_rate=0.09" in code  # SIG's own
    assert "n_train=None" in code
    assert "slice(1000)" in code
    assert max(map(len, code.splitlines())) <= 100


def test_a_data_set_brings_its_recipe(monkeypatch):
    """CIFAR-10's settings and size of images; the images are drawn here, as there is no network."""
    generator = torch.Generator().manual_seed(0)

    def load(request):
        assert request.image_size in (None, 32)
        images = torch.randint(256, (60, 3, 32, 32), generator=generator, dtype=torch.uint8)
        split = Split.from_arrays(images, torch.arange(60) % 10)
        return split.subset(slice(40)), split.subset(slice(40, None))

    loaded = load(type("Request", (), {"image_size": None}))
    monkeypatch.setitem(DATASETS, "cifar10", lambda request: loaded)
    lab = Lab(Context(Runtime(0)), n_train=40, n_test=15, epochs=1, steps=1)
    setting = lab.recommended("cifar10")
    assert (setting.e1, setting.gamma, setting.lr) == (1, 0.01, 0.01)
    setting = LabSetting("cifar10", e1=1, gamma=0.1, e2=1)
    dlp = lab._planner.dlp(setting)
    assert (dlp.unlearn.reestimate, dlp.unlearn.stop) == (4000, False)
    assert (dlp.fixmatch.mu, dlp.fixmatch.steps) == (7, 1)
    _, parameters = values_of(lab.command(setting))
    assert (parameters["dataset"], parameters["image_size"]) == ("cifar10", None)
    assert parameters["n_test"] == 15
    lab.work(setting, nothing, nothing)
    lab.finetune(setting, nothing, lambda *_: None)
    assert run_code(lab.code(setting)) == ca_and_asr(lab.look(setting).stages)


@pytest.mark.parametrize(
    "value", [None, True, 0.1, 1e-05, 20, "shapes10", "null", "12", "a b'c: d", 'é"', " x"]
)
def test_values_survive_the_command_line(value):
    text = copying._as_yaml(value)
    assert "\n" not in text
    assert yaml.safe_load(text) == value


def test_a_store_within_the_project_has_a_relative_path():
    context = Context(Runtime(0), Store(HOME / "build" / "store"))
    plan = Planner(context, None, None, None, None).plan(LabSetting())
    assert "Store(HOME / 'build/store')" in copying.python_code(plan)
    assert copying.quickstart_parameters(plan)["cache"] == "build/store"


def test_a_folder_cannot_be_copied_before_its_images_are_counted(photographs):
    lab = Lab(Context(Runtime(0)))
    with pytest.raises(LookupError, match="images are not loaded yet"):
        lab.code(LabSetting(photographs))
