"""Fill the tables of docs/REPRODUCTION.md from what is recorded.

python tools/reproduction.py [--check]

Between "<!-- table: NAME -->" and "<!-- end -->" stands the table of that name in TABLES. The rest
of the page is prose.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from dlp_lib import HOME
from dlp_lib.experiments.record import paper, per_cent, read
from dlp_lib.recipes import CIFAR10, PAPER_ATTACKS

PAGE = HOME / "docs" / "REPRODUCTION.md"
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

STAGES = ("SL", "AU", "ASSFT")
ALL_STAGES = "SL-AU-ASSFT"
USUAL_GAMMA = 0.01
USUAL_ALPHA = 0.1
# Settings of DLP that a run of the paper's experiments has unless it is about them.
USUAL = {"quota": "per class", "stop": True, "architecture": "WRN-16-1"}


def where(rows: list[dict], **values) -> list[dict]:
    """Return the rows that have these values."""
    wanted = values.items()
    return [row for row in rows if all(row[name] == value for name, value in wanted)]


def values_of(rows: list[dict], column: str) -> list:
    """Return the different values of a column, in the rows' order."""
    return list(dict.fromkeys(row[column] for row in rows))


def cell(rows: list[dict], *columns: str) -> str:
    """Return mean and range of columns, with " / " between them; "–" without rows."""
    if not rows:
        return "–"
    return " / ".join(per_cent(row[column] for row in rows) for column in columns)


def ca_and_asr(rows: list[dict]) -> str:
    """Return "CA / ASR" of rows that measure the same."""
    return cell(rows, "ca", "asr")


def markdown(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """Return a table."""
    header = list(header)
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def grid(corner: str, down: dict, across: Iterable, content: Callable[..., str]) -> str:
    """Return a table of one cell for each pair of values.

    Args:
        corner: what stands above the names of the rows.
        down: a name for every value that has a row.
        across: a value for every column.
        content: gives a cell for a value of ``down`` and one of ``across``.
    """
    across = list(across)
    lines = []
    for value, name in down.items():
        lines.append([name, *(content(value, other) for other in across)])
    return markdown([corner, *map(str, across)], lines)


def by_own_name(values: Iterable) -> dict:
    """Return rows of a grid whose names are their values."""
    return {value: str(value) for value in values}


def as_per_cent(share: float) -> str:
    """Return a setting such as 0.1 as "10 %"."""
    return f"{100 * share:g} %"


def _learned(rows: list[dict], epochs: Iterable[int]) -> str:
    """Training accuracy of the clean and the poisoned subset."""

    def content(epoch: int, attack: str) -> str:
        return cell(where(rows, attack=attack, epoch=epoch), "clean", "poisoned")

    return grid("epoch", by_own_name(epochs), values_of(rows, "attack"), content)


def figure_1() -> str:
    return _learned(read("cifar10/epochs"), (1, 2, 3, 5, 7, 10))


def figure_1_shapes() -> str:
    return _learned(where(read("speed"), variant="default"), (1, 2, 3, 5, 10))


def _filtered(rows: list[dict]) -> str:
    """Poisoned share of the suspects, by filter."""

    def content(kind: str, attack: str) -> str:
        return cell(where(rows, attack=attack, filter=kind), "suspected")

    filters = by_own_name(values_of(rows, "filter"))
    return grid("filter", filters, values_of(rows, "attack"), content)


def figure_5() -> str:
    return _filtered(where(read("cifar10/filters"), gamma=USUAL_GAMMA))


def figure_5_shapes() -> str:
    return _filtered(where(read("filters"), when="E1 = 4"))


def figure_5_agreed() -> str:
    return _filtered(where(read("filters"), when="agreed E1"))


def figure_5_gamma() -> str:
    rows = where(read("cifar10/filters"), filter="entropy")
    gammas = {gamma: as_per_cent(gamma) for gamma in values_of(rows, "gamma")}

    def content(gamma: float, attack: str) -> str:
        return cell(where(rows, attack=attack, gamma=gamma), "suspected", "trusted")

    return grid("gamma", gammas, values_of(rows, "attack"), content)


def unlearning() -> str:
    """CA / ASR at fixed epochs, and where unlearning stops."""
    rows = read("cifar10/unlearning")
    stops = [row | {"block": "stop"} for row in rows if row["block"] == row["au_stop"]]
    measured = rows + stops
    attacks = values_of(rows, "attack")

    def content(place: tuple[int | str, bool], attack: str) -> str:
        block, reestimated = place
        found = where(measured, attack=attack, block=block, reestimated=reestimated)
        return ca_and_asr(found)

    down = {}
    for block in (1, 2, 3, 5, "stop", 10, 20):
        down[block, False] = f"{block}, as left"
        down[block, True] = f"{block}, re-estimated"
    last = ["epoch of the stop"]
    for attack in attacks:
        epochs = values_of(where(rows, attack=attack), "au_stop")
        last.append(" and ".join(map(str, epochs)))
    return grid("epoch", down, attacks, content) + "\n| " + " | ".join(last) + " |"


def _dlp_rows(**settings) -> list[dict]:
    """Return the paper's experiments that have these settings, and else the usual ones."""
    return where(read("cifar10/stages"), **(USUAL | settings))


def _has_usual_rates(row: dict) -> bool:
    if row["gamma"] != USUAL_GAMMA:
        return False
    if row["attack"] == "none":
        return True
    return row["alpha"] == CIFAR10.attacks[row["attack"]].poisoning_rate


def _after_stages(rows: list[dict], stages: Iterable[str]) -> str:
    """An attack a row, a stage a column; a stage that several runs share counts once."""
    unique = list({(row["attack"], row["stage"], row["seed"]): row for row in rows}.values())

    def content(attack: str, stage: str) -> str:
        return ca_and_asr(where(unique, attack=attack, stage=stage))

    return grid("attack", by_own_name(values_of(unique, "attack")), stages, content)


def table_1() -> str:
    orders = ("SL-AU", ALL_STAGES)
    rows = [row for row in _dlp_rows() if row["order"] in orders and _has_usual_rates(row)]
    return _after_stages(rows, STAGES)


def table_1_total() -> str:
    return _after_stages(_dlp_rows(quota="total"), STAGES)


def table_1_shapes() -> str:
    return _after_stages(read("stages"), (*STAGES, "undefended"))


def figure_4() -> str:
    """BadNets after the last of some stages; each is the last or an earlier one of a run."""
    rows = [row for row in _dlp_rows(attack="BadNets") if _has_usual_rates(row)]
    measured_in = {
        "SL": (ALL_STAGES, "SL"),
        "SL-AU": (ALL_STAGES, "AU"),
        "SL-ASSFT": ("SL-ASSFT-AU", "ASSFT"),
        "SL-ASSFT-AU": ("SL-ASSFT-AU", "AU"),
        "SL-AU-ASSFT": (ALL_STAGES, "ASSFT"),
    }
    lines = []
    for stages, (order, stage) in measured_in.items():
        lines.append([stages, ca_and_asr(where(rows, order=order, stage=stage))])
    return markdown(["stages", "BadNets"], lines)


def figure_4_shapes() -> str:
    rows = read("orders")

    def content(order: str, attack: str) -> str:
        last = order.split("-")[-1]
        return ca_and_asr(where(rows, attack=attack, order=order, stage=last))

    return grid("stages", by_own_name(values_of(rows, "order")), values_of(rows, "attack"), content)


def table_5() -> str:
    """BadNets by gamma and by alpha."""
    rows = _dlp_rows(attack="BadNets", order=ALL_STAGES)
    rates = dict.fromkeys((row["gamma"], row["alpha"]) for row in rows)
    lines = []
    for gamma, alpha in rates:
        lines.append(_rates_line(where(rows, gamma=gamma, alpha=alpha), gamma, alpha))
    header = ["setting", "trusted images", "suspects poisoned", "trusted clean", *STAGES]
    return markdown(header, lines)


def _rates_line(rows: list[dict], gamma: float, alpha: float) -> list[str]:
    filtered = where(rows, stage="SL")
    trusted = f"{filtered[0]['trusted_images']:,}"
    if filtered[0]["shortfall"]:
        trusted += " (half of every class)"
    purity = [cell(filtered, column) for column in ("suspected", "trusted")]
    stages = [ca_and_asr(where(rows, stage=stage)) for stage in STAGES]
    return [_rates_name(gamma, alpha), trusted, *purity, *stages]


def _rates_name(gamma: float, alpha: float) -> str:
    """Return what differs from the usual rates, or both of these."""
    names = []
    if gamma != USUAL_GAMMA:
        names.append(f"gamma {as_per_cent(gamma)}")
    if alpha != USUAL_ALPHA:
        names.append(f"alpha {as_per_cent(alpha)}")
    if not names:
        names = [f"gamma {as_per_cent(gamma)}", f"alpha {as_per_cent(alpha)}"]
    return ", ".join(names)


def _quoted(figures: list[float | None] | None) -> str:
    """Return the paper's "CA / ASR"."""
    if not figures:
        return "–"
    return " / ".join(f"{100 * share:.1f}" for share in figures)


def table_3() -> str:
    """The paper's figures; those of shapes10."""
    theirs = paper("table 3")
    ours = read("baselines")
    paper_name = {"none": "no attack"} | by_own_name(PAPER_ATTACKS)

    def content(defence: str, attack: str) -> str:
        figures = theirs.get(defence, {}).get(paper_name[attack])
        measured = ca_and_asr(where(ours, attack=attack, defence=defence))
        return f"{_quoted(figures)}; {measured}"

    lines = []
    for defence in values_of(ours, "defence"):
        lines.append([defence, *(content(defence, attack) for attack in paper_name)])
    return markdown(["defence", *paper_name.values()], lines)


def table_6() -> str:
    """BadNets by architecture: the paper's figures, and those of shapes10."""
    theirs = paper("table 6")
    wrn = paper("table 3")["DLP"]
    ours = read("architectures")
    stages = ("SL", "ASSFT", "undefended")
    lines = []
    for name in values_of(ours, "architecture"):
        figures = theirs.get(name, wrn)["BadNets"]
        measured = [ca_and_asr(where(ours, architecture=name, stage=stage)) for stage in stages]
        lines.append([name, _quoted(figures), *measured])
    return markdown(["architecture", "paper", *stages], lines)


def limits() -> str:
    rows = read("limits")
    stages = ("AU", "ASSFT", "undefended")
    lines = []
    for case in values_of(rows, "case"):
        of_case = where(rows, case=case)
        purity = cell(where(of_case, stage="SL"), "suspected")
        measured = [ca_and_asr(where(of_case, stage=stage)) for stage in stages]
        lines.append([case, purity, *measured])
    return markdown(["case", "suspects poisoned", *stages], lines)


TABLES: dict[str, Callable[[], str]] = {
    "figure_1": figure_1,
    "figure_1_shapes": figure_1_shapes,
    "figure_4": figure_4,
    "figure_4_shapes": figure_4_shapes,
    "figure_5": figure_5,
    "figure_5_agreed": figure_5_agreed,
    "figure_5_gamma": figure_5_gamma,
    "figure_5_shapes": figure_5_shapes,
    "limits": limits,
    "table_1": table_1,
    "table_1_shapes": table_1_shapes,
    "table_1_total": table_1_total,
    "table_3": table_3,
    "table_5": table_5,
    "table_6": table_6,
    "unlearning": unlearning,
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
        sys.exit(f"{PAGE.name} does not say what is recorded: run tools/{Path(__file__).name}")


if __name__ == "__main__":
    main()
