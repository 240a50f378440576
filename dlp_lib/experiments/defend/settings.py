"""Which defence, with which settings: those that suit the data, and what the user changes."""

from dataclasses import fields, is_dataclass, replace

from ...checking import check_int
from ...defences import ABL, DLP
from ...recipes import Recipe
from ..values import parse, split_assignment

Method = DLP | ABL

# The options of the command line, and the settings of DLP that they stand for.
DLP_OPTIONS = {
    "gamma": "gamma",
    "e1": "e1",
    "e2": "e2",
    "batch": "supervised.batch",
    "steps": "fixmatch.steps",
}
_REMOVES = ("AU", "ASSFT")  # the stages of DLP that can remove a backdoor


def method_of(name: str, recipe: Recipe) -> Method:
    """Return a defence with the settings of a recipe.

    Args:
        name: "DLP" or "ABL".
        recipe: of the data.

    Raises:
        ValueError: for any other defence, saying why it cannot work on an untrusted folder.
    """
    if name == "DLP":
        return recipe.dlp
    method = recipe.defences.get(name)
    if isinstance(method, ABL):
        return method
    if method is None:
        raise ValueError(f"defence={name!r}: allowed are DLP and ABL")
    if method.sees == "clean":
        reason = "it needs images that are known to be clean, and an untrusted folder has none"
    else:
        reason = "it does not say which images it suspects"
    raise ValueError(f"defence={name!r}: {reason}; allowed are DLP and ABL")


def with_options(method: Method, options: dict[str, float | int | None]) -> Method:
    """Return the method with the values of ``DLP_OPTIONS``; None leaves a setting as it is.

    Raises:
        ValueError: for a value that is not allowed, and for any value where the method is not DLP.
    """
    for option, value in options.items():
        if value is None:
            continue
        if not isinstance(method, DLP):
            raise ValueError(
                f"{option}={value}: a setting of DLP; for ABL allowed is -p NAME=VALUE"
            )
        method = _with_value(method, DLP_OPTIONS[option].split("."), value)
    return method


def with_assignments(method: Method, assignments: list[str]) -> Method:
    """Return the method with the settings of ``-p``.

    Args:
        method: whose settings have the types that are allowed.
        assignments: such as "gamma=0.05", or "fixmatch.mu=3" for a setting of a stage.

    Raises:
        ValueError: for a name that is none, or a value that is not allowed.
    """
    for assignment in assignments:
        name, text = split_assignment(assignment)
        value = _value(settings_of(method), name, text)
        method = _with_value(method, name.split("."), value)
    return method


def expect_cleansing(method: Method) -> None:
    """Check that a DLP goes beyond stage 1, which alone leaves the backdoor in the model.

    Raises:
        ValueError: where it does not.
    """
    if isinstance(method, DLP) and not set(_REMOVES) & set(method.order):
        raise ValueError("order=SL: it leaves the backdoor in the model; allowed are longer orders")


def check_e1(text: str) -> int | None:
    """Return the number that --e1 gives; None for "auto".

    Raises:
        ValueError: for any other text.
    """
    if text == "auto":
        return None
    try:
        return check_int("e1", int(text), 1)
    except ValueError:
        raise ValueError(f"e1={text!r}: allowed are auto and whole numbers ≥ 1") from None


def settings_of(method: Method, prefix: str = "") -> dict[str, object]:
    """Return all settings by the names that ``-p`` takes."""
    found: dict[str, object] = {}
    for field in fields(method):
        value = getattr(method, field.name)
        if is_dataclass(value):
            found |= settings_of(value, f"{prefix}{field.name}.")
        else:
            found[f"{prefix}{field.name}"] = value
    return found


def _value(settings: dict[str, object], name: str, text: str) -> object:
    """Return what a text stands for, as a value of the type that the setting has."""
    assignment = f"{name}={text}"
    if name not in settings:
        raise ValueError(f"-p {assignment}: allowed are {', '.join(settings)}")
    present = settings[name]
    value = parse(f"-p {name}", text)
    if isinstance(present, str):
        return value if isinstance(value, str) else text
    if name == "order" and isinstance(value, str):
        return tuple(value.split("-"))
    if isinstance(value, list):
        value = tuple(value)
    kinds = (int, float) if isinstance(present, float) else (type(present),)
    if isinstance(value, bool) != isinstance(present, bool) or not isinstance(value, kinds):
        kind = {bool: "True and False", int: "whole numbers", float: "numbers"}
        allowed = kind.get(type(present), f"values such as {present!r}")
        raise ValueError(f"-p {assignment}: allowed are {allowed}")
    return value


def _with_value(method, path: list[str], value: object):
    """Return a copy of nested settings in which one has another value."""
    first, *others = path
    if others:
        value = _with_value(getattr(method, first), others, value)
    return replace(method, **{first: value})
