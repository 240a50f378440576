"""What holds the project together: floors and walls, light imports, one list of requirements."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from longest_first import LONGEST_FIRST

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dlp_lib"
# The floors of the package, the lowest first. A room is a file or a folder right below dlp_lib. A
# file imports from its own room and from lower floors; rooms of one floor never import each other.
FLOORS = [
    ("checking", "console", "files", "places"),
    ("fingerprint",),
    ("runtime",),
    ("store",),
    ("context",),
    ("data",),
    ("models",),
    ("training",),
    ("attacks", "defences"),
    ("evaluation",),
    ("recipes",),
    ("experiments",),
    ("plots",),
    ("live",),
    ("checks",),
    ("health",),
    ("doctor",),
    ("__main__",),
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
ALL = "the package itself"  # which imports everything


def room_of(place: Path) -> str:
    """The room of a file, given its path inside the package."""
    return place.parts[0].removesuffix(".py")


@cache
def offered() -> dict[str, str]:
    """The names that ``dlp_lib`` offers, and the room of each."""
    found = {}
    for node in ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.name] = node.module.split(".")[0]
    return found


def rooms_of_module(module: str, names: list[str]) -> Iterator[str]:
    """The rooms that are imported from an absolute module, in parts or as a whole."""
    package, _, inside = module.partition(".")
    if package != "dlp_lib":
        return
    if inside:
        yield inside.split(".")[0]
    for name in [] if inside else names:
        yield name if name in FLOOR else offered().get(name, ALL)
    if not inside and not names:
        yield ALL


def absolute(node: ast.ImportFrom, place: Path) -> str:
    """The module of a ``from`` import, without its dots."""
    if node.level == 0:
        return node.module
    folders = ["dlp_lib", *place.parts[:-1]]
    parts = folders[: len(folders) - node.level + 1]
    if node.module:
        parts.append(node.module)
    return ".".join(parts)


def imported_rooms(source: str, place: Path) -> Iterator[str]:
    """The rooms that a file imports from, in whatever form, and wherever in the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from rooms_of_module(alias.name, [])
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            yield from rooms_of_module(absolute(node, place), names)
        elif isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func).split(".")[-1]
            name = node.args[0]
            if function in ("import_module", "__import__") and isinstance(name, ast.Constant):
                yield from rooms_of_module(str(name.value), [])


def violations(source: str, place: Path) -> list[str]:
    """What a file imports that it must not; its path is that inside the package."""
    own = room_of(place)
    found = []
    for room in imported_rooms(source, place):
        if room == own:
            continue
        if room == ALL or FLOOR[room] >= FLOOR[own]:
            found.append(f"{place} imports {room}")
    return found


def library_files() -> list[Path]:
    """All files of the package but the one that offers its names."""
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def test_every_room_has_its_floor():
    assert {room_of(path.relative_to(PACKAGE)) for path in library_files()} == set(FLOOR)


def test_every_file_imports_from_lower_floors_only():
    found = []
    for path in library_files():
        source = path.read_text(encoding="utf-8")
        found += violations(source, path.relative_to(PACKAGE))
    assert found == []


def test_the_walls_are_where_they_should_be():
    assert FLOOR["attacks"] == FLOOR["defences"]
    assert FLOOR["evaluation"] > FLOOR["defences"]
    assert [room for room in FLOOR if FLOOR[room] > FLOOR["experiments"]] == [
        "plots", "live", "checks", "health", "doctor", "__main__"
    ]  # fmt: skip


FORMS = [
    "from ..ROOM import anything",
    "from ..ROOM.inside import anything",
    "from .. import ROOM",
    "from .. import runtime, ROOM as other",
    "import dlp_lib.ROOM",
    "import os, dlp_lib.ROOM.inside as other",
    "from dlp_lib import ROOM",
    "from dlp_lib.ROOM import anything",
    "from dlp_lib.ROOM.inside import anything",
    "def function():\n    from ..ROOM import anything",
    "class Class:\n    def method(self):\n        import dlp_lib.ROOM",
    "if TYPE_CHECKING:\n    from dlp_lib import ROOM",
    "import importlib\nimportlib.import_module('dlp_lib.ROOM')",
    "__import__('dlp_lib.ROOM.inside')",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("place", "room"),
    [
        ("attacks/planted.py", "defences"),
        ("defences/planted.py", "attacks"),
        ("defences/planted.py", "evaluation"),
        ("training/planted.py", "plots"),
        ("experiments/planted.py", "live"),
    ],
)
def test_an_import_through_a_wall_is_noticed(form, place, room):
    source = form.replace("ROOM", room)
    assert violations(source, Path(place)) == [f"{place} imports {room}"]
    below = form.replace("ROOM", "runtime")
    assert violations(below, Path(place)) == []


def test_imports_by_the_package_are_noticed():
    place = Path("attacks/planted.py")
    assert violations("from dlp_lib import DLP", place) == ["attacks/planted.py imports defences"]
    assert violations("from .. import DLP", place) == ["attacks/planted.py imports defences"]
    assert violations("from dlp_lib import Runtime", place) == []
    assert violations("import dlp_lib", place) == [f"attacks/planted.py imports {ALL}"]
    deeper = Path("experiments/sweep/planted.py")
    assert violations("from ...plots import base", deeper) == [f"{deeper} imports plots"]
    assert violations("from ..trials import anything", deeper) == []
    assert violations("from . import plots", deeper) == []


def test_files_stay_short():
    for folder in (PACKAGE, ROOT / "tools"):
        for path in folder.rglob("*.py"):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 250, path


LIGHT = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy}:
            raise ImportError(f"{{name}} is not installed here")
sys.meta_path.insert(0, Forbid())
import dlp_lib
split, _ = dlp_lib.load("shapes10", 20, 20)
dlp_lib.evaluate(dlp_lib.wrn_16_1(10, dlp_lib.Runtime()), split, dlp_lib.BadNets())
"""
HEAVY = {
    "torchvision", "safetensors", "PIL", "matplotlib", "seaborn", "pandas", "IPython",
    "ipywidgets", "yaml", "sklearn", "dask", "distributed", "papermill", "nbformat",
}  # fmt: skip


def test_importing_the_library_takes_torch_and_numpy_alone():
    command = [sys.executable, "-c", LIGHT.format(heavy=HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def names_and_bounds(requirements):
    found = set()
    for requirement in requirements:
        match = re.fullmatch(r"([\w-]+)(.*)", requirement.replace(" ", ""))
        found.add((match[1], match[2]))
    return found


@pytest.fixture
def wanted():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        requirements += extra
    return names_and_bounds(requirements)


def test_conda_users_get_the_same_requirements(wanted):
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    requirements = []
    for entry in listed:
        requirements += entry["pip"] if isinstance(entry, dict) else [entry]
    requirements.remove("-e .")
    requirements.remove("pip")
    requirements.remove("python>=3.11")
    other = {"pytorch": "torch", "playwright-python": "playwright"}  # conda's names
    conda = {(other.get(name, name), bound) for name, bound in names_and_bounds(requirements)}
    assert conda == wanted


def test_the_lock_satisfies_the_requirements(wanted):
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = [re.match(r"([\w.-]+)==([\w.]+)", line).groups() for line in lines]
    for name, bounds in wanted:
        versions = [version for other, version in pinned if other == name]
        assert versions, f"{name} is not in requirements.lock"
        least = re.search(r">=([\d.]+)", bounds)[1]
        for version in versions:
            assert tuple(map(int, version.split("."))) >= tuple(map(int, least.split("."))), name
            assert f"!={version}" not in bounds


def test_cuda_packages_are_for_linux_alone():
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line.startswith(("nvidia-", "cuda-", "triton")):
            assert "sys_platform == 'linux'" in line


def test_nothing_is_ever_unpickled():
    forbidden = r"import pickle|pickle\.load|torch\.load\(|torch\.save\(|allow_pickle"
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(forbidden, path.read_text(encoding="utf-8")), path


def test_the_files_that_are_tested_first_are_there():
    assert [name for name in LONGEST_FIRST if not (ROOT / "tests" / name).is_file()] == []
