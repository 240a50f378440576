"""What is wrong with this installation, and what to do about it: ``python -m dlp_lib.doctor``.

If even that fails: ``python dlp_lib/doctor.py``, which starts without any package. A problem makes the exit status 1.
"""

import argparse
import hashlib
import json
import platform
import re
import runpy
import shutil
import site
import subprocess
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = HERE.parent if (HERE.parent / "notebooks").is_dir() else Path.cwd()  # as in runtime.py, which needs torch
PYTHON = subprocess.list2cmdline([sys.executable])
PIP = f"{PYTHON} -m pip install"
INSTALL = f'{PIP} -e "{HOME}[lab,cluster]"' if sys.prefix != sys.base_prefix else "make lab, or as in README.md"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # as in data.py
TORCH = """import torch, torchvision; torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, {torch.get_num_threads()} CPU thread(s)")"""
GPU = "import torch; torch.ones(2, device='cuda').sum().item(); print(torch.cuda.get_device_name())"
WRITE = "import sys, tempfile; tempfile.TemporaryFile(dir=sys.argv[1]).close()"
KERNEL = "import importlib.util as u, sys; print(sys.prefix, getattr(u.find_spec('dlp_lib'), 'origin', ''), sep='|')"
HIDDEN = {  # what PyTorch says of a GPU that it does not count, so that notebooks take the CPU; and what helps
    "not compiled": "Install torch and torchvision again, with CUDA: https://pytorch.org/get-started",
    "driver": "Update NVIDIA's driver, or install a PyTorch for an older CUDA: https://pytorch.org/get-started",
    "No CUDA GPUs": "Unset CUDA_VISIBLE_DEVICES, if it is set; otherwise restart the machine.",
}


def judge(fine, found, otherwise="", remedy="", level="problem") -> tuple:
    """Level, what was found, what to do. A "warning" is of what works, though not as it could."""
    return ("ok", found, "") if fine else (level, otherwise or found, remedy)


def python():
    found, venv = f"Python {platform.python_version()}, {sys.executable}", HOME / ".venv"
    made_for = sys.maxsize > 2**32 and (sys.platform, platform.machine()) != ("darwin", "x86_64")
    remedy = "Install Python 3.11 or newer, of 64 bits, on a Mac for Apple silicon; then: make lab PYTHON=python3.12"
    yield judge(made_for and sys.version_info >= (3, 11), found, f"{found}: not one for dlp_lib and PyTorch", remedy)
    if venv.is_dir() and venv.resolve() != Path(sys.prefix).resolve():
        other = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        yield "warning", f"make has installed for another one, in {venv}", f"Ask that one: {other} {HERE / 'doctor.py'}"


def packages():
    import tomllib

    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for part, wanted in {"dlp_lib": project["dependencies"], **project["optional-dependencies"]}.items():
        unmet, level = _unmet(wanted), {"dlp_lib": "problem", "lab": "problem", "cluster": "warning"}.get(part, "ok")
        whom = {"lab": "notebooks", "cluster": "Dask (notebook 09)", "test": "tests"}.get(part, part)
        yield judge(not unmet, f"for {whom}: all {len(wanted)}", f"for {whom}: {', '.join(unmet)}", INSTALL, level)


def _unmet(requirements) -> list:
    """The requirements that are not met, and what is here instead."""
    from packaging.requirements import Requirement

    unmet = []
    for wanted in map(Requirement, requirements):
        here = next((package.version for package in metadata.distributions(name=wanted.name)), "")
        if not wanted.specifier.contains(here or "0", prereleases=True):
            unmet.append(f"{wanted.name}{wanted.specifier} ({f'here: {here}' if here else 'missing'})")
    return unmet


def compute():
    """PyTorch, what it computes on, and memory."""
    works, said = _run(sys.executable, "-c", TORCH)  # apart from here, as a broken one may end its process
    again = f"Both from one source: {PIP} --force-reinstall torch torchvision (without a GPU: as in README.md)"
    yield judge(works, said, f"PyTorch does not work: {said}", INSTALL if "No module named" in said else again)
    if works:
        yield _gpu()
    works, said = _run(sys.executable, "-c", "import psutil; print(psutil.virtual_memory().available)")
    found = f"{int(said) / 1e9:.1f} GB of memory are free" if works else f"free memory is not known: {said}"
    yield judge(not works or int(said) > 2e9, found, "", "Close programs, and notebooks that are done.", "warning")


def _gpu() -> tuple:
    smi, (works, said) = shutil.which("nvidia-smi"), _run(sys.executable, "-c", GPU)
    if works or not smi:
        return "ok", f"GPU: {said}" if works else "no NVIDIA GPU, and no other kind (Apple's, say) is used", ""
    card = _run(smi, "-L")[1]  # or why there is no answer
    for sign, remedy in HIDDEN.items():
        if sign in said:
            return "warning", f"notebooks take the CPU, not {card}: {said}", remedy
    return "problem", f"{card} fails: {said}", 'Set device = "cpu" in the notebooks.'


def widgets():
    """What draws sliders: a part of it is Python, the other JavaScript."""
    from jupyter_core.paths import jupyter_path

    unmet = _unmet(line for line in metadata.requires("ipywidgets") if "widgets" in line)
    again = f"{PIP} --force-reinstall ipywidgets jupyterlab_widgets widgetsnbextension; then reload the page"
    yield judge(not unmet, "ipywidgets has what it needs", f"sliders stay blank without {', '.join(unmet)}", again)
    places = [Path(folder, "@jupyter-widgets", "jupyterlab-manager") for folder in jupyter_path("labextensions")]
    front = next(filter(Path.is_dir, places), Path("/nowhere"))
    yield judge(_own(front), f"JupyterLab has sliders from {front}", remedy=f"Remove that folder, if any; {again}")


def jupyter():
    """Which JupyterLab is started, and what its notebooks run in."""
    from jupyter_client.kernelspec import get_kernel_spec

    command, spec = shutil.which("jupyter"), get_kernel_spec("python3")
    if command and not _own(command):
        yield "warning", f"`jupyter lab` is another environment's, {command}", f"make lab, or {PYTHON} -m jupyterlab"
    kernel = spec.argv[0] if Path(spec.argv[0]).is_absolute() else sys.executable  # so Jupyter takes "python"
    works, said = _run(kernel, "-c", KERNEL)
    prefix, _, origin = said.partition("|")
    same = works and Path(prefix).resolve() == Path(sys.prefix).resolve()
    remedy = f"Remove {spec.resource_dir}, then: {PYTHON} -m ipykernel install --sys-prefix"
    yield judge(same, f"notebooks run in {prefix}", f"notebooks start another Python, {kernel}: {said}", remedy)
    same, found = Path(origin).resolve().parent == HERE, f"notebooks take dlp_lib from {origin or 'nowhere'}"
    yield judge(same, found, f"{found}, not from {HERE}", f'{PIP} --no-deps -e "{HOME}"')


def _own(path) -> bool:
    roots = [sys.prefix, site.getuserbase() if site.ENABLE_USER_SITE else sys.prefix]
    return any(Path(root).resolve() in Path(path).parent.resolve().parents for root in roots)


def folder():
    """The project's folder and its disk."""
    works, said = _run("git", "-C", str(HOME), "rev-parse", "--short", "HEAD")
    found = f"{HOME}, commit {said}" if works else f"{HOME}, not a git checkout: results will name no commit"
    remedy = f'If this is about ownership: git config --global --add safe.directory "{HOME}"'
    yield judge(works or not (HOME / ".git").exists(), found, f"results will name no commit: {said}", remedy, "warning")
    for place in (HOME / "build", HOME / "data"):
        works, said = _run(sys.executable, "-c", WRITE, str(place if place.is_dir() else HOME))
        yield judge(works, f"can write {place}", f"cannot write {place}: {said}", "Work in a copy that you own.")
    disk, remedy = shutil.disk_usage(HOME).free / 1e9, f"Make room; {HOME / 'build' / 'store'} can be computed again."
    yield judge(disk > 3, f"{disk:.1f} GB of disk are free", "", remedy, "warning" if disk > 0.5 else "problem")


def data():
    """Data sets and recorded tables."""
    archive, files, bad = HOME / "data" / "cifar-10-binary.tar.gz", {HOME / "data" / "paper.json"}, []
    whole = not archive.is_file() or hashlib.md5(archive.read_bytes()).hexdigest() == CIFAR10_MD5
    found = f"CIFAR-10 {'is' if archive.is_file() else 'will be downloaded, when used (170 MB), to'} {archive}"
    yield judge(whole, found, f"{archive} is damaged", "Delete it; it is downloaded again when used.", "warning")
    text = "".join(notebook.read_text(encoding="utf-8") for notebook in (HOME / "notebooks" / "py").glob("*.py"))
    files |= {HOME / "data" / "recorded" / f"{name}.json" for name in re.findall(r'record\.read\("(\w+)"', text)}
    for file in sorted(files):
        try:
            json.loads(file.read_bytes())
        except (OSError, ValueError):
            bad.append(file.name)
    yield judge(not bad, f"all {len(files)} tables", f"damaged or missing: {', '.join(bad)}", "git checkout -- data")
    images = runpy.run_path(str(HERE / "shapes10.py"))["draw"](100)[0]  # not from dlp_lib, which needs torch
    same = hashlib.sha256(images.tobytes()).hexdigest().startswith("2d2f20b41ffc50f7")
    yield judge(same, "shapes10 is as everywhere", "shapes10 differs: so will results", "Restore shapes10.py or numpy.")


def _run(*command) -> tuple:
    """Whether a program ended well, and the line that says most about it; run where notebooks are."""
    place = HOME / "notebooks" if (HOME / "notebooks").is_dir() else HOME
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace", timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        return False, str(error)
    lines = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip().split("\n")
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return done.returncode == 0, (errors or lines)[-1] or f"exit status {done.returncode}"


def examine():
    """Every finding: check, level, found, remedy. A check that fails is one itself, and the others go on."""
    for check in (python, packages, compute, widgets, jupyter, folder, data):
        try:
            yield from ((check.__name__, *finding) for finding in check())
        except Exception as error:
            yield check.__name__, "problem", f"cannot be checked: {error!r}", INSTALL


def main(given=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlp_lib.doctor", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    as_json, findings = parser.parse_args(given).json, []
    for check, level, found, remedy in examine():
        findings.append({"check": check, "level": level, "found": found, "remedy": remedy})
        if not as_json:
            print(f"{level:<9}{check:<10}{found}" + f"\n{'':<9}-> {remedy}" * bool(remedy), flush=True)
    problems, warnings = ([finding["level"] for finding in findings].count(name) for name in ("problem", "warning"))
    print(json.dumps(findings, indent=2) if as_json else f"\nProblems: {problems}, warnings: {warnings}.")
    return int(problems > 0)


if __name__ == "__main__":
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != HERE]  # its files would hide packages
    sys.exit(main())
