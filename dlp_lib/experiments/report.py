"""A notebook's metrics.json: its parameters, where it ran, and what came out."""

import ast
import json
from pathlib import Path

from ..files import write_atomically
from ..places import HOME
from ..runtime import Runtime, environment


def report(out: str | Path, runtime: Runtime, **results) -> None:
    """Write the metrics.json of the notebook that is running.

    Args:
        out: the folder; a relative one lies in the project's.
        runtime: on which the notebook ran.
        results: plain values, lists and dicts, by name.
    """
    folder = HOME / Path(out).expanduser()
    content = {"parameters": notebook_parameters(), "environment": environment(runtime), **results}
    write_atomically(folder / "metrics.json", json.dumps(content, indent=2).encode())


def notebook_parameters() -> dict:
    """Return the parameters of the notebook that is running, with their values now.

    They are the names that its first cell of nothing but literals assigns. Outside a notebook
    there are none.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return {}
    for source in shell.user_ns["In"]:
        names = _names_of_literals(source)
        if names:
            return {name: shell.user_ns[name] for name in names}
    return {}


def _names_of_literals(source: str) -> list[str]:
    """Return the names that a cell assigns, if it does nothing but assign literals to names."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return []
    names = []
    for statement in statements:
        if not isinstance(statement, ast.Assign):
            return []
        try:
            ast.literal_eval(statement.value)
        except ValueError:
            return []
        names.append(statement.targets[0].id)
    return names
