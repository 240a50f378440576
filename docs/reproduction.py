"""Fill the tables of docs/REPRODUCTION.md from what is recorded: python docs/reproduction.py [--check]

Between "<!-- table: NAME -->" and "<!-- end -->" stands what the function of that name says; the rest is prose.
"""

import re
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dlp_lib.attacks import CIFAR10
from dlp_lib.record import paper, read

PAGE = Path(__file__).parent / "REPRODUCTION.md"
FIVE = tuple(CIFAR10)
STAGES = ("SL", "AU", "ASSFT")
PURITY = ("suspected", "trusted")


def per_cent(shares: Iterable[float | None]) -> str:
    """Mean and, of several, the least and the most."""
    shares = [100 * share for share in shares if share is not None]
    if not shares:
        return "–"
    mean = f"{statistics.mean(shares):.1f}"
    return mean if len(shares) == 1 else f"{mean} ({min(shares):.1f}–{max(shares):.1f})"


def where(rows: list[dict], **values) -> list[dict]:
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def pairs(rows: list[dict], first: str, second: str) -> str:
    return f"{per_cent(row[first] for row in rows)} / {per_cent(row[second] for row in rows)}"


def both(rows: list[dict]) -> str:
    """CA / ASR."""
    return pairs(rows, "ca", "asr") if rows else "–"


def grid(corner: str, down: dict, across: Iterable, cell: Callable[[Any, Any], str]) -> str:
    """A table of cells; ``down`` gives every row's value its name."""
    return markdown([corner, *map(str, across)], ([name, *(cell(d, a) for a in across)] for d, name in down.items()))


def seen_in(rows: list[dict], column: str) -> list:
    return list(dict.fromkeys(row[column] for row in rows))


def _learned(seen: list[dict], epochs: Iterable[int]) -> str:
    def cell(epoch: int, name: str) -> str:
        return pairs(where(seen, attack=name, epoch=epoch), "clean", "poisoned")

    return grid("epoch", {epoch: str(epoch) for epoch in epochs}, seen_in(seen, "attack"), cell)


def figure_1() -> str:
    return _learned(read("cifar10/epochs"), (1, 2, 3, 5, 7, 10))


def figure_1_shapes() -> str:
    return _learned(where(read("speed"), variant="default"), (1, 2, 3, 5, 10))


def _filtered(seen: list[dict]) -> str:
    def cell(kind: str, name: str) -> str:
        return per_cent(row["suspected"] for row in where(seen, attack=name, filter=kind))

    return grid("filter", {kind: kind for kind in seen_in(seen, "filter")}, seen_in(seen, "attack"), cell)


def figure_5() -> str:
    return _filtered(where(read("cifar10/filters"), gamma=0.01))


def figure_5_shapes() -> str:
    return _filtered(where(read("filters"), when="E1 = 4"))


def figure_5_agreed() -> str:
    return _filtered(where(read("filters"), when="agreed E1"))


def figure_5_gamma() -> str:
    seen = where(read("cifar10/filters"), filter="entropy")
    gammas = {gamma: f"{100 * gamma:g} %" for gamma in seen_in(seen, "gamma")}

    def cell(gamma: float, name: str) -> str:
        return pairs(where(seen, attack=name, gamma=gamma), "suspected", "trusted")

    return grid("gamma", gammas, seen_in(seen, "attack"), cell)


def unlearning() -> str:
    """At fixed epochs, and where the stop is."""
    seen = read("cifar10/unlearning")
    stops = [row | {"block": "stop"} for row in seen if row["block"] == row["stop"]]
    rows = seen + stops
    down = {
        (block, again): f"{block}, {'re-estimated' if again else 'as left'}"
        for block in (1, 2, 3, 5, "stop", 10, 20)
        for again in (False, True)
    }

    def cell(when: tuple[int | str, bool], name: str) -> str:
        return both(where(rows, attack=name, block=when[0], reestimated=when[1]))

    names = seen_in(seen, "attack")
    ends = [" and ".join(map(str, seen_in(where(seen, attack=name), "stop"))) for name in names]
    table = grid("epoch", down, names, cell)
    return table + "\n" + "| " + " | ".join(["epoch of the stop", *ends]) + " |"


def table_1() -> str:
    whole = [
        row
        for row in read("cifar10/stages")
        if row["part"] in (row["attack"], f"{row['attack']}, learned and unlearned")
    ]
    return _stages(whole, STAGES)


def table_1_total() -> str:
    return _stages([row for row in read("cifar10/stages") if row["part"].endswith(", quota in total")], STAGES)


def table_1_shapes() -> str:
    return _stages(read("stages"), (*STAGES, "undefended"))


def _stages(seen: list[dict], stages: Iterable[str]) -> str:
    """An attack a row, a stage a column; what several runs share is counted once."""
    once = list({(row["attack"], row["stage"], row["seed"]): row for row in seen}.values())
    names = {name: name for name in seen_in(once, "attack")}
    return grid("attack", names, stages, lambda name, stage: both(where(once, attack=name, stage=stage)))


def figure_4() -> str:
    seen = read("cifar10/stages")
    parts = {
        "SL": ("BadNets", "SL"),
        "SL-AU": ("BadNets", "AU"),
        "SL-ASSFT": ("BadNets, fine-tuned before unlearning", "ASSFT"),
        "SL-ASSFT-AU": ("BadNets, fine-tuned before unlearning", "AU"),
        "SL-AU-ASSFT": ("BadNets", "ASSFT"),
    }
    return markdown(
        ["stages", "BadNets"], ([order, both(where(seen, part=p, stage=s))] for order, (p, s) in parts.items())
    )


def figure_4_shapes() -> str:
    seen = read("orders")
    orders = {order: order for order in seen_in(seen, "order")}

    def cell(order: str, name: str) -> str:
        return both(where(seen, attack=name, order=order, stage=order.rsplit("-", 1)[-1]))

    return grid("stages", orders, seen_in(seen, "attack"), cell)


def table_5() -> str:
    """BadNets by gamma and by alpha."""
    seen = [
        row
        for row in where(read("cifar10/stages"), attack="BadNets", order="SL-AU-ASSFT", architecture="WRN-16-1")
        if row["part"] == "BadNets" or "alpha" in row["part"] or "gamma" in row["part"]
    ]

    def cells(part: str) -> list[str]:
        rows = where(seen, part=part)
        after = where(rows, stage="SL")
        asked = " (half of every class)" if after[0]["cut"] else ""
        counts = [f"{after[0]['trusted_images']:,}{asked}", *(per_cent(row[c] for row in after) for c in PURITY)]
        name = "gamma 1 %, alpha 10 %" if part == "BadNets" else shares(part.removeprefix("BadNets, "))
        return [name, *counts, *(both(where(rows, stage=stage)) for stage in STAGES)]

    return markdown(
        ["setting", "trusted images", "suspects poisoned", "trusted clean", *STAGES], map(cells, seen_in(seen, "part"))
    )


def shares(text: str) -> str:
    """ "gamma 0.1" as "gamma 10 %"."""
    name, value = text.split(" ")
    return f"{name} {100 * float(value):g} %"


def table_3() -> str:
    """Paper | shapes10."""
    theirs, ours = paper("table 3"), read("baselines")
    names = {"none": "no attack"} | {name: name for name in FIVE}

    def cell(defence: str, name: str) -> str:
        figures = theirs.get(defence, {}).get(names[name])
        quoted = " / ".join(f"{100 * share:.1f}" for share in figures) if figures else "–"
        return f"{quoted}; {both(where(ours, attack=name, defence=defence))}"

    defences = dict.fromkeys(row["defence"] for row in ours)
    return markdown(["defence", *names.values()], ([d, *(cell(d, name) for name in names)] for d in defences))


def table_6() -> str:
    theirs, ours = paper("table 6"), read("architectures")

    def quoted(architecture: str) -> str:
        figures = theirs.get(architecture, {}).get("BadNets") or paper("table 3")["DLP"]["BadNets"]
        return " / ".join(f"{100 * share:.1f}" for share in figures)

    kinds = dict.fromkeys(row["architecture"] for row in ours)
    rows = (
        [k, quoted(k), *(both(where(ours, architecture=k, stage=s)) for s in ("SL", "ASSFT", "undefended"))]
        for k in kinds
    )
    return markdown(["architecture", "paper", "SL", "ASSFT", "undefended"], rows)


def limits() -> str:
    seen = read("limits")
    cases = dict.fromkeys(row["case"] for row in seen)

    def cells(case: str) -> list[str]:
        rows = where(seen, case=case)
        purity = per_cent(row["suspected"] for row in where(rows, stage="SL"))
        return [case, purity, *(both(where(rows, stage=stage)) for stage in ("AU", "ASSFT", "undefended"))]

    return markdown(["case", "suspects poisoned", "AU", "ASSFT", "undefended"], map(cells, cases))


TABLES: dict[str, Callable[[], str]] = {
    name: function
    for name, function in globals().items()
    if name.startswith(("figure_", "table_")) or name in ("unlearning", "limits")
}


def filled(text: str) -> str:
    """The page with its tables; KeyError for one that nothing knows."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        sys.exit(
            f"{PAGE.name} does not say what is recorded: run docs/reproduction.py" if filled(text) != text else None
        )
    PAGE.write_text(filled(text), encoding="utf-8")


if __name__ == "__main__":
    main()
