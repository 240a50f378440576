"""What the library's source says of itself: modules, the names it offers, comments beside them."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..kit import ROOT

Definition = ast.ClassDef | ast.FunctionDef
LONG = 100  # characters from which a value is not shown


class Remark(NamedTuple):
    """What a comment says of a name that a file assigns to."""

    text: str
    long: bool  # whether the assignment is too long to be shown


def files() -> dict[str, Path]:
    """Return every module of dlp_lib, and its file."""
    found = {}
    for path in sorted((ROOT / "dlp_lib").rglob("*.py")):
        if path.stem != "__main__":
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            found[module] = path
    return found


def pages() -> dict[str, str]:
    """Return a page in reStructuredText for every module right below dlp_lib, by its name.

    A page holds the modules inside its module, too.
    """
    found: dict[str, str] = {}
    for module in sorted(files()):
        if module == "dlp_lib":
            continue
        room, _, inside = module.removeprefix("dlp_lib.").partition(".")
        page = f"dlp_lib.{room}"
        title = inside or module
        line = "-" if inside else "="
        section = f"{title}\n{line * len(title)}\n\n.. automodule:: {module}\n\n"
        found[page] = found.get(page, "") + section
    return found


def public() -> str:
    """Return a table in Markdown of the names that ``import dlp_lib`` brings.

    Each stands with the first line of its docstring, or with the comment beside it.
    """
    rows = ["| name | what it is |", "| --- | --- |"]
    offered = sorted(_imported("dlp_lib").items(), key=lambda item: item[0].lower())
    for name, module in offered:
        home, definition = _definition(module, name)
        if definition is not None:
            text = ast.get_docstring(definition) or ""
        else:
            remark = remarks(files()[home])["", name]
            text = remark.text.split(". ")[0]  # its first sentence
        first = text.split("\n")[0]
        rows.append(f"| {{py:obj}}`{name} <{home}.{name}>` | {first} |")
    return "\n".join(rows)


def _imported(package: str) -> dict[str, str]:
    """Return the names that a package imports from its own modules, and from which."""
    found = {}
    for node in _parse(package).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            for alias in node.names:
                found[alias.name] = f"{package}.{node.module}"
    return found


def _definition(module: str, name: str) -> tuple[str, Definition | None]:
    """Return the module that defines a name, and its definition if it is a class or function."""
    if files()[module].stem == "__init__":
        imported = _imported(module)
        if name in imported:
            return _definition(imported[name], name)
    for node in _parse(module).body:
        if isinstance(node, Definition) and node.name == name:
            return module, node
    return module, None


def _parse(module: str) -> ast.Module:
    return ast.parse(files()[module].read_text(encoding="utf-8"))


def remarks(path: Path) -> dict[tuple[str, str], Remark]:
    """Return what comments beside or above the public names say that a file assigns to.

    Keys are a class, or "" for none, and the name.
    """
    source = path.read_text(encoding="utf-8")
    comments = _comments(source)
    found = {}
    for owner, node in _assignments(ast.parse(source)):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        name = ast.unparse(target)
        if name.isidentifier() and not name.startswith("_"):
            text = " ".join(_beside(node, comments))
            found[owner, name] = Remark(text, len(ast.unparse(node)) > LONG)
    return found


def _comments(source: str) -> dict[int, tokenize.TokenInfo]:
    """Return the comments of a source, by line."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            found[token.start[0]] = token
    return found


def _assignments(module: ast.Module) -> Iterator[tuple[str, ast.AnnAssign | ast.Assign]]:
    """Yield the assignments of a module and of its classes, with the name of the class."""
    for node in module.body:
        if isinstance(node, ast.AnnAssign | ast.Assign):
            yield "", node
        elif isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.AnnAssign | ast.Assign):
                    yield node.name, part


def _beside(node: ast.stmt, comments: dict[int, tokenize.TokenInfo]) -> Iterator[str]:
    """Yield the comments on the lines above a statement, and at its end."""
    above = node.lineno
    while _stands_alone(comments.get(above - 1)):
        above -= 1
    for line in (*range(above, node.lineno), node.end_lineno):
        text = comments[line].string.lstrip("# ") if line in comments else ""
        if text and not text.startswith("fmt:"):  # for the formatter
            yield text


def _stands_alone(comment: tokenize.TokenInfo | None) -> bool:
    return comment is not None and comment.line.lstrip().startswith("#")
