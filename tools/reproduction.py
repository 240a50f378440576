"""Fill the tables of docs/REPRODUCTION.md from what is recorded.

python -m tools.reproduction [--check]

Between "<!-- table: NAME -->" and "<!-- end -->" stands the table of that name in TABLES. The rest
of the page is prose.
"""

import argparse
import re
import sys
from collections.abc import Callable

from dlp_lib import HOME

from . import paper_figures, paper_tables

PAGE = HOME / "docs" / "REPRODUCTION.md"
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

TABLES: dict[str, Callable[[], str]] = {
    "figure_1": paper_figures.figure_1,
    "figure_1_shapes": paper_figures.figure_1_shapes,
    "figure_4": paper_figures.figure_4,
    "figure_4_shapes": paper_figures.figure_4_shapes,
    "figure_5": paper_figures.figure_5,
    "figure_5_agreed": paper_figures.figure_5_agreed,
    "figure_5_gamma": paper_figures.figure_5_gamma,
    "figure_5_shapes": paper_figures.figure_5_shapes,
    "limits": paper_tables.limits,
    "table_1": paper_tables.table_1,
    "table_1_shapes": paper_tables.table_1_shapes,
    "table_1_total": paper_tables.table_1_total,
    "table_3": paper_tables.table_3,
    "table_5": paper_tables.table_5,
    "table_6": paper_tables.table_6,
    "unlearning": paper_figures.unlearning,
}


def filled(text: str) -> str:
    """Return the page with its tables.

    Raises:
        KeyError: for the name of a table that is not in TABLES.
    """
    return PLACE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if it would")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    if not options.check:
        PAGE.write_text(filled(text), encoding="utf-8")
    elif filled(text) != text:
        sys.exit(f"{PAGE.name} does not say what is recorded: run python -m tools.reproduction")


if __name__ == "__main__":
    main()
