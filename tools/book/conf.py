"""How Sphinx makes the book, for build.py. What a page needs lies beside it, not on a network."""

import importlib.util
import re
import shutil
from pathlib import Path

from docutils import nodes
from ipython_pygments_lexers import IPython3Lexer
from sphinx.pycode import ModuleAnalyzer

# Sphinx runs in a process that was started in the project's folder
from dlp_lib.experiments.links import published_address
from tools import links
from tools.book import library
from tools.book.docstrings import to_fields

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
# A level of headings may be left out, as in the glossary
suppress_warnings = ["myst.header"]

# The library.
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
viewcode_follow_imported_members = False  # all names are described where they are at home
# Looking up what other packages document would take a network
nitpick_ignore_regex = [
    ("py:class", r"(?!dlp_lib\.)\w+(\.\w+)+"),
    ("py:class", "Axes|DataFrame|Figure|Security"),  # imported for type checkers only
    ("py:exc", "BrokenExecutor"),
]

# The look.
html_theme = "furo"
html_title = "Backdoor attacks and defences"
html_theme_options = {"navigation_with_keys": True, **links.edit_options(published_address())}
html_static_path = ["static"]
html_css_files = ["book.css"]
html_copy_source = False
html_domain_indices = False  # api.md lists the modules

# Formulas: MathJax's SVG output is one script with all its glyphs, so it works from a file, too.
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}  # some entries of its menu ask a network


def copy_mathjax(app) -> None:
    """Copy what formulas need from the installed package, without its large speech rules."""
    if app.builder.format != "html":
        return
    origin = importlib.util.find_spec("sphinx-mathjax-offline").origin
    package = Path(origin).parent / "static" / "mathjax"
    book = app.outdir / "_static" / "mathjax"
    extensions_of_tex = Path("input", "tex", "extensions")
    shutil.copytree(package / extensions_of_tex, book / extensions_of_tex, dirs_exist_ok=True)
    shutil.copyfile(package / "tex-svg.js", book / "tex-svg.js")


def describe(app, env, names: list[str]) -> None:
    """Take comments as docstrings of fields and constants; hide a long value."""
    if not any(name.startswith("api/") for name in names):
        return
    for module, path in library.files().items():
        analyzer = ModuleAnalyzer.for_module(module)
        analyzer.analyze()
        for name, remark in library.remarks(path).items():
            lines = [re.sub(r"([\\*`|_])", r"\\\1", remark.text), ""]
            if remark.long:
                lines += [":meta hide-value:", ""]
            analyzer.attr_docs[name] = lines


def convert_sections(app, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Turn the sections of a docstring into fields; PyTorch's docstrings stay as they are."""
    module = getattr(obj, "__module__", None) or "dlp_lib"
    if module.startswith("dlp_lib"):
        lines[:] = to_fields(lines)


def escape_bars(app, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Escape the bars in a docstring, which are no markup there."""
    for i, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        for j in range(0, len(parts), 2):  # what lies between literals
            parts[j] = parts[j].replace("|", r"\|")
        lines[i] = "".join(parts)


def shorten_factories(
    app, what: str, name: str, obj, options, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Show dots in a signature for a default that a factory makes."""
    if not signature:
        return None
    return signature.replace("<factory>", "..."), returned


def hide_edit_link(app, page: str, template: str, context: dict, doctree) -> None:
    """Take "Edit this page" off pages that are made by code: the project has no such file."""
    if not (links.ROOT / f"{page}{context.get('page_source_suffix', '')}").is_file():
        context["page_source_suffix"] = ""


def remove_object_bases(app, doctree) -> None:
    """Remove the line which says that a class is an object."""
    for paragraph in list(doctree.findall(nodes.paragraph)):
        if paragraph.astext() == "Bases: object":
            paragraph.parent.remove(paragraph)


def setup(app) -> None:
    """Connect all that to Sphinx."""
    app.add_lexer("python", IPython3Lexer)  # guides show magics, too
    app.connect("builder-inited", copy_mathjax)
    app.connect("env-before-read-docs", describe)
    app.connect("autodoc-process-docstring", convert_sections)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("autodoc-process-signature", shorten_factories)
    app.connect("doctree-read", remove_object_bases)
    app.connect("html-page-context", hide_edit_link)
