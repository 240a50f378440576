"""Write the links that the project's address gives: to Colab, to Binder, and to the repository.

The address is a setting of pyproject.toml. Where it is "", no text has such a link.

python -m tools.links            writes README, docs, notebooks and CITATION.cff
python -m tools.links --check    prints which of them are not as the address says, and exits with 1
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from dlp_lib.experiments.classroom import is_tagged
from dlp_lib.experiments.links import BRANCH, published_address

from .kit import ROOT

QUICK_START = "notebooks/00_quickstart.ipynb"
OPENING = "links"  # the tag of a notebook's links to Colab and Binder
INSTALLING = "colab"  # the tag of the cell that installs on Colab
PERCENT = "py:percent"  # how jupytext writes the paired texts
_BLOCK = re.compile(r"(<!-- links: (\w+) -->\n).*?(<!-- end of links -->)", re.DOTALL)
_CITED = re.compile(r'^repository-code: ".*"\n', re.MULTILINE)
_BEFORE_CITED = "type: software\n"


INSTALL = """\
# On Google Colab, this installs dlp_lib. Elsewhere it does nothing.
import subprocess
import sys

if "google.colab" in sys.modules:
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "git+{address}"], check=True)
    subprocess.run([*pip, "papermill", "scikit-learn>=1.7"], check=True)"""


class Block(NamedTuple):
    """A part of a guide."""

    published: str  # with {address}, {colab} and {binder}; the last two open the quick start
    unpublished: str  # while there is no address


BLOCKS = {
    "open": Block(
        "Without installing anything: open the quick start [in Colab]({colab}) or "
        "[in Binder]({binder}).\nEvery notebook has these two links at its top.\n",
        "",
    ),
    "get": Block(
        "```sh\ngit clone {address} && cd {name}\n```\n\n"
        "Or without a copy of the repository, into an environment of your own:\n\n"
        '```sh\npip install "dlp_lib[lab] @ git+{address}"\n```\n',
        "",
    ),
    "colab": Block(
        "**Open a notebook** by the link at its top, or [the quick start]({colab}). Its first cell "
        "of code\ninstalls this project, which Colab does not have:\n\n"
        "```python\n" + INSTALL + "\n```\n",
        "**Make the wheel** on your machine: `python -m pip wheel --no-deps .` writes\n"
        "`dlp_lib-VERSION-py3-none-any.whl`, 5 MB. Upload it to Colab by the folder sign on the "
        "left.\nThen upload a notebook of `notebooks/` by File > Upload notebook. Put this cell "
        "above all others, and run it:\n\n"
        "```python\n"
        "%pip install --quiet --no-deps /content/dlp_lib-*.whl\n"
        '%pip install --quiet papermill "scikit-learn>=1.7"\n'
        "```\n",
    ),
}


def colab(address: str, notebook: str) -> str:
    """Return the link that opens a notebook in Colab.

    Args:
        address: of the project on GitHub.
        notebook: its path inside the project.
    """
    owner_and_name = address.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{owner_and_name}/blob/{BRANCH}/{notebook}"


def binder(address: str, notebook: str) -> str:
    """Return the link that opens a notebook in Binder; arguments as for ``colab``."""
    owner_and_name = address.removeprefix("https://github.com/")
    place = quote(notebook, safe="")
    return f"https://mybinder.org/v2/gh/{owner_and_name}/{BRANCH}?labpath={place}"


def edit_options(address: str) -> dict[str, str]:
    """Return the options of the book's theme for "Edit this page"; none without an address."""
    if not address:
        return {}
    return {"source_repository": address, "source_branch": BRANCH, "source_directory": ""}


def fill(text: str, address: str) -> str:
    """Return a guide whose marked blocks are as the address says.

    Raises:
        KeyError: for a block that is not in BLOCKS.
    """
    names = {"address": address, "name": address.rpartition("/")[2]}
    names["colab"] = colab(address, QUICK_START)
    names["binder"] = binder(address, QUICK_START)

    def filled(found: re.Match) -> str:
        block = BLOCKS[found[2]]
        content = block.published.format(**names) if address else block.unpublished
        return found[1] + content + found[3]

    return _BLOCK.sub(filled, text)


def cite(text: str, address: str) -> str:
    """Return CITATION.cff with the address, or without one."""
    text = _CITED.sub("", text)
    if not address:
        return text
    return text.replace(_BEFORE_CITED, f'{_BEFORE_CITED}repository-code: "{address}"\n')


def link(notebook: NotebookNode, path: str, address: str) -> None:
    """Put the links to Colab and Binder below a notebook's title, and the cell that installs.

    Those of an earlier address are taken out.

    Args:
        notebook: changed in place.
        path: its path inside the project.
        address: of the project, or "".
    """
    cells = []
    for cell in notebook.cells:
        if not is_tagged(cell, OPENING) and not is_tagged(cell, INSTALLING):
            cells.append(cell)
    if address:
        text = f"[Open in Colab]({colab(address, path)}) · [in Binder]({binder(address, path)})"
        opening = new_markdown_cell(text, id=OPENING, metadata={"tags": [OPENING]})
        source = INSTALL.format(address=address)
        installing = new_code_cell(source, id=INSTALLING, metadata={"tags": [INSTALLING]})
        cells[1:1] = [opening, installing]
    notebook.cells = cells


def contents(root: Path, address: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that have such links, each with what it is to hold.

    Args:
        root: the project's folder.
        address: of the project, or "".
    """
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        yield path, fill(path.read_text(encoding="utf-8"), address)
    citation = root / "CITATION.cff"
    yield citation, cite(citation.read_text(encoding="utf-8"), address)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        place = f"notebooks/{path.name}"
        notebook = nbformat.read(path, as_version=4)
        link(notebook, place, address)
        yield path, f"{nbformat.writes(notebook)}\n"
        pair = root / "notebooks" / "py" / f"{path.stem}.py"
        text = jupytext.reads(pair.read_text(encoding="utf-8"), fmt=PERCENT)
        link(text, place, address)
        yield pair, jupytext.writes(text, fmt=PERCENT)


def outdated(root: Path, address: str) -> Iterator[tuple[Path, str]]:
    """Yield those of ``contents`` that hold something else now."""
    for path, content in contents(root, address):
        if path.read_text(encoding="utf-8") != content:
            yield path, content


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.links",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="change nothing, tell what would")
    options = parser.parse_args(arguments)
    try:
        address = published_address()
    except ValueError as error:
        parser.error(str(error))
    found = list(outdated(ROOT, address))
    for path, content in found:
        print(path.relative_to(ROOT))
        if not options.check:
            path.write_text(content, encoding="utf-8")
    return int(options.check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
