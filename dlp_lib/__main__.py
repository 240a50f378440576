"""The command line: ``python -m dlp_lib COMMAND``.

A command's module is imported when the command is asked for, so that each needs its own packages
only.
"""

import argparse
import importlib
import sys
from typing import NamedTuple

from . import console


class Command(NamedTuple):
    """A command: a module with ``main(arguments)``, which parses them itself."""

    module: str
    help: str


COMMANDS = {
    "run": Command("experiments.run", "execute a notebook without Jupyter, with parameters"),
    "record": Command("experiments.record.command", "measure tables that take hours"),
    "sweep": Command("experiments.sweep.command", "run a grid of trials from a file"),
    "defend": Command("experiments.defend.command", "find suspects in a folder of images"),
    "notebooks": Command("experiments.notebooks_command", "write the notebooks into a folder"),
    "store": Command("experiments.store_command", "show, prune, pack or load what is stored"),
    "doctor": Command("doctor", "find what is wrong with an installation"),
}
# Modules of parts that stand on a higher floor than their command
PARTS = {("record", "lab"): "live.record"}


def main(arguments: list[str] | None = None) -> int | None:
    """Run a command, or list the commands.

    Args:
        arguments: the command and its own arguments; None: those of this process.

    Returns:
        The exit status; None stands for 0.

    Raises:
        SystemExit: with one sentence, for Ctrl-C and for what the system refuses, such as to write
            into a folder.
    """
    console.accept_any_encoding()
    if arguments is None:
        arguments = sys.argv[1:]
    parser = _parser()
    if not arguments:
        parser.print_help()
        return 0
    name = parser.parse_args(arguments[:1]).command
    try:
        if tuple(arguments[:2]) in PARTS:
            module = importlib.import_module(f"dlp_lib.{PARTS[tuple(arguments[:2])]}")
            return module.main(arguments[2:])
        module = importlib.import_module(f"dlp_lib.{COMMANDS[name].module}")
        return module.main(arguments[1:])
    except ModuleNotFoundError as error:
        if str(error.name).startswith("dlp_lib"):
            raise
        sys.exit(
            f"{name}: the package {error.name} is missing: python -m dlp_lib doctor says what to do"
        )
    except BrokenPipeError:  # whoever read what is printed has ended, as `head` does
        return 1
    except (KeyboardInterrupt, OSError) as stop:
        sys.exit(f"\n{name}: {console.sentence_of(stop)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dlp_lib",
        description="Backdoor attacks and defences: what can be done without a notebook.",
        epilog="python -m dlp_lib COMMAND --help explains a command.",
    )
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.help, add_help=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
