"""Build the book in build/book: notebooks, guides and the library's modules, by Sphinx.

python -m tools.book.build [html | linkcheck] [--solutions folded | none]
"""

import argparse
import re
import shutil
import struct
import sys
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from dlp_lib.experiments.classroom import is_tagged, strip_solution

from ..kit import ROOT
from ..links import INSTALLING
from . import lab_page, library

BOOK = Path(__file__).resolve().parent
OUT = ROOT / "build" / "book"
WIDGET = "application/vnd.jupyter.widget-view+json"
PNG = "image/png"
NO_KERNEL = (
    "*Controls that need a kernel: `make lab` opens this notebook with them. "
    "The figures on this page show the same without controls.*"
)
WIDE = 700  # pixels from which a figure scrolls on a phone, where it would be too small to read
_LINK = re.compile(r"\]\(([^)#\s]+)")


def prepare(notebook: NotebookNode, solutions: str = "folded") -> NotebookNode:
    """Return a notebook as the book shows it.

    Figures have their descriptions, words stand in the place of widgets, and an exercise comes
    before its solution. The cell that installs on Colab is left out.

    Args:
        notebook: changed in part.
        solutions: of the exercises, "folded" or "none".
    """
    # Progress lines overwrite each other
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    cells = []
    for cell in notebook.cells:
        if is_tagged(cell, INSTALLING):
            continue
        for part in _split_exercise(cell, solutions):
            cells += _split_figures(part)
    notebook.cells = cells
    for cell in cells:
        for output in cell.get("outputs", ()):
            _prepare_output(cell, output)
    notebook.metadata.pop("widgets", None)
    return notebook


def _split_exercise(cell: NotebookNode, solutions: str) -> Iterator[NotebookNode]:
    """Yield an exercise without its solution, then with it; yield any other cell as it is."""
    if solutions == "none" and is_tagged(cell, "check"):
        cell.outputs = []
    if not is_tagged(cell, "exercise"):
        yield cell
        return
    yield new_code_cell(strip_solution(cell.source), id=f"{cell.id[:60]}-do")
    if solutions == "folded":
        cell.source = re.sub(r" *# (BEGIN|END) SOLUTION\n?", "", cell.source).rstrip()
        folded = {"code_prompt_show": "A solution", "code_prompt_hide": "A solution"}
        cell.metadata["mystnb"] = folded
        cell.metadata.tags.append("hide-input")
        yield cell


def _split_figures(cell: NotebookNode) -> Iterator[NotebookNode]:
    """Yield the cell, and a cell without source for every figure after its first.

    A cell has one alternative text.
    """
    groups: list[list[NotebookNode]] = [[]]
    figures = 0
    for output in cell.get("outputs", ()):
        if PNG in output.get("data", ()):
            figures += 1
            if figures > 1:
                groups.append([])
        groups[-1].append(output)
    if cell.cell_type == "code":
        cell.outputs = groups[0]
    yield cell
    for number, outputs in enumerate(groups[1:], 2):
        hidden = {"tags": ["remove-input"]}
        yield new_code_cell(id=f"{cell.id[:60]}-{number}", outputs=outputs, metadata=hidden)


def _prepare_output(cell: NotebookNode, output: NotebookNode) -> None:
    data = output.get("data", {})
    if WIDGET in data:
        output.data = NotebookNode({"text/markdown": NO_KERNEL})
    elif PNG in data:
        width = _width(data[PNG])
        # Sphinx makes an image of known width a link to itself
        image = {"alt": output.metadata[PNG]["alt"], "width": f"{width}px"}
        if width > WIDE:
            image["classes"] = "wide"
        cell.metadata["mystnb"] = {"image": image}


def _width(png: str) -> int:
    """Return the width in pixels, from the header of a PNG in base64."""
    header = b64decode(png[:64])
    return struct.unpack(">I", header[16:20])[0]


def collect(folder: Path, solutions: str = "folded") -> None:
    """Write all pages into a new folder, which mirrors the project, so that links hold."""
    pages = _guides()
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        pages[_place(path)] = _chapter(path, solutions)
    for name, page in library.pages().items():
        pages[Path("api", f"{name}.rst")] = page.encode()
    api = (BOOK / "api.md").read_text(encoding="utf-8")
    pages[Path("api.md")] = api.replace("{public}", library.public()).encode()
    pages[Path("lab.md")] = lab_page.markdown(lab_page.read_tables()).encode()
    pages[Path("index.md")] = (BOOK / "index.md").read_bytes()
    for name, content in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _guides() -> dict[Path, bytes]:
    """Return the guides, and the files that they link to."""
    found = {}
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        files = [path]
        for link in _LINK.findall(path.read_text(encoding="utf-8")):
            files.append(path.parent / link)
        for file in files:
            if file.is_file() and file.resolve().is_relative_to(ROOT):
                found[_place(file)] = file.read_bytes()
    return found


def _chapter(path: Path, solutions: str) -> bytes:
    """Return a notebook as a chapter, with its number in the title."""
    notebook = prepare(nbformat.read(path, as_version=4), solutions)
    title = notebook.cells[0]
    title.source = title.source.replace("# ", f"# {path.stem[:2]}. ", 1)
    return nbformat.writes(notebook).encode()


def _place(path: Path) -> Path:
    return path.resolve().relative_to(ROOT)


def sphinx(source: Path, out: Path, builder: str = "html", options: Sequence[str] = ()) -> int:
    """Run Sphinx with the book's settings, and return its exit status; a warning is an error.

    Args:
        source: what ``collect`` wrote.
        out: where the pages go.
        builder: "html" or "linkcheck".
        options: further ones of Sphinx's command line.
    """
    from sphinx.cmd.build import main as build

    strict = ["-W", "--keep-going", "--nitpicky", "--fresh-env", "--quiet"]
    trees = out.parent / f"{out.name}-doctrees"
    folders = ["--conf-dir", str(BOOK), "--doctree-dir", str(trees), str(source), str(out)]
    return build([*strict, *options, "--builder", builder, *folders])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.book.build",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("builder", nargs="?", default="html", choices=("html", "linkcheck"))
    parser.add_argument(
        "--solutions", default="folded", choices=("folded", "none"), help="of the exercises"
    )
    options = parser.parse_args(arguments)
    source = OUT / "src"
    out = OUT / options.builder
    # Old pages would stay, and pages that are read again would hide their warnings
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    collect(source, options.solutions)
    status = sphinx(source, out, options.builder)
    if status == 0:
        page = "index.html" if options.builder == "html" else "output.txt"
        print(f"To read: {out / page}")
    return status


if __name__ == "__main__":
    sys.exit(main())
