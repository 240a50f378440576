"""Tell which claims of the notebooks a run contradicts.

python -m tools.claims          the committed runs, data/runs
python -m tools.claims --new    the runs that `make outputs` has just made, before they are kept
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat

from dlp_lib.places import HOME

from ..kit import NOTEBOOKS
from ..stamp import current_stamp
from . import FOLDER, Sources, read_claims


def gather_runs(folder: Path) -> None:
    """Copy the metrics that the executed notebooks have written into a folder, as NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        parameters = current_stamp(nbformat.read(path, as_version=4))["parameters"]
        metrics = HOME / parameters["out"] / "metrics.json"
        if metrics.exists():
            shutil.copyfile(metrics, folder / f"{path.stem}.json")


def print_faults(folder: Path) -> int:
    """Print the claims that the runs in a folder contradict; return how many there are."""
    faults = []
    for claim in read_claims():
        fault = claim.fault(Sources(claim.notebook, folder))
        if fault is not None:
            faults.append(fault)
    print("\n".join(faults) or "all claims hold")
    return len(faults)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.claims",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--new", action="store_true", help="look at the runs just made")
    parser.add_argument("--keep", action="store_true", help="keep them in data/runs")
    options = parser.parse_args(arguments)
    if not options.new:
        return 1 if print_faults(FOLDER) else 0
    with tempfile.TemporaryDirectory() as folder:
        gather_runs(Path(folder))
        print_faults(Path(folder))
    if options.keep:
        gather_runs(FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
