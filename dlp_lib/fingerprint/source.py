"""What the code of a function says: its syntax tree where the source is that of the loaded code.

A file may have changed since it was loaded. So its text counts only if it compiles to the very code
that was loaded; otherwise the bytecode counts. Both ignore comments, blank lines and formatting.
"""

import ast
import functools
import hashlib
import linecache
import sys
import warnings
import weakref
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

from .uses import Uses, uses_of
from .walk import plain

_OWN_FLAGS = 0xFFFF  # of a code object; those above come from ``from __future__``
_EVALUATED_BEFORE = {"decorator_list", "defaults", "kw_defaults"}  # they count by their values
_WITHOUT_EFFECT = {"returns", "type_comment", "kind", "type_params"}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_known = {}  # by the identity of a code object: a weak reference to it, and its reading


class Reading(NamedTuple):
    """What one code object says, without the values of the names in it."""

    digest: str
    uses: Uses


def read(code: CodeType, names: dict) -> Reading:
    """What the code of a function says; read once as long as the code object lives.

    Args:
        code: The code as it was loaded.
        names: The globals of the function, which lead to the source of a module in an archive.
    """
    reference, reading = _known.get(id(code), (None, None))
    if reference is not None and reference() is code:
        return reading
    reading = Reading(_digest(code, names), uses_of(code))
    key = id(code)
    _known[key] = (weakref.ref(code, lambda _: _known.pop(key, None)), reading)
    return reading


def _digest(code: CodeType, names: dict) -> str:
    node = _verified_node(code, names)
    if node is not None:
        return "tree " + hashlib.sha256(_shape(node, _EVALUATED_BEFORE).encode()).hexdigest()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"bytecode {python} " + hashlib.sha256(_bytecode(code)).hexdigest()


def _verified_node(code: CodeType, names: dict) -> ast.AST | None:
    """The definition that the code was compiled from, or None where that cannot be shown."""
    text = "".join(linecache.getlines(code.co_filename, names))
    node = _node_in(text, code)
    if node is not None:
        return node
    linecache.checkcache(code.co_filename)
    newer = "".join(linecache.getlines(code.co_filename, names))
    return _node_in(newer, code) if newer != text else None


def _node_in(text: str, code: CodeType) -> ast.AST | None:
    wanted = _bytecode(code)
    matching = [
        candidate
        for candidate in _compiled(text).get(code.co_qualname, ())
        if _bytecode(candidate) == wanted
    ]
    matching.sort(key=lambda candidate: candidate.co_firstlineno != code.co_firstlineno)
    if not matching:
        return None
    nodes = _nodes(text).get((code.co_name, matching[0].co_firstlineno), ())
    return nodes[0] if len(nodes) == 1 else None


@functools.lru_cache(maxsize=64)
def _compiled(text: str) -> dict[str, list[CodeType]]:
    """The code objects of all definitions in a text, by qualified name."""
    found = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # a notebook's cells may have that
            whole = compile(text, "<source>", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return found
    for code in nested(whole):
        found.setdefault(code.co_qualname, []).append(code)
    return found


@functools.lru_cache(maxsize=64)
def _nodes(text: str) -> dict[tuple[str, int], list[ast.AST]]:
    """The functions in a text that compiles, by name and first line, which may be a decorator's."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            found.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.decorator_list[0] if node.decorator_list else node
            found.setdefault((node.name, first.lineno), []).append(node)
    return found


def nested(code: CodeType) -> Iterator[CodeType]:
    """A code object and those inside of it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def _shape(node, skipped: frozenset | set = frozenset()) -> str:
    """A syntax tree as text, without places, docstrings and annotations of functions.

    Args:
        node: A node, a list of nodes, or a constant.
        skipped: Names of fields that do not count in the outermost function.
    """
    if isinstance(node, list):
        return "[" + ",".join(_shape(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name in _WITHOUT_EFFECT or name in skipped:
            continue
        if name == "annotation" and isinstance(node, ast.arg):
            continue
        if name == "body" and isinstance(node, _DEFINITIONS):
            value = _without_docstring(value)
        inner = skipped if isinstance(value, ast.arguments) else frozenset()
        parts.append(f"{name}={_shape(value, inner)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0].value if isinstance(body[0], ast.Expr) else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return body[1:]
    return body


def _bytecode(code: CodeType) -> bytes:
    """All that decides what a code object does, its lines and its file left out."""
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    told = (code.co_qualname, counts, code.co_flags & _OWN_FLAGS, names, code.co_exceptiontable)
    return _packed((told, code.co_code, code.co_consts))


def _packed(constant) -> bytes:
    """A constant of a code object as bytes; unlike with ``==``, 1, 1.0 and True differ."""
    if isinstance(constant, CodeType):
        data = b"code " + _bytecode(constant)
    elif isinstance(constant, tuple):
        data = b"tuple " + b"".join([_packed(item) for item in constant])
    elif isinstance(constant, frozenset):
        data = b"set " + b"".join(sorted(_packed(item) for item in constant))
    else:
        data = plain(constant)
    return b"%d:" % len(data) + data
