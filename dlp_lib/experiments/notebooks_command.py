"""Write the notebooks into a folder, with their presets and the guides that they link to.

python -m dlp_lib notebooks course
python -m dlp_lib notebooks course --student
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import nbformat

from ..console import say
from ..files import write_atomically
from ..places import PROJECT
from . import options as read
from .classroom import make_student
from .links import published_address, relink
from .notebook_files import read_notebook

_GUIDES = ("*.md", "*.png", "*.svg")
_FOR_INSTRUCTORS = "INSTRUCTOR.md"


def choose_files(student: bool = False) -> dict[str, str]:
    """Return what is written, and where: paths inside the project, and inside the new folder.

    Args:
        student: whether to leave out the guide for instructors.
    """
    places = {}
    for path in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        places[f"notebooks/{path.name}"] = path.name
    for path in sorted((PROJECT / "notebooks" / "params").glob("*.yaml")):
        places[f"notebooks/params/{path.name}"] = f"params/{path.name}"
    for pattern in _GUIDES:
        for path in sorted((PROJECT / "docs").glob(pattern)):
            if not (student and path.name == _FOR_INSTRUCTORS):
                places[f"docs/{path.name}"] = f"docs/{path.name}"
    return places


def write_notebooks(folder: Path, student: bool = False) -> list[Path]:
    """Write the notebooks, their presets and the guides into a folder.

    Links among them hold. A link to anything else of the project leads to where it is published, or
    goes.

    Args:
        folder: made if it is not there.
        student: whether solutions and outputs are left out.

    Returns:
        The files.

    Raises:
        FileExistsError: where one of the files is there already; then nothing is written.
        CannotWrite: where the folder cannot be written.
    """
    places = choose_files(student)
    present = [place for place in places.values() if (folder / place).exists()]
    if present:
        raise FileExistsError(
            f"DIR={str(folder)!r}: it has {', '.join(present[:3])} already; "
            "allowed are folders without these files"
        )
    contents = list(_contents(places, student))  # all is read before anything is written
    for place, data in contents:
        write_atomically(folder / place, data)
    return [folder / place for place, _ in contents]


def _contents(places: dict[str, str], student: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the places of the files, and what they are to hold."""
    address = published_address()
    for source, place in places.items():
        path = PROJECT / source
        if path.suffix == ".ipynb":
            notebook = read_notebook(path)
            if student:
                make_student(notebook)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = relink(cell.source, source, places, address)
            yield place, f"{nbformat.writes(notebook)}\n".encode()
        elif path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            yield place, relink(text, source, places, address).encode()
        else:
            yield place, path.read_bytes()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib notebooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=read.folder, metavar="DIR", help="where to write them")
    parser.add_argument(
        "--student", action="store_true", help="leave out solutions, outputs and INSTRUCTOR.md"
    )
    options = parser.parse_args(arguments)
    try:
        written = write_notebooks(options.folder, options.student)
    except FileExistsError as error:
        parser.error(str(error))
    notebooks = [path for path in written if path.suffix == ".ipynb"]
    presets = [path for path in written if path.suffix == ".yaml"]
    others = len(written) - len(notebooks) - len(presets)
    say(
        f"{len(notebooks)} notebooks in {options.folder}, {len(presets)} files of parameters in "
        f"{options.folder / 'params'}, {others} files of guides in {options.folder / 'docs'}\n"
        f"To open them: python -m jupyterlab {options.folder}"
    )


if __name__ == "__main__":
    main()
