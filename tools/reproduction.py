"""Fill the tables and cells of docs/REPRODUCTION.md from what is recorded.

python -m tools.reproduction [--check]

Between "<!-- table: NAME -->" and "<!-- end -->" stands the table of that name in TABLES. Between
"<!-- cell: NAME -->" and "<!-- end -->" stands, within a line, the text of that name in CELLS. The
rest of the page is prose.
"""

import argparse
import re
import sys
from collections.abc import Callable

from dlp_lib import HOME

from . import paper_figures, paper_scale, paper_tables, paper_verdicts

PAGE = HOME / "docs" / "REPRODUCTION.md"
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
CELL = re.compile(r"(<!-- cell: (\w+) -->)[^\n]*?(<!-- end -->)")

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
    "pseudo_labels": paper_scale.pseudo_labels,
    "scale": paper_scale.stages,
    "table_1": paper_tables.table_1,
    "table_1_shapes": paper_tables.table_1_shapes,
    "table_1_total": paper_tables.table_1_total,
    "table_3": paper_tables.table_3,
    "table_5": paper_tables.table_5,
    "table_6": paper_tables.table_6,
    "unlearning": paper_figures.unlearning,
}
CELLS: dict[str, Callable[[], str]] = {
    "after_assft": paper_verdicts.after_assft,
    "after_au": paper_verdicts.after_au,
    "after_sl": paper_verdicts.after_sl,
    "asr_assft": paper_scale.asr_assft,
    "asr_sl": paper_scale.asr_sl,
    "ca_after_all_of_e2": paper_scale.ca_after_all_of_e2,
    "ca_assft": paper_scale.ca_assft,
    "ca_below_paper": paper_scale.ca_below_paper,
    "ca_left_by_au": paper_scale.ca_left_by_au,
    "ca_sl": paper_scale.ca_sl,
    "confident_at_end": paper_scale.confident_at_end,
    "confident_rise": paper_scale.confident_rise,
    "not_implanted_again": paper_verdicts.not_implanted_again,
    "not_tested": paper_verdicts.not_tested,
    "other_ra": paper_scale.other_ra,
    "sig_asr_au": paper_scale.sig_asr_au,
    "sig_asr_reduced": paper_scale.sig_asr_reduced,
    "sig_ra": paper_scale.sig_ra,
    "stops": paper_scale.stops,
    "without_assft": paper_verdicts.without_assft,
    "without_attack": paper_verdicts.without_attack,
}


def filled(text: str) -> str:
    """Return the page with its tables and its cells.

    Raises:
        KeyError: for a name that is not in TABLES, or not in CELLS.
    """
    text = PLACE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)
    return CELL.sub(lambda found: f"{found[1]}{CELLS[found[2]]()}{found[3]}", text)


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
