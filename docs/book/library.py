"""What the library's source says of itself: its modules, the names that it offers, and the comments beside them."""

import ast
import io
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Definition = ast.ClassDef | ast.FunctionDef


def files() -> dict[str, Path]:
    """Every module of dlp_lib, and its file."""
    found = {}
    for path in sorted((ROOT / "dlp_lib").rglob("*.py")):
        if path.stem != "__main__":
            found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def pages() -> dict[str, str]:
    """A page in reStructuredText for every module that stands right below dlp_lib, with the modules inside it."""
    found: dict[str, str] = {}
    for module in sorted(set(files()) - {"dlp_lib"}):
        page, _, inside = module.removeprefix("dlp_lib.").partition(".")
        page, title = f"dlp_lib.{page}", inside or module
        line = ("-" if inside else "=") * len(title)
        found[page] = found.get(page, "") + f"{title}\n{line}\n\n.. automodule:: {module}\n\n"
    return found


def public() -> str:
    """A table in Markdown of the names that ``import dlp_lib`` brings, with the first line of what is said of each."""
    rows = ["| name | what it is |", "| --- | --- |"]
    for name, module in sorted(_taken("dlp_lib").items(), key=lambda item: item[0].lower()):
        home, definition = _definition(module, name)
        said = ast.get_docstring(definition) if definition else remarks(files()[home])["", name][0]
        first = (said or "").split("\n")[0]
        rows.append(f"| {{py:obj}}`{name} <{home}.{name}>` | {first} |")
    return "\n".join(rows)


def _taken(package: str) -> dict[str, str]:
    """The names that a package takes from its own modules, and from which."""
    nodes = [node for node in _parsed(package).body if isinstance(node, ast.ImportFrom) and node.level == 1]
    return {alias.name: f"{package}.{node.module}" for node in nodes for alias in node.names}


def _definition(module: str, name: str) -> tuple[str, Definition | None]:
    """The module that defines a name, and the definition where that is a class or a function."""
    if files()[module].stem == "__init__" and name in (taken := _taken(module)):
        return _definition(taken[name], name)
    definitions = [node for node in _parsed(module).body if isinstance(node, Definition) and node.name == name]
    return module, definitions[0] if definitions else None


def _parsed(module: str) -> ast.Module:
    return ast.parse(files()[module].read_text(encoding="utf-8"))


def remarks(path: Path) -> dict[tuple[str, str], tuple[str, bool]]:
    """What comments beside or above them say of the public names that a file assigns to, and whether one is long.

    Keys are a class, or "" for none, and the name.
    """
    source = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token for token in tokens if token.type == tokenize.COMMENT}
    alone = {line for line, token in comments.items() if token.line.lstrip().startswith("#")}
    module, found = ast.parse(source), {}
    for owner in [module, *(node for node in module.body if isinstance(node, ast.ClassDef))]:
        for node in owner.body:
            if isinstance(node, ast.AnnAssign | ast.Assign):
                name = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
                above = node.lineno
                while above - 1 in alone:
                    above -= 1
                lines = [line for line in (*range(above, node.lineno), node.end_lineno) if line in comments]
                said = " ".join(comments[line].string.lstrip("# ") for line in lines)
                if name.isidentifier() and not name.startswith("_") and name != "SOURCE":
                    found["" if owner is module else owner.name, name] = said, len(ast.unparse(node)) > 100
    return found
