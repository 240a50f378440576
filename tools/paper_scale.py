"""What came of the paper's experiments at the paper's scale: figures and tables."""

from collections.abc import Iterable

from dlp_lib.experiments.record import paper, per_cent, read
from dlp_lib.recipes import PAPER_ATTACKS

from .markdown_tables import ca_and_asr, cell, grid, markdown, values_of, where

RECORD = "cifar10-h100"
E2 = 20  # the paper's epochs of unlearning
STEPS_A_BLOCK = 200  # of FixMatch
TENTH = 5  # of its blocks


def stage_rows(stage: str, attacked: bool = True) -> list[dict]:
    """Return the rows after a stage, one an attack.

    Args:
        stage: "SL", "AU" or "ASSFT".
        attacked: False: the run without an attack is among them.
    """
    rows = where(read(f"{RECORD}/stages"), stage=stage)
    return [row for row in rows if row["attack"] != "none" or not attacked]


def shares_after(stage: str, column: str, attacked: bool = True) -> dict[str, float]:
    """Return a column after a stage, by attack."""
    return {row["attack"]: row[column] for row in stage_rows(stage, attacked)}


def in_order(attacks: Iterable[str]) -> list[str]:
    """Return attacks in the paper's order, and "none" last."""
    return [attack for attack in (*PAPER_ATTACKS, "none") if attack in attacks]


def span(shares: list[float]) -> str:
    """Return "least to most" in per cent, or one figure where they are the same."""
    least = f"{100 * min(shares):.1f}"
    most = f"{100 * max(shares):.1f}"
    return least if least == most else f"{least} to {most}"


def ca_sl() -> str:
    """CA after SL; this and what follows are figures for a sentence, in per cent."""
    return span(list(shares_after("SL", "ca").values()))


def asr_sl() -> str:
    return span(list(shares_after("SL", "asr").values()))


def ca_assft() -> str:
    return span(list(shares_after("ASSFT", "ca", attacked=False).values()))


def asr_assft() -> str:
    return span(list(shares_after("ASSFT", "asr").values()))


def ca_below_paper() -> str:
    """How many points CA after ASSFT is under the paper's DLP."""
    theirs = paper("table 3")["DLP"]
    gaps = []
    for attack, ca in shares_after("ASSFT", "ca", attacked=False).items():
        gaps.append(theirs["no attack" if attack == "none" else attack][0] - ca)
    return span(gaps)


def sig_ra() -> str:
    return span([shares_after("ASSFT", "ra")["SIG"]])


def other_ra() -> str:
    """RA after ASSFT under the attacks other than SIG."""
    shares = shares_after("ASSFT", "ra")
    return span([share for attack, share in shares.items() if attack != "SIG"])


def sig_asr_reduced() -> str:
    """SIG's ASR after ASSFT, of a fifth of the images."""
    rows = where(read("cifar10/stages"), part="SIG", stage="ASSFT")
    return cell(rows, "asr")


def sig_asr_au() -> str:
    return span([shares_after("AU", "asr")["SIG"]])


def stops() -> str:
    """At which epochs unlearning ended."""
    epochs = sorted({row["au_stop"] for row in stage_rows("AU", attacked=False)})
    return " or ".join(map(str, epochs))


def ca_left_by_au() -> str:
    """CA after AU, as a share of CA after SL."""
    before = shares_after("SL", "ca", attacked=False)
    after = shares_after("AU", "ca", attacked=False)
    return span([after[attack] / before[attack] for attack in after])


def ca_after_all_of_e2() -> str:
    rows = where(read(f"{RECORD}/unlearning"), block=E2, reestimated=True)
    return span([row["ca"] for row in rows])


def _confident() -> dict[str, list[float]]:
    """Return the share of pseudo-labels that counted, block by block, by attack."""
    rows = where(read(f"{RECORD}/history"), stage="ASSFT")
    by_attack: dict[str, list[float]] = {}
    for row in rows:
        by_attack.setdefault(row["attack"], []).append(row["confident"])
    return by_attack


def confident_at_end() -> str:
    return span([shares[-1] for shares in _confident().values()])


def _rise(shares: list[float]) -> float:
    """Return by how much the mean share of the last tenth is above that of the tenth before."""
    return (sum(shares[-TENTH:]) - sum(shares[-2 * TENTH : -TENTH])) / TENTH


def confident_rise() -> str:
    return span([_rise(shares) for shares in _confident().values()])


def stages() -> str:
    """An attack a row: CA / ASR after each stage, and RA after the last."""
    every = read(f"{RECORD}/stages")
    recorded = values_of(every, "attack")
    unlearned = where(read(f"{RECORD}/unlearning"), block=E2, reestimated=True)
    theirs = paper("table 3")["DLP"]
    lines = []
    for attack in in_order(recorded):
        after = {stage: where(every, attack=attack, stage=stage) for stage in ("SL", "AU", "ASSFT")}
        figures = [ca_and_asr(after["SL"]), ca_and_asr(after["AU"])]
        figures.append(str(after["AU"][0]["au_stop"]))
        figures.append(ca_and_asr(where(unlearned, attack=attack)))
        figures += [ca_and_asr(after["ASSFT"]), cell(after["ASSFT"], "ra")]
        shares = theirs["no attack" if attack == "none" else attack]
        figures.append(" / ".join(per_cent([share]) for share in shares))
        lines.append([attack, *figures])
    header = ["attack", "SL", "AU", "epoch of the stop", "all of E2", "ASSFT", "RA", "paper"]
    return markdown(header, lines)


def pseudo_labels() -> str:
    """The share of pseudo-labels that counted, by step."""
    shares = _confident()
    blocks = {}
    for block in (1, 10, 20, 30, 40, 45, 50):
        blocks[block] = f"{block * STEPS_A_BLOCK:,}"

    def content(block: int, attack: str) -> str:
        return per_cent([shares[attack][block - 1]])

    return grid("step", blocks, in_order(shares), content)
