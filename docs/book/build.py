"""Build the book in build/book: collect notebooks, guides and the library's modules, and give them to Sphinx.

python docs/book/build.py [html | linkcheck] [--solutions folded | none]
"""

import argparse
import re
import shutil
import struct
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parents[1]
OUT = ROOT / "build" / "book"
sys.path.insert(0, str(ROOT / "notebooks"))
import library  # noqa: E402
from kit import strip  # noqa: E402

WIDGET = "application/vnd.jupyter.widget-view+json"
NO_KERNEL = (
    "*Controls that need a kernel: `make lab` opens this notebook with them. "
    "The figures on this page show the same without controls.*"
)
WIDE = 700  # pixels from which a figure scrolls on a phone, where it would be too small to read
LINK = re.compile(r"\]\(([^)#\s]+)")


def prepared(notebook: NotebookNode, solutions: str = "folded") -> NotebookNode:
    """The notebook as the book shows it: described figures, words in place of widgets, exercises before solutions."""
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})  # progress lines overwrite each other
    notebook.cells = [page for cell in notebook.cells for page in _exercise(cell, solutions)]
    notebook.cells = [part for cell in notebook.cells for part in _one_figure_each(cell)]
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if WIDGET in data:
                output.data = NotebookNode({"text/markdown": NO_KERNEL})
            elif "image/png" in data:
                width = _width(data["image/png"])  # Sphinx makes an image of known width a link to itself
                image = {"alt": output.metadata["image/png"]["alt"], "width": f"{width}px"}
                cell.metadata["mystnb"] = {"image": image | ({"classes": "wide"} if width > WIDE else {})}
    notebook.metadata.pop("widgets", None)
    return notebook


def _exercise(cell: NotebookNode, solutions: str) -> Iterator[NotebookNode]:
    tags = cell.metadata.get("tags", ())
    if "exercise" in tags:
        yield new_code_cell(strip(cell.source), id=f"{cell.id[:60]}-do")
        cell.source = re.sub(r" *# (BEGIN|END) SOLUTION\n?", "", cell.source).rstrip()
        cell.metadata["mystnb"] = {"code_prompt_show": "A solution", "code_prompt_hide": "A solution"}
        cell.metadata.tags.append("hide-input")
    if solutions == "none" and "check" in tags:
        cell.outputs = []
    if solutions == "folded" or "exercise" not in tags:
        yield cell


def _one_figure_each(cell: NotebookNode) -> Iterator[NotebookNode]:
    """The cell, and a cell without source for every figure after its first: a cell has one alternative text."""
    groups: list[list[NotebookNode]] = [[]]
    for output in cell.get("outputs", ()):
        if "image/png" in output.get("data", ()) and any("image/png" in other.get("data", ()) for other in groups[-1]):
            groups.append([])
        groups[-1].append(output)
    if cell.cell_type == "code":
        cell.outputs = groups[0]
    yield cell
    for number, outputs in enumerate(groups[1:], 2):
        yield new_code_cell(id=f"{cell.id[:60]}-{number}", outputs=outputs, metadata={"tags": ["remove-input"]})


def _width(png: str) -> int:
    """Pixels, from the header of a PNG in base64."""
    return struct.unpack(">I", b64decode(png[:64])[16:20])[0]


def collect(folder: Path, solutions: str = "folded") -> None:
    """Write all into a new folder, which mirrors the project, so that links hold."""
    api = (BOOK / "api.md").read_text(encoding="utf-8").replace("{public}", library.public())
    pages = {Path("index.md"): (BOOK / "index.md").read_bytes(), Path("api.md"): api.encode()}
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        linked = [path.parent / link for link in LINK.findall(path.read_text(encoding="utf-8"))]
        pages |= {_place(file): file.read_bytes() for file in (path, *linked) if _inside(file)}
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        notebook = prepared(nbformat.read(path, as_version=4), solutions)
        notebook.cells[0].source = notebook.cells[0].source.replace("# ", f"# {path.stem[:2]}. ", 1)  # its number
        pages[_place(path)] = nbformat.writes(notebook).encode()
    pages |= {Path("api", f"{name}.rst"): page.encode() for name, page in library.pages().items()}
    for name, content in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _inside(path: Path) -> bool:
    return path.is_file() and path.resolve().is_relative_to(ROOT)


def _place(path: Path) -> Path:
    return path.resolve().relative_to(ROOT)


def sphinx(source: Path, out: Path, builder: str = "html") -> int:
    """Run Sphinx with the book's settings; its exit code. A warning is an error."""
    from sphinx.cmd.build import main as build

    strict = ["-W", "--keep-going", "--nitpicky", "--fresh-env", "--quiet"]
    folders = ["--conf-dir", BOOK, "--doctree-dir", out.parent / f"{out.name}-doctrees", source, out]
    return build([*strict, "--builder", builder, *map(str, folders)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builder", nargs="?", default="html", choices=("html", "linkcheck"))
    parser.add_argument("--solutions", default="folded", choices=("folded", "none"), help="of the exercises")
    arguments = parser.parse_args()
    source, out = OUT / "src", OUT / arguments.builder
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)  # of pages that are no more, and of those that would hide warnings
    collect(source, arguments.solutions)
    code = sphinx(source, out, arguments.builder)
    if code == 0:
        print(f"To read: {out / ('index.html' if arguments.builder == 'html' else 'output.txt')}")
    sys.exit(code)


if __name__ == "__main__":
    main()
