"""Values of parameters by the parameters' names, for notebooks and for trials."""

import ast
import re

from ..checking import (
    check_bool,
    check_fraction,
    check_int,
    check_number,
    check_seed,
    match_name,
    to_python,
)
from ..defences.selection import QUOTAS
from ..models import ARCHITECTURES
from ..recipes import CIFAR10
from ..runtime import Runtime

# Such as 5e-4 and 1.5e3: YAML wants a point and a sign, and takes others for text
_WITH_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
# Whole numbers, and the least of each
_WHOLE = {
    "n_train": 1,
    "n_test": 1,
    "image_size": 1,
    "e1": 1,
    "e1s": 1,
    "e2": 0,
    "e2s": 0,
    "epochs": 1,
    "cooldown_epochs": 0,
    "short": 1,
    "reestimate": 2,
    "finetune_steps": 0,
    "finetune_batch": 1,
    "batch": 1,
    "mu": 1,
}
_FRACTIONS = ("poisoning_rate", "gamma", "rule_gamma", "threshold", "alphas", "gammas", "rates")
_FLAGS = ("stop", "choose_e1", "papers_settings")
# Words, of which each may be written in any case
_CHOICES = {
    "attack": list(CIFAR10.attacks),
    "attack_names": list(CIFAR10.attacks),
    "architecture": list(ARCHITECTURES),
    "architecture_names": list(ARCHITECTURES),
    "methods": list(CIFAR10.defences),
    "quota": list(QUOTAS),
}
# Where None stands for the data set's own, or for the recipe's
_OPTIONAL = (
    "n_train", "n_test", "image_size", "poisoning_rate", "target", "unlearn_lr", "finetune_steps",
)  # fmt: skip


def to_numbers(value):
    """Return nested dicts and lists with 5e-4 and the like as numbers; 5e3 is a whole one."""
    if isinstance(value, dict):
        return {name: to_numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [to_numbers(part) for part in value]
    if isinstance(value, str) and _WITH_EXPONENT.fullmatch(value):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


def split_assignment(assignment: str) -> tuple[str, str]:
    """Return the name and the text of a value that ``-p NAME=VALUE`` gives.

    Raises:
        ValueError: where one of the two, or "=", is missing.
    """
    name, equals, text = assignment.partition("=")
    if not (name and equals):
        raise ValueError(f"-p {assignment}: allowed is NAME=VALUE")
    return name, text


def parse(name: str, text: str):
    """Return the value that a text of one parameter stands for.

    It is read as YAML. Numbers, None and tuples may be written as in Python; a tuple becomes a
    list.

    Raises:
        ValueError: naming the parameter, for a text that is not YAML.
    """
    import yaml

    try:
        value = to_numbers(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}={text}: allowed are values of YAML ({reason})") from None
    return _as_python(value) if isinstance(value, str) else value


def _as_python(text: str):
    """Return the number, None or list that a text stands for in Python, or the text."""
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, (int, float)) else text


def check_value(name: str, value):
    """Return the value of a parameter as notebooks and trials take it.

    Args:
        name: the parameter's; of one that is not known here, any value is allowed.
        value: what the caller gave; of a list, one item.

    Raises:
        ValueError: naming the parameter, for a value that it cannot have.
    """
    value = to_python(value)
    if value is None and name in _OPTIONAL:
        return None
    if name in _WHOLE:
        return check_int(name, value, _WHOLE[name])
    if name in ("seed", "seeds"):
        return check_seed(name, value)
    if name in _FRACTIONS:
        return check_fraction(name, value)
    if name in _CHOICES:
        return match_name(name, value, _CHOICES[name])
    if name in _FLAGS:
        return check_bool(name, value)
    if name == "unlearn_lr":
        return check_number(name, value, above=0)
    if name == "immunise":
        return check_number(name, value, least=0, most=1)
    if name == "device":
        Runtime(device=value)
    return value
