"""The book builds without a warning, asks no network, and says in words what figures show."""

import base64
import copy
import importlib.util
import re
import shutil
import struct
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from playwright.sync_api import sync_playwright

from tools.book import build
from tools.book.docstrings import to_fields
from tools.links import edit_options

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "https://github.com/an-owner/dlp_lib"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


def run(code, *arguments):
    """Code that uses build.py, in a process of its own."""
    for package in ("sphinx", "myst_nb", "furo", "sphinx-mathjax-offline"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install -e '.[book]'")
    code = f"import sys; from pathlib import Path; from tools.book import build; {code}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=600)


class Page(HTMLParser):
    """The ids and the tags of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags = []
        self.feed(path.read_text(encoding="utf-8"))
        self.ids = {attributes["id"] for _, attributes in self.tags if "id" in attributes}

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    code = "out = Path(sys.argv[1]); build.collect(out / 'src'); "
    # Without pages of the source code, which take as long as all others
    code += "options = ['-D', 'extensions=myst_nb,sphinx.ext.autodoc', *sys.argv[2:]]; "
    code += "sys.exit(build.sphinx(out / 'src', out / 'html', options=options))"
    published = []
    for name, value in edit_options(ADDRESS).items():
        published += ["-D", f"html_theme_options.{name}={value}"]
    return run(code, folder, *published), folder / "html"


@pytest.fixture(scope="module")
def pages(built):
    return {path: Page(path) for path in built[1].rglob("*.html")}


def test_it_builds_without_a_warning(built):
    assert (built[0].returncode, built[0].stderr) == (0, "")


def test_everything_is_in_it(built):
    sources = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb")]
    wanted = {path.relative_to(ROOT).with_suffix(".html") for path in sources}
    for path in ROOT.glob("dlp_lib/**/*.py"):
        room = path.relative_to(ROOT / "dlp_lib").parts[0].removesuffix(".py")
        if not room.startswith("__"):
            wanted.add(Path("api", f"dlp_lib.{room}.html"))
    assert [str(path) for path in sorted(wanted) if not (built[1] / path).is_file()] == []


def test_links_inside_it_lead_somewhere(built, pages):
    broken = set()
    for path, page in pages.items():
        for _, attributes in page.tags:
            url = urlsplit(attributes.get("href") or attributes.get("src") or "")
            if not url.scheme and not url.netloc:
                target = (path.parent / unquote(url.path)).resolve() if url.path else path
                known = pages[target].ids | {""} if target in pages else {url.fragment}
                if not target.exists() or unquote(url.fragment) not in known:
                    broken.add(f"{path.relative_to(built[1])}: {url.geturl()}")
    assert broken == set()


def test_it_offers_to_edit_the_files_that_the_project_has(built, pages):
    """Guides and notebooks, and no page that is made by code."""
    edited = {}
    for path, page in pages.items():
        for _, attributes in page.tags:
            before, mark, file = (attributes.get("href") or "").partition("/edit/main/")
            if mark:
                assert before == ADDRESS
                edited[path.relative_to(built[1]).with_suffix("").as_posix()] = file
    for page, file in edited.items():
        assert (ROOT / file).is_file()
        assert page == file.rpartition(".")[0]
    assert {"README", "docs/data", "notebooks/00_quickstart"} <= set(edited)
    assert not {"index", "api", "genindex"} & set(edited)


def test_every_figure_is_told_in_words(built, pages):
    texts = set()
    for page in pages.values():
        for tag, attributes in page.tags:
            if tag == "img":
                assert len(attributes.get("alt") or "") > 10, attributes["src"]
                texts.add(attributes["alt"])
    for path in ROOT.glob("notebooks/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", ()):
                if "image/png" in output.get("data", ()):
                    assert output["metadata"]["image/png"]["alt"] in texts


def test_no_page_asks_a_network(built, pages):
    asked = set()
    for page in pages.values():
        for tag, attributes in page.tags:
            assert "vnd.jupyter" not in (attributes.get("type") or "")
            if tag in ("script", "link", "img", "iframe", "source", "object", "embed"):
                for name in ("src", "href", "srcset", "data"):
                    asked.add(attributes.get(name) or "")
    for path in built[1].rglob("*.css"):
        style = path.read_text(encoding="utf-8")
        asked.update(re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""", style))
    assert {url for url in asked if urlsplit(url).netloc} == set()


@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"
)
def test_pages_read_well_on_a_phone_without_a_network(built):
    asked = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "notebooks/03_entropy_filtering", "docs/LOG", "api/dlp_lib.attacks"):
            page.goto((built[1] / f"{name}.html").as_uri())
            if page.locator(".math").count():
                page.wait_for_function(
                    "document.querySelectorAll('.math mjx-container svg').length > 0"
                )
                assert page.locator("[data-mml-node='merror']").count() == 0
            width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(width) == 0, f"{name} is wider than the screen"
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_a_broken_link_is_an_error(tmp_path):
    (tmp_path / "src").mkdir()
    text = "# A page\n\n[a page](notebooks/none.ipynb) and [a place](#nowhere)\n"
    (tmp_path / "src" / "index.md").write_text(text, encoding="utf-8")
    code = "sys.exit(build.sphinx(Path(sys.argv[1]), Path(sys.argv[2])))"
    done = run(code, tmp_path / "src", tmp_path / "html")
    assert done.returncode != 0
    assert "notebooks/none.ipynb" in done.stderr
    assert "nowhere" in done.stderr


def test_sections_of_docstrings_become_fields():
    docstring = """Do it.

Args:
    first: of two
        lines: with a colon.
    *others: more.

Returns:
    The status: 0 or 1, or
    another.

Raises:
    ValueError: for others.

More."""
    fields = [line for line in to_fields(docstring.splitlines()) if line]
    assert fields == [
        "Do it.",
        ":param first: of two lines: with a colon.",
        r":param \*others: more.",
        ":returns: The status: 0 or 1, or another.",
        ":raises ValueError: for others.",
        "More.",
    ]
    with pytest.raises(ValueError, match="'no name': an entry begins"):
        to_fields(["Raises:", "    no name"])


def figure(text, width=1300):
    """The output of a cell that draws: a PNG that is nothing but its header."""
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, 400) + bytes(16)
    png = base64.b64encode(header).decode()
    metadata = {"image/png": {"alt": text}}
    return new_output("display_data", {"image/png": png}, metadata=metadata)


def small_notebook():
    """A notebook with two figures, a slider, an exercise and its check."""
    slider = new_output("execute_result", {build.WIDGET: {"model_id": "0"}, "text/plain": "VBox()"})
    solved = "def f(x):\n    # BEGIN SOLUTION\n    return x\n    # END SOLUTION"
    right = new_output("stream", text="Right.")
    cells = [
        new_code_cell("draw()", outputs=[figure("one"), figure("two", 300)]),
        new_code_cell("slide()", outputs=[slider]),
        new_code_cell(solved, metadata={"tags": ["exercise"]}),
        new_code_cell("check(f)", metadata={"tags": ["check"]}, outputs=[right]),
    ]
    return new_notebook(cells=copy.deepcopy(cells))


def test_notebooks_are_prepared_for_reading():
    first, second, slide, task, solution, check = build.prepare(small_notebook()).cells
    wide = {"alt": "one", "width": "1300px", "classes": "wide"}
    assert first.metadata.mystnb["image"] == wide
    assert second.metadata.mystnb["image"] == {"alt": "two", "width": "300px"}
    assert first.source == "draw()"
    assert second.source == ""
    assert "remove-input" in second.metadata.tags
    assert slide.outputs[0].data == {"text/markdown": build.NO_KERNEL}
    assert task.source == "def f(x):\n    ...  # your answer"
    assert solution.source == "def f(x):\n    return x"
    assert "hide-input" in solution.metadata.tags
    assert check.outputs


def test_a_book_without_solutions():
    *_, task, check = build.prepare(small_notebook(), solutions="none").cells
    assert task.source == "def f(x):\n    ...  # your answer"
    assert check.source == "check(f)"
    assert not check.outputs
