"""How Sphinx makes the book, for docs/book/build.py. What a page needs lies beside it: none asks a network."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from ipython_pygments_lexers import IPython3Lexer
from sphinx.pycode import ModuleAnalyzer

BOOK = Path(__file__).resolve().parent
sys.path[:0] = [str(BOOK), str(BOOK.parents[1])]  # the library as it is here, not one that is installed
import library  # noqa: E402

project = "dlp_lib"
copyright = "the dlp_lib authors, Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
include_patterns = ["*.md", "api/*", "docs/*", "notebooks/*"]

# Text and notebooks. These show the outputs that they were committed with.
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a level of headings left out, as in the glossary: the page has none left out

# The library.
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
viewcode_follow_imported_members = False  # all names are described where they are at home
ELSEWHERE = "collections|concurrent|contextlib|ipywidgets|matplotlib|numpy|pathlib|torch"
nitpick_ignore_regex = [("py:class", rf"({ELSEWHERE})\..*")]  # to look up where they are documented takes a network

# The look.
html_theme = "furo"
html_title = "Backdoor attacks and defences"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["static"]
html_css_files = ["book.css"]
html_copy_source = False
html_domain_indices = False  # api.md lists the modules

# Formulas: MathJax's SVG output is one script with all its glyphs inside, so that it works from a file, too.
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}  # some entries of its menu ask a network


def copy_mathjax(app) -> None:
    """What formulas need, from the installed package into the book: not its speech rules, which are most of it."""
    package = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    if app.builder.format == "html":
        book = app.outdir / "_static" / "mathjax"
        shutil.copytree(package / "input/tex/extensions", book / "input/tex/extensions", dirs_exist_ok=True)
        shutil.copyfile(package / "tex-svg.js", book / "tex-svg.js")


def describe(app, env, names: list[str]) -> None:
    """Fields and constants have comments for docstrings; a long value is not shown."""
    for module, path in library.files().items() if any(name.startswith("api/") for name in names) else ():
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        for name, (said, long) in library.remarks(path).items():
            hidden = [":meta hide-value:", ""] if long else []
            analyzer.attr_docs[name] = [re.sub(r"([\\*`|_])", r"\\\1", said), "", *hidden]


def bars(app, what: str, name: str, obj, options, lines: list[str]) -> None:
    """A bar in a docstring is a bar and no markup."""
    for i, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        lines[i] = "".join(part if part.startswith("``") else part.replace("|", r"\|") for part in parts)


def dots(app, what: str, name: str, obj, options, signature: str | None, returned: str | None):
    """A signature has dots in the place of a default that a factory makes."""
    return (signature.replace("<factory>", "..."), returned) if signature else None


def no_object(app, doctree) -> None:
    """That a class is an object goes without saying."""
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if paragraph.astext() == "Bases: object":
            paragraph.parent.remove(paragraph)


def setup(app) -> None:
    app.add_lexer("python", IPython3Lexer)  # guides show magics, too
    app.connect("builder-inited", copy_mathjax)
    app.connect("env-before-read-docs", describe)
    app.connect("autodoc-process-docstring", bars)
    app.connect("autodoc-process-signature", dots)
    app.connect("doctree-read", no_object)
