"""A plan of the live lab as text to be copied: as Python, and as a command."""

import math
import re
import shlex
from dataclasses import fields, is_dataclass
from pathlib import Path

import yaml

from ..places import HOME
from ..store import Store
from .plan import Plan

# Names that the code may use; it imports those that it does use.
NAMES = (
    "DLP", "HOME", "Context", "FixMatch", "Runtime", "Store", "Supervised", "Unlearn", "after_each",
)  # fmt: skip

CODE = """\
context = Context({runtime}, {store})
scene = {scenario}
test = scene.test.subset(slice({n_test}))
dlp = {dlp}
result = dlp.run(scene.untrained(), scene.tampered, context)
measured = after_each(result, test, scene.attack)
for stage, metrics in measured.items():
    print(f"{{stage}}: CA {{metrics.ca:.1%}}, ASR {{metrics.asr:.1%}}")
"""


def python_code(plan: Plan) -> str:
    """Return Python that runs DLP with a plan, and prints CA and ASR after each stage."""
    data = {name: repr(value) for name, value in plan.data.items()}
    runtime = _arguments(plan.context.runtime, always=("seed", "device"))
    dlp = _arguments(plan.dlp, always=("gamma", "e1", "e2"))
    body = CODE.format(
        runtime=_call("Runtime", runtime),
        store=_store_code(plan.context.store),
        scenario=_call_on_lines("scenario", data | {"context": "context"}),
        n_test=plan.n_test,
        dlp=_call_on_lines("DLP", dlp),
    )
    used = [name for name in NAMES if re.search(rf"\b{name}(\(| /)", body)]
    imports = f"from dlp_lib import {', '.join(used)}\nfrom dlp_lib.experiments import scenario\n"
    return f"{imports}\n{body}"


def command(plan: Plan) -> str:
    """Return a shell command that runs the quick start with a plan."""
    words = ["python -m dlp_lib run 00_quickstart --out build/copied"]
    for name, value in quickstart_parameters(plan).items():
        assignment = f"{name}={_as_yaml(value)}"
        words.append(f"-p {shlex.quote(assignment)}")
    return " ".join(words)


def quickstart_parameters(plan: Plan) -> dict[str, object]:
    """Return the parameters with which notebook 00 runs a plan."""
    parameters = {
        **plan.data,
        "n_test": plan.n_test,
        "gamma": plan.dlp.gamma,
        "quota": plan.dlp.quota,
        "e1": plan.dlp.e1,
        "e2": plan.dlp.e2,
        "unlearn_lr": plan.dlp.unlearn.lr,
        "stop": plan.dlp.unlearn.stop,
        "finetune_steps": plan.dlp.fixmatch.steps,
        "seed": plan.context.runtime.seed,
        "device": plan.context.runtime.device,
    }
    folder = _store_folder(plan.context.store)
    if folder is not None:
        parameters["cache"] = folder.as_posix()
    return parameters


def _store_folder(store: Store) -> Path | None:
    """Return where a store lies: a relative path within the project; None: in memory."""
    if store.root is None:
        return None
    folder = store.root.resolve()
    return folder.relative_to(HOME) if folder.is_relative_to(HOME) else folder


def _store_code(store: Store) -> str:
    folder = _store_folder(store)
    if folder is None:
        return "Store()"
    path = repr(folder.as_posix())
    return f"Store({path})" if folder.is_absolute() else f"Store(HOME / {path})"


def _arguments(config: object, always: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the fields of a config as Python text, without those that have their default.

    Args:
        config: a dataclass whose fields all have defaults.
        always: fields that are never left out.
    """
    default = type(config)()
    arguments = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in always or value != getattr(default, field.name):
            arguments[field.name] = _as_code(value)
    return arguments


def _as_code(value: object) -> str:
    if is_dataclass(value):
        return _call(type(value).__name__, _arguments(value))
    return repr(value)


def _call(function: str, arguments: dict[str, str]) -> str:
    pairs = [f"{name}={text}" for name, text in arguments.items()]
    return f"{function}({', '.join(pairs)})"


def _call_on_lines(function: str, arguments: dict[str, str]) -> str:
    """Return a call with one argument on each line."""
    lines = [f"    {name}={text},\n" for name, text in arguments.items()]
    return f"{function}(\n{''.join(lines)})"


def _as_yaml(value: object) -> str:
    """Return a plain value as one line of YAML, as ``-p`` reads it."""
    text = yaml.safe_dump(value, width=math.inf, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
