"""Wrong answers made of right ones: one operator, number or method of a function is changed."""

import ast
from collections.abc import Iterator

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}
METHODS = {
    "mean": ("sum", "amax"),
    "sum": ("mean",),
    "max": ("min",),
    "min": ("max",),
    "round": ("ceil", "floor"),
    "ceil": ("floor", "round"),
    "softmax": ("log_softmax",),
    "log": ("log2",),
    "all": ("any",),
    "idxmax": ("idxmin",),
    "argmax": ("argmin",),
    "maximum": ("minimum",),
    "minimum": ("maximum",),
    "abs": ("square",),
}


def _numbers(value) -> tuple:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value - 1
    if isinstance(value, float) and value:
        return value * 1.3, value * 0.7
    return ()


def _changes(node: ast.AST) -> Iterator[tuple[object, str | int, object]]:
    """Yield, of one node, an object, its attribute or index, and what else may stand there."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in COMPARISONS.get(type(operator), ()):
                yield node.ops, place, other()
    elif isinstance(node, ast.BinOp | ast.AugAssign):
        for other in OPERATORS.get(type(node.op), ()):
            yield node, "op", other()
    elif isinstance(node, ast.Constant):
        for other in _numbers(node.value):
            yield node, "value", other
    elif isinstance(node, ast.Attribute):
        for other in METHODS.get(node.attr, ()):
            yield node, "attr", other


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Yield all mutants of the function in a cell: the line that has changed, and the code."""
    (function,) = [part for part in ast.parse(source).body if isinstance(part, ast.FunctionDef)]
    if ast.get_docstring(function):
        function.body = function.body[1:]
    lines = ast.unparse(function).splitlines()
    for node in list(ast.walk(function)):
        for owner, place, other in list(_changes(node)):
            is_list = isinstance(owner, list)
            before = owner[place] if is_list else getattr(owner, place)
            put = owner.__setitem__ if is_list else owner.__setattr__
            put(place, other)
            code = ast.unparse(function)
            put(place, before)
            pairs = zip(lines, code.splitlines(), strict=True)
            (changed,) = [new.strip() for old, new in pairs if old != new]
            yield changed, code
