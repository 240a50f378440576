"""The command line: every command is listed, has its own help, and needs its own packages only."""

import json
import subprocess
import sys

import pytest
import yaml

from dlp_lib import HOME
from dlp_lib.__main__ import COMMANDS, main
from dlp_lib.experiments import run


def test_without_a_command_all_are_listed(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"\n    {name}" in printed
        assert command.help in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert not stop.value.code
    assert f"usage: python -m dlp_lib {name} " in capsys.readouterr().out


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["recrod", "--help"])
    message = capsys.readouterr().err
    assert "recrod" in message
    assert "record" in message


ONLY_TORCH = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"papermill", "nbformat", "yaml", "pandas", "tqdm", "matplotlib"}:
            raise ImportError(name)
sys.meta_path.insert(0, Forbid())
from dlp_lib.__main__ import main
main(["doctor", "--help"])
"""


def test_the_doctor_starts_where_the_packages_of_other_commands_are_missing():
    command = [sys.executable, "-c", ONLY_TORCH]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout


def test_run_refuses_bad_input_before_any_work(tmp_path, capsys):
    folder = tmp_path / "out"
    preset = tmp_path / "list.yaml"
    preset.write_text("- seed\n", encoding="utf-8")
    bad = {
        "notebook='99_none'": ["99_none"],
        "has no parameter sead": ["00_quickstart", "-p", "sead=1"],
        "-p seed: allowed is NAME=VALUE": ["00_quickstart", "-p", "seed"],
        "allowed is a file of lines": ["00_quickstart", "--params", str(preset)],
        "No such file": ["00_quickstart", "--params", str(tmp_path / "none.yaml")],
    }
    for message, arguments in bad.items():
        with pytest.raises(SystemExit):
            main(["run", *arguments, "--out", str(folder)])
        assert message in capsys.readouterr().err
    assert not folder.exists()


def test_run_hands_a_notebook_its_parameters(tmp_path, monkeypatch, capsys):
    """The file's, then those of -p, and the folder; a folder of images becomes absolute."""
    received = []

    def execute(notebook, parameters, folder, kernel):
        received.append((notebook, parameters, folder))
        return {"parameters": parameters}

    monkeypatch.setattr(run, "execute", execute)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    preset = {"seed": 3, "e1": 2, "dataset": "images"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(preset), encoding="utf-8")
    main(["run", "00_quickstart", "--out", "out", "--params", "mine.yaml", "-p", "seed=1"])
    ((notebook, parameters, folder),) = received
    assert notebook == HOME / "notebooks" / "00_quickstart.ipynb"
    assert folder == tmp_path / "out"
    assert folder.is_dir()
    wanted = {"seed": 1, "e1": 2, "out": str(folder), "dataset": str(tmp_path / "images")}
    assert parameters == wanted
    assert "00_quickstart.html" in capsys.readouterr().out


def test_the_table_of_stages():
    row = {"stage": "SL", "ca": 0.442, "asr": 1, "ra": 0, "seconds": 2.04, "images": 20000}
    metrics = {"stages": [row | {"collapsed": False}, row | {"stage": "AU", "collapsed": True}]}
    lines = run.stage_table(json.loads(json.dumps(metrics))).splitlines()
    assert lines[1].split() == ["SL", "44.2", "100.0", "0.0", "2.0", "20,000"]
    assert lines[2].split()[0] == "AU"
    assert lines[2].endswith("collapsed")
