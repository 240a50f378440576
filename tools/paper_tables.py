"""The paper's tables, from what is recorded."""

from collections.abc import Iterable

from dlp_lib.experiments.record import paper, read
from dlp_lib.recipes import CIFAR10, PAPER_ATTACKS

from .markdown_tables import (
    as_per_cent,
    by_own_name,
    ca_and_asr,
    cell,
    grid,
    markdown,
    values_of,
    where,
)

STAGES = ("SL", "AU", "ASSFT")
ALL_STAGES = "SL-AU-ASSFT"
USUAL_GAMMA = 0.01
USUAL_ALPHA = 0.1
# Settings of DLP that a run of the paper's experiments has unless it is about them.
USUAL = {"quota": "per class", "stop": True, "architecture": "WRN-16-1"}


def dlp_rows(**settings) -> list[dict]:
    """Return the paper's experiments that have these settings, and else the usual ones."""
    return where(read("cifar10/stages"), **(USUAL | settings))


def has_usual_rates(row: dict) -> bool:
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
    rows = [row for row in dlp_rows() if row["order"] in orders and has_usual_rates(row)]
    return _after_stages(rows, STAGES)


def table_1_total() -> str:
    return _after_stages(dlp_rows(quota="total"), STAGES)


def table_1_shapes() -> str:
    return _after_stages(read("stages"), (*STAGES, "undefended"))


def table_5() -> str:
    """BadNets by gamma and by alpha."""
    rows = dlp_rows(attack="BadNets", order=ALL_STAGES)
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
