"""The lab page: the live lab's sliders without a kernel, answering from what was recorded.

python -m tools.book.lab_page [FILE]    writes it as one file of its own, which needs no network

In the book it is lab.md. Its modules lie in tools/book/lab, its numbers in data/recorded/lab.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from dlp_lib.experiments.record import FOLDER
from dlp_lib.files import write_atomically
from dlp_lib.live.grid import ATTACKS
from dlp_lib.plots.base import CLEAN, NEUTRAL, POISONED, RECOVERED, SERIES

from ..kit import ROOT

SOURCE = Path(__file__).resolve().parent / "lab"
TABLES = FOLDER / "lab"
# A module imports from those before it.
MODULES = ("numbers", "words", "svg", "figures", "legends", "state", "controls", "page")
COLOURS = {
    "clean": CLEAN,
    "poisoned": POISONED,
    "recovered": RECOVERED,
    "target": SERIES[3],
    "neutral": NEUTRAL,
}
TITLE = "The lab, without a kernel"  # as in lab.md
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_FILE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 60rem; margin: 0 auto; padding: 1rem; font-family: system-ui, sans-serif; }}
</style>
<h1>{title}</h1>
{fragment}
</html>
"""


def bundle() -> str:
    """Return the modules as one.

    A page that is opened as a file may not import other files.

    Raises:
        ValueError: for a module that imports from one that does not come before it.
    """
    parts = []
    for place, name in enumerate(MODULES):
        source = (SOURCE / f"{name}.js").read_text(encoding="utf-8")
        for _, imported in _IMPORT.findall(source):
            if imported not in MODULES[:place]:
                raise ValueError(f"{name}.js imports {imported}.js, which does not come before it")
        source = _IMPORT.sub("", source)
        parts.append(re.sub("^export ", "", source, flags=re.MULTILINE))
    return "\n".join(parts)


def read_tables(folder: Path = TABLES) -> dict[str, dict]:
    """Return the recorded tables by attack; one that is not recorded is left out.

    Args:
        folder: what ``record lab`` wrote.
    """
    tables = {}
    for attack in ATTACKS:
        path = folder / f"{attack}.json"
        if path.is_file():
            tables[attack] = json.loads(path.read_text(encoding="utf-8"))
    return tables


def fragment(tables: dict[str, dict]) -> str:
    """Return the page's HTML with its style, modules and numbers, all in one.

    Args:
        tables: by attack, as ``read_tables`` returns them.
    """
    colours = " ".join(f"--plot-{name}: {colour};" for name, colour in COLOURS.items())
    style = (SOURCE / "lab.css").read_text(encoding="utf-8")
    page = (SOURCE / "lab.html").read_text(encoding="utf-8")
    numbers = json.dumps(tables, separators=(",", ":")).replace("</", "<\\/")
    return (
        f"<style>\n.lab {{ {colours} }}\n{style}</style>\n{page}"
        f'<script type="application/json" id="lab-tables">{numbers}</script>\n'
        f'<script type="module">\n{bundle()}\n'
        'const tables = JSON.parse(document.querySelector("#lab-tables").textContent);\n'
        'start(document.querySelector("#lab"), tables);\n</script>\n'
    )


def markdown(tables: dict[str, dict]) -> str:
    """Return the page as a source of the book."""
    text = (SOURCE / "lab.md").read_text(encoding="utf-8")
    raw = f"``````{{raw}} html\n{fragment(tables)}``````"
    return text.replace("{lab}", raw)


def standalone(tables: dict[str, dict]) -> str:
    """Return the page as a file of its own."""
    return _FILE.format(title=TITLE, fragment=fragment(tables))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.book.lab_page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "build" / "lab.html")
    parser.add_argument("--tables", type=Path, default=TABLES, help="what `record lab` wrote")
    options = parser.parse_args(arguments)
    write_atomically(options.file, standalone(read_tables(options.tables)).encode())
    print(f"To open: {options.file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
