"""Take the picture of the lab page for README and notebook 07: docs/lab.png.

python -m tools.book.lab_picture    needs Chromium; run it again when page or numbers have changed
"""

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from dlp_lib.files import write_atomically

from ..kit import ROOT
from . import lab_page

PICTURE = ROOT / "docs" / "lab.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
SIZE = {"width": 1280, "height": 900}  # pixels of the window
COLOURS = 128  # enough for flat areas and smooth letters


def take(browser: Browser, tables: dict[str, dict]) -> bytes:
    """Return the page at its first setting, in light colours, as a PNG.

    Args:
        browser: a Chromium.
        tables: by attack, as ``lab_page.read_tables`` returns them.
    """
    context = browser.new_context(viewport=SIZE, color_scheme="light")
    page = context.new_page()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lab.html"
        file.write_text(lab_page.standalone(tables), encoding="utf-8")
        page.goto(file.as_uri())
        page.locator("#lab-stages svg").wait_for()
        picture = page.screenshot(full_page=True)
    context.close()
    return _with_few_colours(picture)


def _with_few_colours(png: bytes) -> bytes:
    """Return the same picture in a fraction of the bytes."""
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.book.lab_picture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        print("No Chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        write_atomically(PICTURE, take(browser, lab_page.read_tables()))
    print(f"Taken: {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
