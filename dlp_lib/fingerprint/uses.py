"""Which names the code of a function reads and imports, told by its bytecode."""

import dis
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

_SILENT = {"CACHE", "EXTENDED_ARG", "NOP"}
_GLOBAL_READS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_LOCAL_READS = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR"}

Chain = tuple[str, ...]  # attribute names in a row: ``a.b.c`` reads the variable a by ("b", "c")
Chains = tuple[Chain, ...]  # () among them: the variable itself is passed on


class Import(NamedTuple):
    """A module that a function imports when it runs, or a name that it takes from it."""

    module: str
    level: int  # the number of dots in front
    attribute: str | None  # None: the module itself
    binds_top: bool  # ``import a.b`` binds a
    chains: Chains  # what is then read from the variable


class Uses(NamedTuple):
    """The names that a code object uses, those inside of it included."""

    globals: dict[str, Chains]  # how each global variable is read, in the order of their names
    locals: dict[str, Chains]  # how each local variable is read
    imports: tuple[Import, ...]


def uses_of(code: CodeType) -> Uses:
    """The variables that a code object reads, and the modules that it imports."""
    steps = list(_steps(code))
    global_reads = _reads(steps, _GLOBAL_READS)
    local_reads = _reads(steps, _LOCAL_READS)
    imports = _imports(steps, _reads(steps, _GLOBAL_READS + _LOCAL_READS))
    return Uses(global_reads, local_reads, tuple(imports))


def _reads(steps: list[dis.Instruction], kinds: tuple[str, ...]) -> dict[str, Chains]:
    found = {}
    for place, step in enumerate(steps):
        if step.opname.startswith(kinds):
            for name in _variables(step):
                found.setdefault(name, set()).add(_chain(steps, place + 1))
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _steps(code: CodeType) -> Iterator[dis.Instruction]:
    for step in dis.get_instructions(code):
        if step.opname not in _SILENT:
            yield step
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _steps(constant)


def _variables(step: dis.Instruction) -> tuple[str, ...]:
    """Newer versions of Python have instructions that concern two variables at once."""
    return step.argval if isinstance(step.argval, tuple) else (step.argval,)


def _chain(steps: list[dis.Instruction], place: int) -> Chain:
    names = []
    while place < len(steps) and steps[place].opname in _ATTRIBUTES:
        names.append(steps[place].argval)
        place += 1
    return tuple(names)


def _imports(steps: list[dis.Instruction], chains: dict[str, Chains]) -> Iterator[Import]:
    for place, step in enumerate(steps):
        if step.opname != "IMPORT_NAME":
            continue
        module = step.argval
        level = steps[place - 2].argval
        names = steps[place - 1].argval
        if names:
            for offset, name in enumerate(names):
                variable = _variables(steps[place + 2 + 2 * offset])[0]
                yield Import(module, level, name, False, chains.get(variable, ()))
            continue
        renamed = steps[place + 1].opname == "IMPORT_FROM"  # ``import a.b as c``
        place = place + 1
        while not steps[place].opname.startswith("STORE"):
            place += 1
        variable = _variables(steps[place])[0]
        binds_top = not renamed and variable == module.partition(".")[0]
        yield Import(module, level, None, binds_top, chains.get(variable, ()))
