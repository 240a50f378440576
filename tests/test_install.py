"""The first installation: what is taken from where, and what it says before it begins."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import install

ROOT = Path(__file__).resolve().parents[1]
LOCK = install.LOCK.read_text(encoding="utf-8")
CUDA = ("nvidia-", "cuda-", "triton")


def names(requirements):
    return {re.match(r"[\w.-]+", line)[0] for line in requirements}


@pytest.mark.parametrize(
    ("platform", "cpu"),
    [("linux", False), ("darwin", False), ("darwin", True), ("win32", False), ("win32", True)],
)
def test_all_of_the_lock_is_installed_from_one_place(platform, cpu):
    chosen = install.plan(LOCK, platform, cpu)
    assert (chosen.first, chosen.then) == ([], LOCK)


def test_for_the_cpu_on_linux_torch_has_a_place_of_its_own_and_cuda_is_left_out():
    chosen = install.plan(LOCK, "linux", cpu=True)
    then = chosen.then.splitlines()
    assert names(chosen.first) == {"torch", "torchvision"}
    left_out = names(LOCK.splitlines()) - names(chosen.first) - names(then)
    assert left_out
    assert all(name.startswith(CUDA) for name in left_out)
    assert not any(name.startswith(CUDA) for name in names(then))
    assert set(chosen.first) | set(then) <= set(LOCK.splitlines())  # the versions of the lock


def test_the_index_of_pytorch_gives_torch_alone():
    chosen = install.plan(LOCK, "linux", cpu=True)
    first, then, own = install.commands(chosen, Path("wanted.txt"))
    assert ["--no-deps", "--index-url", install.CPU_INDEX, *chosen.first] == first[-5:]
    assert install.CPU_INDEX not in [*then, *own]
    assert then[-1] == "wanted.txt"
    assert own[-2:] == ["--editable", str(ROOT)]


@pytest.mark.parametrize(("cpu", "size", "way_out"), [(False, 3.3, True), (True, 0.5, False)])
def test_it_says_what_it_downloads_before_it_begins(monkeypatch, capsys, cpu, size, way_out):
    calls = []

    def run(command):
        calls.append(capsys.readouterr().out)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(install.subprocess, "run", run)
    monkeypatch.setattr(install.sys, "platform", "linux")
    assert install.main(["--cpu"] if cpu else []) == 0
    assert f"a download of about {size} GB" in calls[0]
    assert ("CPU=1" in calls[0]) == way_out
    assert len(calls) == 2 + cpu


def test_the_first_step_that_fails_ends_it(monkeypatch):
    calls = []

    def run(command):
        calls.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(install.subprocess, "run", run)
    assert install.main(["--cpu"]) == 3
    assert len(calls) == 1


def test_the_guides_name_the_same_sizes_and_the_same_index():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    guide = (ROOT / "docs" / "INSTALL.md").read_text(encoding="utf-8")
    for text in (readme, guide):
        assert install.CPU_INDEX in text
        for size in (install.WITH_CUDA.download, install.WITH_CUDA.disk):
            assert f"{size} GB" in text
        assert f"{install.WITHOUT_CUDA.download} GB" in text
    assert f"{install.WITHOUT_CUDA.disk} GB" in guide


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
@pytest.mark.parametrize(("words", "cpu"), [(["CPU=1"], True), (["CPU=0"], False), ([], False)])
def test_make_hands_the_word_on(words, cpu):
    command = ["make", "--dry-run", "--always-make", "demo", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "tools/install.py" in line]
    assert line.endswith("--cpu") == cpu


def test_it_needs_no_package():
    code = f"import sys; sys.argv = ['install.py', '--help']; sys.path[:0] = [{str(ROOT)!r}]\n"
    code += "import runpy; runpy.run_path('tools/install.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
