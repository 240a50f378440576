"""Serve the live lab as a page of its own.

python -m dlp_lib.live
python -m dlp_lib.live --dataset photographs --n-train 2000 --port 8000
"""

import argparse
import tempfile
from pathlib import Path

import nbformat

from .server import Server, configuration

CELL = """\
import os

os.chdir({folder!r})
from dlp_lib.live.page import open_page

open_page(**{options!r})"""


def write_notebook(folder: Path, options: dict) -> Path:
    """Write the notebook of one cell that Voila shows.

    Args:
        folder: where to write it.
        options: of ``open_page``.
    """
    cell = nbformat.v4.new_code_cell(CELL.format(folder=str(Path.cwd()), options=options))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "title": "Live lab"}
    path = folder / "live_lab.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), path)
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib.live",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--dataset", default="shapes10", help="a name, or a folder of images")
    add("--n-train", type=_count, default=5000, help="training images, at most")
    add("--image-size", type=_count, help="pixels a side; by default the data set's own")
    add("--epochs", type=_count, default=20, help="the longest E1 and E2")
    add("--steps", type=_count, help="of fine-tuning; by default the recipe's")
    add("--seed", type=int, default=0)
    add("--device", default="auto", help="cpu, cuda, or auto")
    add("--store", default="build/store", help="folder of what is recorded")
    add("--port", type=int, default=8866, help="the next ones are tried where it is taken")
    add("--ip", default="127.0.0.1", help="by default for this machine alone")
    add("--no-browser", action="store_true", help="do not open the page")
    add(
        "--forget-after",
        type=float,
        default=300,
        metavar="SECONDS",
        help="after which a page that is gone loses its kernel and its job, if it could not say"
        " that it goes",
    )
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: allowed are whole numbers ≥ 1")
    return value


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = vars(_parser().parse_args(arguments))
    config = configuration(
        options.pop("port"),
        options.pop("ip"),
        options.pop("forget_after"),
        not options.pop("no_browser"),
    )
    with tempfile.TemporaryDirectory() as folder:
        notebook = write_notebook(Path(folder), options)
        Server.launch_instance([str(notebook)], config=config)


if __name__ == "__main__":
    main()
