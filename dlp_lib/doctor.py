"""Find what is wrong with this installation, and what to do: ``python -m dlp_lib doctor``.

If even that fails: ``python dlp_lib/doctor.py``, which starts without any package. A problem makes
the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __package__:
    from .console import accept_any_encoding
    from .health import examine
else:  # run as a file, so that dlp_lib and its packages may be broken
    PACKAGE = Path(__file__).resolve().parent
    sys.path.insert(0, str(PACKAGE))
    from console import accept_any_encoding
    from health import examine

    # The files of dlp_lib would hide packages of the same name.
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != PACKAGE]

if TYPE_CHECKING:
    from .health import Finding


def main(arguments: list[str] | None = None) -> int:
    """Print what every check finds, as lines or as JSON.

    Args:
        arguments: of the command line; None: those of this process.

    Returns:
        The exit status: 1 where there is a problem, else 0.
    """
    accept_any_encoding()
    description = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m dlp_lib doctor", description=description)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    as_json = parser.parse_args(arguments).json
    findings = []
    for check, finding in examine():
        findings.append({"check": check, **finding._asdict()})
        if not as_json:
            _print_finding(check, finding)
    levels = [finding["level"] for finding in findings]
    problems = levels.count("problem")
    if as_json:
        print(json.dumps(findings, indent=2))
    else:
        print(f"\nProblems: {problems}, warnings: {levels.count('warning')}.")
    return int(problems > 0)


def _print_finding(check: str, finding: Finding) -> None:
    print(f"{finding.level:<9}{check:<10}{finding.found}")
    if finding.remedy:
        print(f"{'':<9}-> {finding.remedy}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
