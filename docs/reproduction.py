"""Fill the tables of docs/REPRODUCTION.md from what is recorded: python docs/reproduction.py [--check]

Between "<!-- table: NAME -->" and "<!-- end -->" stands what the function of that name says; the rest is prose.
"""

import re
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from dlp_lib.attacks import CIFAR10
from dlp_lib.record import paper, read

PAGE = Path(__file__).parent / "REPRODUCTION.md"
FIVE = tuple(CIFAR10)
KINDS = ("entropy", "loss", "activation clustering", "spectral signatures")


def per_cent(shares: Iterable[float | None]) -> str:
    """Mean and, of several, the least and the most."""
    shares = [100 * share for share in shares if share is not None]
    if not shares:
        return "–"
    mean = f"{statistics.mean(shares):.1f}"
    return mean if len(shares) == 1 else f"{mean} ({min(shares):.1f}–{max(shares):.1f})"


def both(rows: list[dict]) -> str:
    """CA / ASR."""
    return f"{per_cent(row['ca'] for row in rows)} / {per_cent(row['asr'] for row in rows)}" if rows else "–"


def where(rows: list[dict], **values) -> list[dict]:
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figure_1() -> str:
    """CIFAR-10 (JPEG) by epoch."""
    seen = read("cifar10/epochs")
    names = list(dict.fromkeys(row["attack"] for row in seen))

    def cell(name: str, epoch: int) -> str:
        rows = where(seen, attack=name, epoch=epoch)
        return f"{per_cent(row['clean'] for row in rows)} / {per_cent(row['poisoned'] for row in rows)}"

    return markdown(["epoch", *names], ([str(e), *(cell(name, e) for name in names)] for e in (1, 2, 3, 5, 7, 10)))


def figure_1_shapes() -> str:
    seen = read("speed")
    cells = {name: where(seen, attack=name, variant="default") for name in ("BadNets", "SIG")}

    def cell(rows: list[dict]) -> str:
        return f"{per_cent(row['clean'] for row in rows)} / {per_cent(row['poisoned'] for row in rows)}"

    return markdown(
        ["epoch", *cells],
        ([str(e), *(cell(where(rows, epoch=e)) for rows in cells.values())] for e in (1, 2, 3, 5, 10)),
    )


def figure_5() -> str:
    seen = [row for row in read("cifar10/filters") if row["gamma"] == 0.01]
    names = list(dict.fromkeys(row["attack"] for row in seen))
    rows = ([k, *(per_cent(r["suspected"] for r in where(seen, attack=n, filter=k)) for n in names)] for k in KINDS)
    return markdown(["filter", *names], rows)


def figure_5_gamma() -> str:
    """The entropy filter alone, by gamma: suspects poisoned, trusted clean."""
    seen = where(read("cifar10/filters"), filter="entropy")
    names, gammas = (list(dict.fromkeys(row[column] for row in seen)) for column in ("attack", "gamma"))

    def cell(rows: list[dict]) -> str:
        return f"{per_cent(row['suspected'] for row in rows)} / {per_cent(row['trusted'] for row in rows)}"

    return markdown(
        ["gamma", *names],
        ([f"{gamma:.1%}", *(cell(where(seen, attack=name, gamma=gamma)) for name in names)] for gamma in gammas),
    )


def figure_5_shapes() -> str:
    seen = where(read("filters"), when="E1 = 4")
    rows = ([k, *(per_cent(r["suspected"] for r in where(seen, attack=n, filter=k)) for n in FIVE)] for k in KINDS)
    return markdown(["filter", *FIVE], rows)


def unlearning() -> str:
    seen = read("cifar10/unlearning")
    names = list(dict.fromkeys(row["attack"] for row in seen))
    blocks = sorted({row["block"] for row in seen})
    header = ["epoch, batch-norm", *(f"{name} (stop: {where(seen, attack=name)[0]['stop']})" for name in names)]
    rows = (
        [
            f"{block}, {kind}",
            *(both(where(seen, attack=n, block=block, reestimated=kind == "re-estimated")) for n in names),
        ]
        for block in blocks
        for kind in ("as left", "re-estimated")
    )
    return markdown(header, rows)


def table_1() -> str:
    return _stages(
        [row for row in read("cifar10/stages") if row["part"] == row["attack"] or row["part"].endswith("unlearned")],
        ("SL", "AU", "ASSFT"),
    )


def table_1_total() -> str:
    return _stages([row for row in read("cifar10/stages") if row["part"].endswith("in total")], ("SL", "AU", "ASSFT"))


def table_1_shapes() -> str:
    return _stages(read("stages"), ("SL", "AU", "ASSFT", "undefended"))


def _stages(seen: list[dict], stages: Iterable[str]) -> str:
    """An attack a row, a stage a column; what several runs share is counted once."""
    once = {(row["attack"], row["stage"], row["seed"]): row for row in seen}
    names = dict.fromkeys(row["attack"] for row in seen)
    rows = ([name, *(both(where(list(once.values()), attack=name, stage=stage)) for stage in stages)] for name in names)
    return markdown(["attack", *stages], rows)


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
    orders = list(dict.fromkeys(row["order"] for row in seen))
    last = {order: order.rsplit("-", 1)[-1] for order in orders}
    rows = (
        [order, *(both(where(seen, attack=name, order=order, stage=last[order])) for name in ("BadNets", "SIG"))]
        for order in orders
    )
    return markdown(["stages", "BadNets", "SIG"], rows)


def table_5() -> str:
    """BadNets by gamma and by alpha: as many suspects, and so on."""
    seen = [row for row in read("cifar10/stages") if row["attack"] == "BadNets" and row["order"] == "SL-AU-ASSFT"]
    said = {"BadNets": "gamma 1 %, alpha 10 %", "BadNets, quota in total": "the same, quota in total"}
    parts = dict.fromkeys(row["part"] for row in seen)

    def cells(part: str) -> list[str]:
        rows = where(seen, part=part)
        counts = [
            f"{rows[0]['trusted_images']:,}",
            *(per_cent(r[c] for r in rows[:1]) for c in ("suspected", "trusted")),
        ]
        return [said.get(part, part.removeprefix("BadNets, ")), *counts, *(both(where(rows, stage=s)) for s in STAGES)]

    header = ["setting", "trusted images", "suspects poisoned", "trusted clean", *STAGES]
    return markdown(header, map(cells, parts))


STAGES = ("SL", "AU", "ASSFT")


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
    function.__name__: function
    for function in (
        figure_1, figure_1_shapes, figure_4, figure_4_shapes, figure_5, figure_5_gamma, figure_5_shapes, unlearning,
        table_1, table_1_total, table_1_shapes, table_3, table_5, table_6, limits,
    )
}  # fmt: skip


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
