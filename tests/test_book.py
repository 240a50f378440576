"""The book builds without a warning, leads nowhere else, and says in words what its figures show."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "docs" / "book"
for package in ("sphinx", "myst_nb", "furo", "sphinx-mathjax-offline"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install -e '.[book]'", allow_module_level=True)


def run(code, *arguments):
    """Code beside build.py, in a process of its own."""
    command = [sys.executable, "-c", f"import sys, build; from pathlib import Path; {code}", *map(str, arguments)]
    return subprocess.run(command, cwd=BOOK, capture_output=True, encoding="utf-8", timeout=600)


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
    code = "out = Path(sys.argv[1]); build.collect(out / 'src'); sys.exit(build.sphinx(out / 'src', out / 'html'))"
    return run(code, folder), folder / "html"


@pytest.fixture(scope="module")
def pages(built):
    return {path: Page(path) for path in built[1].rglob("*.html")}


def test_it_builds_without_a_warning(built):
    assert (built[0].returncode, built[0].stderr) == (0, "")


def test_everything_is_in_it(built):
    sources = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb")]
    wanted = {path.relative_to(ROOT).with_suffix(".html") for path in sources}
    modules = {path.relative_to(ROOT / "dlp_lib").parts[0].removesuffix(".py") for path in ROOT.glob("dlp_lib/**/*.py")}
    wanted |= {Path("api", f"dlp_lib.{name}.html") for name in modules - {"__init__", "__pycache__"}}
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


def test_every_figure_is_told_in_words(built, pages):
    images = [attributes for page in pages.values() for tag, attributes in page.tags if tag == "img"]
    assert [attributes["src"] for attributes in images if len(attributes.get("alt") or "") <= 10] == []
    drawn = [
        output
        for path in ROOT.glob("notebooks/*.ipynb")
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", ())
    ]
    texts = {attributes["alt"] for attributes in images}
    assert {output["metadata"]["image/png"]["alt"] for output in drawn} <= texts


def test_no_page_asks_a_network(built, pages):
    asked = set()
    for page in pages.values():
        for tag, attributes in page.tags:
            if tag in ("script", "link", "img", "iframe", "source", "object", "embed"):
                asked |= {attributes[name] for name in ("src", "href", "srcset", "data") if attributes.get(name)}
    for path in built[1].rglob("*.css"):
        asked |= set(re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""", path.read_text(encoding="utf-8")))
    assert {url for url in asked if urlsplit(url).netloc} == set()
    assert not any("vnd.jupyter" in (attributes.get("type") or "") for p in pages.values() for _, attributes in p.tags)


def test_a_broken_link_is_an_error(tmp_path):
    (tmp_path / "src").mkdir()
    text = "# A page\n\n[a page](notebooks/none.ipynb) and [a place](#nowhere)\n"
    (tmp_path / "src" / "index.md").write_text(text, encoding="utf-8")
    done = run("sys.exit(build.sphinx(Path(sys.argv[1]), Path(sys.argv[2])))", tmp_path / "src", tmp_path / "html")
    assert done.returncode != 0
    assert "notebooks/none.ipynb" in done.stderr
    assert "nowhere" in done.stderr
