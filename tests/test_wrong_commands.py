"""Wrong input to every command: one sentence, with what was given and what is allowed.

It comes before any work, names the option as it was written, and is no traceback.
"""

import pytest
import yaml

from dlp_lib.__main__ import COMMANDS, main
from dlp_lib.experiments import run, store_command
from dlp_lib.experiments.record import command as record
from dlp_lib.experiments.record.cifar10 import command as cifar10

FILES = {
    "list.yaml": b"- seed",
    "word.yaml": b"seed",
    "broken.yaml": b"seed: [1",
    "no_text.yaml": b"\x81\x00\xff",
    "no_date.yaml": b"seed: 2020-13-45",
    "object.yaml": b"seed: !!python/object/apply:os.system ['true']",
    "strange.yaml": b"sead: 1",
    "key.yaml": b"1: 2",
    "wrong.yaml": b"gamma: 2",
    "file.txt": b"mine",
    "no_notebook.ipynb": b"mine",
    "list.ipynb": b"[1]",
    "dict.ipynb": b'{"a": 1}',
}
QUICKSTART = ["run", "00_quickstart"]
PIPELINE = ["run", "06_dlp_pipeline"]
SPEED = ["run", "02_learning_speed_gap"]
RATES = ["record", "rates"]
CIFAR10 = ["record", "cifar10"]
LAB = ["record", "lab"]

# The arguments, and what the error must hold: what was written and given, and what is allowed.
WRONG = [
    (["recrod"], "recrod", "'record'"),
    (["run", "99_none"], "notebook='99_none'", "allowed are 00_quickstart"),
    (["run", "00_quikstart"], "notebook='00_quikstart'", "did you mean 00_quickstart?"),
    (["run", ""], "notebook=''", "allowed are 00_quickstart"),
    (["run", "."], "notebook='.'", "there is no such notebook"),
    (["run", "no/such.ipynb"], "notebook='no/such.ipynb'", "there is no such notebook"),
    (["run", "./file.txt"], "notebook='./file.txt'", "there is no such notebook"),
    (["run", "{here}/no_notebook.ipynb"], "no_notebook.ipynb'", "it cannot be read"),
    (["run", "{here}/list.ipynb"], "list.ipynb'", "it cannot be read"),
    (["run", "{here}/dict.ipynb"], "dict.ipynb'", "it cannot be read"),
    ([*QUICKSTART, "--out", "file.txt"], "argument --out: 'file.txt'", "allowed are folders"),
    ([*QUICKSTART, "--out", "file.txt/x"], "argument --out: 'file.txt/x'", "allowed are folders"),
    ([*QUICKSTART, "--params", "none.yaml"], "argument --params: 'none.yaml'", "No such file"),
    ([*QUICKSTART, "--params", "folder"], "argument --params: 'folder'", "allowed are YAML files"),
    ([*QUICKSTART, "--params", "list.yaml"], "argument --params: 'list.yaml'", "lines such as"),
    ([*QUICKSTART, "--params", "word.yaml"], "argument --params: 'word.yaml'", "lines such as"),
    ([*QUICKSTART, "--params", "broken.yaml"], "--params: 'broken.yaml'", "not YAML"),
    ([*QUICKSTART, "--params", "no_text.yaml"], "--params: 'no_text.yaml'", "not YAML"),
    ([*QUICKSTART, "--params", "no_date.yaml"], "--params: 'no_date.yaml'", "not YAML"),
    ([*QUICKSTART, "--params", "object.yaml"], "--params: 'object.yaml'", "not YAML"),
    ([*QUICKSTART, "--params", "strange.yaml"], "no parameter sead", "allowed are dataset"),
    ([*QUICKSTART, "--params", "key.yaml"], "no parameter 1", "allowed are dataset"),
    ([*QUICKSTART, "--params", "wrong.yaml"], "gamma=2", "allowed are fractions"),
    ([*QUICKSTART, "-p", "seed"], "-p seed", "allowed is NAME=VALUE"),
    ([*QUICKSTART, "-p", "=1"], "-p =1", "allowed is NAME=VALUE"),
    ([*QUICKSTART, "-p", "sead=1"], "no parameter sead", "allowed are dataset"),
    ([*QUICKSTART, "-p", "seed=[1"], "-p seed=[1", "allowed are values of YAML"),
    ([*QUICKSTART, "-p", "out=x"], "-p out=x", "allowed is --out"),
    ([*QUICKSTART, "-p", "seed=-1"], "seed=-1", "allowed are whole numbers"),
    ([*QUICKSTART, "-p", "seed=x"], "seed='x'", "allowed are whole numbers"),
    ([*QUICKSTART, "-p", "seed=[1, 2]"], "seed=[1, 2]", "allowed is one value"),
    ([*QUICKSTART, "-p", "n_train=0"], "n_train=0", "allowed are whole numbers"),
    ([*QUICKSTART, "-p", "n_test=all"], "n_test='all'", "allowed are whole numbers"),
    ([*QUICKSTART, "-p", "gamma=1"], "gamma=1", "allowed are fractions"),
    ([*QUICKSTART, "-p", "gamma=.nan"], "gamma=nan", "allowed are fractions"),
    ([*QUICKSTART, "-p", "gamma=2%"], "gamma='2%'", "allowed are fractions"),
    ([*QUICKSTART, "-p", "gamma="], "gamma=None", "allowed are fractions"),
    ([*QUICKSTART, "-p", "unlearn_lr=.inf"], "unlearn_lr=inf", "allowed are finite numbers"),
    ([*QUICKSTART, "-p", "unlearn_lr=x"], "unlearn_lr='x'", "allowed are finite numbers"),
    ([*QUICKSTART, "-p", "unlearn_lr=-5e-3"], "unlearn_lr=-0.005", "allowed are finite numbers"),
    ([*QUICKSTART, "-p", "e1=2.5"], "e1=2.5", "allowed are whole numbers"),
    ([*QUICKSTART, "-p", "stop=maybe"], "stop='maybe'", "allowed are True and False"),
    ([*QUICKSTART, "-p", "stop=1"], "stop=1", "allowed are True and False"),
    ([*QUICKSTART, "-p", "attack=badnet"], "attack='badnet'", "did you mean BadNets?"),
    ([*QUICKSTART, "-p", "attack=5"], "attack=5", "allowed are BadNets"),
    ([*QUICKSTART, "-p", "target=first"], "target='first'", "allowed are whole numbers"),
    ([*QUICKSTART, "-p", "quota=third"], "quota='third'", "allowed are per class, total"),
    ([*QUICKSTART, "-p", "device=gpu"], "device='gpu'", "allowed are 'cpu'"),
    ([*QUICKSTART, "-p", "dataset=shape10"], "dataset='shape10'", "allowed are 'shapes10'"),
    ([*QUICKSTART, "-p", "dataset=no/such"], "dataset='no/such'", "no such folder"),
    ([*QUICKSTART, "-p", "dataset=5"], "dataset=5", "allowed are text"),
    ([*QUICKSTART, "-p", "cache=5"], "cache=5", "allowed are text"),
    ([*PIPELINE, "-p", "attack_names=badnet"], "attack_names='badnet'", "did you mean BadNets?"),
    ([*PIPELINE, "-p", "attack_names=[SIG, 5]"], "attack_names=5", "allowed are BadNets"),
    ([*PIPELINE, "-p", "attack_names=[]"], "attack_names=[]", "at least one"),
    ([*PIPELINE, "-p", "attack_names={a: 1}"], "attack_names={'a': 1}", "allowed are lists"),
    ([*PIPELINE, "-p", "choose_e1=1"], "choose_e1=1", "allowed are True and False"),
    (["run", "12_dbd", "-p", "own_e1=15"], "own_e1=15", "allowed are dicts"),
    (["run", "09_sweeps", "-p", "alphas=[0.1, 2]"], "alphas=2", "allowed are fractions"),
    (["run", "09_sweeps", "-p", "e1s=0"], "e1s=0", "allowed are whole numbers"),
    ([*RATES, "--seeds", "x"], "argument --seeds: 'x'", "allowed are whole numbers"),
    ([*RATES, "--seeds", "-1"], "argument --seeds: '-1'", "allowed are whole numbers"),
    ([*RATES, "--seeds", "4294967296"], "--seeds: seed=4294967296", "allowed are whole numbers"),
    ([*QUICKSTART, "-p", "seed=4294967296"], "seed=4294967296", "allowed are whole numbers"),
    ([*RATES, "--n-train", "0"], "argument --n-train: '0'", "allowed are whole numbers"),
    ([*RATES, "--n-train", "5e3"], "argument --n-train: '5e3'", "allowed are whole numbers"),
    ([*RATES, "--device", "gpu"], "argument --device: device='gpu'", "allowed are 'cpu'"),
    ([*RATES, "--store", "file.txt"], "argument --store: 'file.txt'", "allowed are folders"),
    ([*RATES, "--out", "file.txt/x"], "argument --out: 'file.txt/x'", "allowed are folders"),
    (["record", "rate"], "argument NAME: invalid choice: 'rate'", "rates"),
    ([*CIFAR10, "--mu", "0"], "argument --mu: '0'", "allowed are whole numbers"),
    ([*CIFAR10, "--steps", "-5"], "argument --steps: '-5'", "allowed are whole numbers"),
    ([*CIFAR10, "--minutes", "nan"], "argument --minutes: 'nan'", "allowed are numbers"),
    ([*CIFAR10, "--precision", "half"], "--precision: precision='half'", "float32, bfloat16"),
    ([*CIFAR10, "--dataset", "cifar"], "argument --dataset: dataset='cifar'", "allowed are"),
    ([*CIFAR10, "--dataset", "no/such"], "argument --dataset: dataset='no/such'", "no such folder"),
    ([*CIFAR10, "--parts", "nothing"], "--parts nothing", "allowed are patterns"),
    ([*LAB, "--e1s", "0"], "argument --e1s: '0'", "allowed are whole numbers"),
    ([*LAB, "--e1s", "30"], "argument --e1s: e1s[0]=30", "≥ 1 and ≤ 20"),
    ([*LAB, "--epochs", "3"], "argument --e1s: e1s[2]=4", "≥ 1 and ≤ 3"),
    ([*LAB, "--gammas", "2"], "argument --gammas: gammas[0]=2.0", "allowed are fractions"),
    ([*LAB, "--end-e1s", "5"], "argument --end-e1s: end_e1s=5", "those of the grid: 1, 2, 4"),
    ([*LAB, "--end-e2s", "21"], "argument --end-e2s: end_e2s[0]=21", "allowed are whole numbers"),
    ([*LAB, "--attacks", "badnet"], "--attacks: attack='badnet'", "did you mean BadNets?"),
    ([*LAB, "--out", "file.txt"], "argument --out: 'file.txt'", "allowed are folders"),
    (["notebooks"], "DIR", "are required"),
    (["notebooks", "file.txt"], "argument DIR: 'file.txt'", "allowed are folders"),
    (["store", "--store", "nowhere"], "argument --store: 'nowhere'", "no such folder"),
    (["store", "--store", "file.txt"], "argument --store: 'file.txt'", "allowed are folders"),
    (["store", "--keep", "much"], "argument --keep: size='much'", "such as 500MB"),
    (["store", "--keep", "-5GB"], "--keep", "expected one argument"),
    (["store", "--older-than", "x"], "argument --older-than: 'x'", "allowed are numbers"),
    (["store", "--older-than", "-1"], "argument --older-than: '-1'", "allowed are numbers"),
    (["store", "load", "nowhere"], "argument pack: 'nowhere'", "no such file or folder"),
    (["store", "load", "file.txt"], "file.txt", "no pack of a store"),
    (["store", "load", "folder"], "folder", "no pack of a store"),
    (["store", "load", "folder", "--store", "file.txt"], "--store: 'file.txt'", "allowed are"),
    (["store", "pack", "file.txt"], "argument folder: 'file.txt'", "allowed are folders"),
    (["store", "pack", "folder", "--notebooks", "99_none"], "notebook='99_none'", "allowed are"),
    (["store", "pack", "folder", "--params", "strange.yaml"], "no parameter sead", "allowed are"),
    (["store", "pack", "folder", "--all", "--store", "folder"], "--store", "nothing to pack"),
    (["sweep", "none.yaml"], "argument file: 'none.yaml'", "allowed are YAML files"),
    (["sweep", "broken.yaml"], "argument file: 'broken.yaml'", "not YAML"),
    (["sweep", "list.yaml"], "file: ", "the plan needs a grid"),
    (["sweep", "plan.yaml", "--workers", "0"], "argument --workers: '0'", "whole numbers"),
    (["sweep", "plan.yaml", "--workers", "all"], "argument --workers: 'all'", "whole numbers"),
    (["sweep", "plan.yaml", "--out", "folder"], "argument --out: 'folder'", "allowed are files"),
    (["sweep", "plan.yaml", "--out", "no/t.csv"], "--out: 'no/t.csv'", "no folder no"),
    (["sweep", "plan.yaml", "--dask", "x"], "argument --dask: 'x'", "such as tcp://127.0.0.1:8786"),
    (["sweep", "plan.yaml", "--dask", "http://x:1"], "--dask: 'http://x:1'", "such as tcp://"),
    (["sweep", "plan.yaml", "--dask", "tcp://[::1]:x"], "--dask: 'tcp://[::1]:x'", "such as tcp"),
    (["sweep", "plan.yaml", "--dask", "tcp://n1:8786"], "--dask: 'tcp://n1:8786'", "with --tls"),
    (["sweep", "plan.yaml", "--dask", "0.0.0.0:8786"], "--dask: '0.0.0.0:8786'", "with --tls"),
    (["sweep", "plan.yaml", "--dask", "tls://n1:8786"], "--dask tls://n1:8786", "--tls FOLDER"),
    (["sweep", "plan.yaml", "--tls", "folder"], "--tls folder", "needs --dask tls://"),
    (["sweep", "plan.yaml", "--tls", "nowhere"], "argument --tls: 'nowhere'", "no such folder"),
    (
        ["sweep", "plan.yaml", "--dask", "tls://n1:8786", "--tls", "folder"],
        "--tls folder",
        "ca.pem",
    ),
    (["doctor", "--jsno"], "--jsno", "unrecognized arguments"),
]
# As above, for what a plan of a sweep holds
WRONG_PLANS = [
    ({"trial": "toy_trials:add"}, "trial='toy_trials:add'", "allowed are run_dlp, run_defence"),
    ({"trial": "os:system"}, "trial='os:system'", "allowed are run_dlp, run_defence"),
    ({"trial": None, "notebook": "x.ipynb"}, "plan needs", "either a trial or a notebook"),
    ({"trials": 5}, "trials", "allowed are trial, notebook, grid, seeds, store"),
    ({5: 5}, "5", "allowed are trial, notebook, grid, seeds, store"),
    ({"seeds": 3}, "seeds=3", "allowed are lists of whole numbers"),
    ({"seeds": ["x"]}, "seeds='x'", "allowed are whole numbers"),
    ({"store": None}, "store=None", "allowed are folders"),
    ({"store": "file.txt"}, "store='file.txt'", "allowed are folders"),
    ({"grid": None}, "grid=None", "allowed are a dict of lists"),
    ({"grid": {"gamma": [2]}}, "gamma=2", "allowed are fractions"),
    ({"grid": {"gama": [0.1]}}, "no parameter gama", "allowed are dataset"),
    ({"grid": {"attack": "badnet"}}, "attack='badnet'", "did you mean BadNets?"),
    ({"grid": {"unlearn_lr": "fast"}}, "unlearn_lr='fast'", "allowed are finite numbers"),
    ({"grid": {"dataset": "no/such"}}, "dataset='no/such'", "no such folder"),
    ({"grid": {"dataset": "shape10"}}, "dataset='shape10'", "allowed are 'shapes10'"),
    ({"grid": {"e1": [[1, 2]]}}, "e1=[1, 2]", "allowed are finite numbers, text"),
]
WRONG_NOTEBOOKS = [
    ({"notebook": None}, "notebook=None", "no such file"),
    ({"notebook": 5}, "notebook=5", "no such file"),
    ({"notebook": "none.ipynb"}, "notebook='none.ipynb'", "no such file"),
    ({"notebook": "list.ipynb"}, "notebook='list.ipynb'", "--allow-code"),
]
PLAN = {"trial": "run_dlp", "grid": {"gamma": [0.1]}, "store": "store"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with files to be named, in a process that must not begin to work."""

    def work(*_, **__):
        raise AssertionError("it has begun to work")

    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "execute_notebook", work)
    monkeypatch.setattr(record, "_record", work)
    monkeypatch.setattr(cifar10, "scenario", work)
    monkeypatch.setattr("dlp_lib.live.record._record", work)
    monkeypatch.setattr(store_command, "remove", work)
    monkeypatch.setattr("dlp_lib.experiments.sweep.execute._finish", work)
    monkeypatch.setattr("dlp_lib.experiments.sweep.execute._finish_on_pools", work)
    return tmp_path


def refusal(arguments, capsys):
    """What a command says of its arguments, on standard error."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def expect_sentence(said, given, allowed):
    """Check that the last line names what was given and what is allowed."""
    sentence = said.strip().splitlines()[-1]
    assert given in sentence
    assert allowed in sentence
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "given", "allowed"), WRONG, ids=[" ".join(row[0]) for row in WRONG]
)
def test_wrong_arguments_are_refused_by_a_sentence(here, capsys, arguments, given, allowed):
    before = sorted(here.iterdir())
    arguments = [argument.replace("{here}", str(here)) for argument in arguments]
    if arguments[0] == "run" and "--out" not in arguments:
        arguments += ["--out", "new"]
    expect_sentence(refusal(arguments, capsys), given, allowed)
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(("changes", "given", "allowed"), WRONG_PLANS + WRONG_NOTEBOOKS)
def test_wrong_plans_are_refused_by_a_sentence(here, capsys, changes, given, allowed):
    plan = PLAN | changes
    if "notebook" in changes and "trial" not in changes:
        del plan["trial"]
    (here / "plan.yaml").write_text(yaml.safe_dump(plan))
    before = sorted(here.iterdir())
    expect_sentence(refusal(["sweep", "plan.yaml"], capsys), given, allowed)
    assert sorted(here.iterdir()) == before


def test_the_rows_would_be_accepted_without_their_fault(here):
    """The refusals above are of the faults: without them the same lines begin to work."""
    right = [
        ["run", "00_quickstart", "--out", "new", "-p", "attack=badnets", "-p", "unlearn_lr=5e-3"],
        ["run", "06_dlp_pipeline", "--out", "new", "-p", "attack_names=sig"],
        ["record", "rates", "--seeds", "0"],
        ["record", "cifar10", "--dataset", "folder", "--steps", "5"],
        ["record", "lab", "--attacks", "sig", "--e1s", "4", "--end-e1s", "4"],
        ["sweep", "plan.yaml"],
        ["sweep", "plan.yaml", "--workers", "2", "--out", "t.csv"],
    ]
    for arguments in right:
        with pytest.raises(AssertionError, match="it has begun to work"):
            main(arguments)


def test_every_command_has_rows():
    assert {row[0][0] for row in WRONG} >= set(COMMANDS) - {"defend"}
