"""The paper's figures as tables, and the course of unlearning, from what is recorded."""

from collections.abc import Iterable

from dlp_lib.experiments.record import read

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
from .paper_tables import ALL_STAGES, USUAL_GAMMA, dlp_rows, has_usual_rates


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


def figure_4() -> str:
    """BadNets after the last of some stages; each is the last or an earlier one of a run."""
    rows = [row for row in dlp_rows(attack="BadNets") if has_usual_rates(row)]
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
