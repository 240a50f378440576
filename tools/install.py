"""Install this project into the environment that runs this, and say first what that downloads.

make calls it. It needs nothing but Python itself.

python tools/install.py          what requirements.lock says
python tools/install.py --cpu    the same, with a PyTorch that has no CUDA: far smaller on Linux
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"  # PyTorch's own
_TORCH = ("torch", "torchvision")
_FOR_CUDA = re.compile(r"nvidia-|cuda-|triton$")
_NAME = re.compile(r"[\w.-]+")


class Size(NamedTuple):
    """What an installation takes, in GB."""

    download: float
    disk: float


# Of requirements.lock on Linux, with Python 3.11; and without CUDA, as on macOS and Windows
WITH_CUDA = Size(3.3, 6.4)
WITHOUT_CUDA = Size(0.5, 1.9)


class Plan(NamedTuple):
    """What is installed in which order."""

    first: list[str]  # requirements that come from CPU_INDEX
    then: str  # the text of a file of requirements, which come from where pip takes all others
    size: Size


def plan(lock: str, platform: str, cpu: bool) -> Plan:
    """Return what to install.

    Only PyTorch for Linux comes with CUDA. There, the CPU's has an index of its own, and the
    packages of CUDA are left out.

    Args:
        lock: the text of requirements.lock.
        platform: as ``sys.platform``.
        cpu: whether CUDA is left out.
    """
    if platform != "linux":
        return Plan([], lock, WITHOUT_CUDA)
    if not cpu:
        return Plan([], lock, WITH_CUDA)
    first = []
    then = []
    for line in lock.splitlines():
        name = _NAME.match(line)[0]
        if name in _TORCH:
            first.append(line)
        elif not _FOR_CUDA.match(name):
            then.append(line)
    return Plan(first, "\n".join([*then, ""]), WITHOUT_CUDA)


def announce(chosen: Plan) -> str:
    """Return what is downloaded, and how much, for people who may want to stop it."""
    size = chosen.size
    text = (
        f"Installing PyTorch, Jupyter and what else requirements.lock names into {sys.prefix}: "
        f"a download of about {size.download} GB, {size.disk} GB on disk."
    )
    if size == WITH_CUDA:
        text += (
            " Most of it is CUDA, for NVIDIA's GPUs. Without such a GPU, stop this by Ctrl-C and "
            f"add CPU=1 to the command: {WITHOUT_CUDA.download} GB."
        )
    return f"{text} It takes some minutes. A second call installs nothing."


def commands(chosen: Plan, requirements: Path) -> list[list[str]]:
    """Return the command lines.

    Args:
        chosen: what to install.
        requirements: the file that holds ``chosen.then``.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    found = []
    if chosen.first:
        found.append([*pip, "--no-deps", "--index-url", CPU_INDEX, *chosen.first])
    found.append([*pip, "--requirement", str(requirements)])
    found.append([*pip, "--no-deps", "--editable", str(ROOT)])
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status of the first step that fails, or 0."""
    parser = argparse.ArgumentParser(
        prog="python tools/install.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cpu", action="store_true", help="PyTorch without CUDA")
    options = parser.parse_args(arguments)
    chosen = plan(LOCK.read_text(encoding="utf-8"), sys.platform, options.cpu)
    print(announce(chosen), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(chosen.then, encoding="utf-8")
        for command in commands(chosen, requirements):
            status = subprocess.run(command).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
