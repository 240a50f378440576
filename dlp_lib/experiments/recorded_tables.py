"""Tables of what was recorded: all defences, all architectures, and DLP at its limits."""

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from ..evaluation import Metrics
from ..recipes import PAPER_ATTACKS
from .record import paper, read, spread
from .record.limits import CASES
from .record.settings import ATTACKS
from .scenario import NO_ATTACK
from .stage_rows import recall_of_row
from .tables import RECALL_TITLE, UNKNOWN, ca_and_asr

if TYPE_CHECKING:
    import pandas

FILTER_TITLES = {"suspected": "suspects poisoned", "trusted": "trusted clean"}
ASCENT_TITLES = {"asr": "ASR, AU"}  # which tells whether the ascent has removed a backdoor
SHARE_TITLES = {"ca": "CA", "target_recall": RECALL_TITLE, "asr": "ASR", "ra": "RA"}
UNDEFENDED_TITLES = {"ca": "CA, undefended", "asr": "ASR, undefended"}
# The order of rows, by attack
ATTACKS_BEYOND = {name: place for place, name in enumerate((NO_ATTACK, *PAPER_ATTACKS))}
BEYOND_TITLES = {
    "ca": "CA",
    "asr": "ASR",
    "ra": "RA",
    "target_recall": RECALL_TITLE,
    "least_recall": "least recall of a class",
}
DLP_TITLES = {"ca": "CA, DLP", "target_recall": f"{RECALL_TITLE}, DLP", "asr": "ASR, DLP"}


def defences_beside_paper(recorded: list[dict], rows: list[dict]) -> "pandas.DataFrame":
    """Return the paper's Table 3, with recorded means and this run beside it.

    Args:
        recorded: rows of the record "baselines".
        rows: of this run, with "attack", "defence", "ca" and "asr"; any of the paper's may be
            missing.
    """
    import pandas

    columns = ["ca", "asr"]
    means = pandas.DataFrame(recorded).groupby(["defence", "attack"])[columns].mean()
    this_run = pandas.DataFrame(rows).set_index(["defence", "attack"])[columns]
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for defence, by_attack in paper("table 3").items():
        in_paper = {attack: ca_and_asr(*shares) for attack, shares in by_attack.items()}
        cells[defence, "paper"] = in_paper
        cells[defence, "recorded"] = _by_attack(means, defence, list(in_paper))
        cells[defence, "this run"] = _by_attack(this_run, defence, list(in_paper))
    return pandas.DataFrame(cells).T


def with_plain_names(rows: list[dict]) -> list[dict]:
    """Return rows of the record "baselines" in which "none" says what there is none of."""
    named = []
    for row in rows:
        attack = "no attack" if row["attack"] == NO_ATTACK else row["attack"]
        defence = "no defence" if row["defence"] == "none" else row["defence"]
        named.append({**row, "attack": attack, "defence": defence})
    return named


def _by_attack(shares: "pandas.DataFrame", defence: str, attacks: list[str]) -> dict[str, str]:
    """Return the texts of one row of the table, by attack."""
    texts = {}
    for attack in attacks:
        key = (defence, NO_ATTACK if attack == "no attack" else attack)
        texts[attack] = UNKNOWN
        if key in shares.index:
            ca, asr = shares.loc[key]
            texts[attack] = ca_and_asr(ca, None if math.isnan(asr) else asr)
    return texts


def architectures_beside_paper(
    recorded: list[dict], measured: Mapping[str, Metrics]
) -> "pandas.DataFrame":
    """Return the paper's Table 6, with three recorded seeds and this run beside it.

    Args:
        recorded: rows of the record "architectures".
        measured: of DLP's model under BadNets, by architecture; any may be missing.
    """
    import pandas

    by = "architecture"
    target = ATTACKS["BadNets"].attack.target
    rows = [{**row, "target_recall": recall_of_row(row, target)} for row in recorded]
    parts = [
        _spread_of_stage(rows, "SL", by, FILTER_TITLES),
        _spread_of_stage(rows, "undefended", by, UNDEFENDED_TITLES),
        _spread_of_stage(rows, "AU", by, ASCENT_TITLES),
        _spread_of_stage(rows, "ASSFT", by, DLP_TITLES),
    ]
    table = pandas.concat(parts, axis=1)
    this_run = {name: ca_and_asr(metrics.ca, metrics.asr) for name, metrics in measured.items()}
    in_paper = paper("table 6") | {"WRN-16-1": paper("table 3")["DLP"]}
    table["DLP, this run"] = pandas.Series(this_run, dtype=str)
    table["DLP, the paper"] = pandas.Series(
        {name: ca_and_asr(*by_attack["BadNets"]) for name, by_attack in in_paper.items()}
    )
    return table.rename_axis("per cent").fillna(UNKNOWN)


def table_of_cases(*names: str) -> "pandas.DataFrame":
    """Return what the filter found in recorded cases, and what DLP came to, of three seeds.

    Args:
        names: the cases, in the order of the table's rows. A case is one of
            ``record.limits.CASES``, or an attack of the record "stages" with its rate: "SIG, 9 %".
    """
    import pandas

    rows = recorded_cases(*names)
    parts = [
        _spread_of_stage(rows, "SL", "case", FILTER_TITLES),
        _spread_of_stage(rows, "AU", "case", ASCENT_TITLES),
        _spread_of_stage(rows, "ASSFT", "case", SHARE_TITLES),
        _spread_of_stage(rows, "undefended", "case", UNDEFENDED_TITLES),
    ]
    in_order = pandas.concat(parts, axis=1).loc[list(names)]
    return in_order.rename_axis("per cent")


def table_beyond(seeds: Collection[int], *names: str) -> "pandas.DataFrame":
    """Return what every method came to beyond the paper, attack by attack.

    Args:
        seeds: see ``rows_beyond``.
        names: likewise.

    Returns:
        "mean (least–most)" in per cent, and the mean of the image passes with gradient.
    """
    import pandas

    rows = rows_beyond(seeds, *names)
    if not rows:
        return pandas.DataFrame(columns=[*BEYOND_TITLES.values(), "images"])
    by = ["attack", "method"]
    table = spread(rows, by, list(BEYOND_TITLES)).rename(columns=BEYOND_TITLES)
    images = pandas.DataFrame(rows).groupby(by, sort=False)["images"].mean()
    table["images"] = images.map("{:,.0f}".format)
    return table.rename_axis(["per cent", ""])


def rows_beyond(seeds: Collection[int], *names: str) -> list[dict]:
    """Return the rows that were recorded beyond the paper, attack by attack.

    Args:
        seeds: whose runs count. Those that are not recorded are left out.
        names: of records; without any, "beyond" and "beyond_others".
    """
    rows = []
    for name in names or ("beyond", "beyond_others"):
        rows += [row for row in read(name) if row["seed"] in seeds]
    return sorted(rows, key=lambda row: (ATTACKS_BEYOND.get(row["attack"], 0), row["attack"]))


def recorded_cases(*names: str) -> list[dict]:
    """Return the recorded rows of some cases, as ``table_of_cases`` has them, and stage by stage.

    Each row has its "case", and the "target_recall": None where no class is the target, or where
    the record has no recalls.
    """
    rows = []
    for row in read("limits"):
        target = CASES[row["case"]].setting.attack.target
        rows.append({**row, "target_recall": recall_of_row(row, target)})
    for row in read("stages"):
        if row["attack"] in ATTACKS:
            per_cent = 9 if row["attack"] in ("LCA", "SIG") else 10
            target = ATTACKS[row["attack"]].attack.target
            case = f"{row['attack']}, {per_cent} %"
            rows.append({"case": case, **row, "target_recall": recall_of_row(row, target)})
    return [row for row in rows if row["case"] in names]


def _spread_of_stage(
    rows: list[dict], stage: str, by: str, titles: dict[str, str]
) -> "pandas.DataFrame":
    """Return columns of one stage as "mean (least–most)", under other titles.

    Args:
        rows: of a record.
        stage: the rows to take.
        by: the column that names the table's rows.
        titles: of the columns, by their names in the record.
    """
    rows_of_stage = [row for row in rows if row["stage"] == stage]
    return spread(rows_of_stage, [by], list(titles)).rename(columns=titles)
