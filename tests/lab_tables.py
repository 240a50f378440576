"""What the lab page must say: plain functions of a recorded table and of a setting."""

import math

from dlp_lib.live.sentence import Facts, tell


def row_of(table, kind, **place):
    """The row of a kind at a place, or None."""
    for row in table["rows"]:
        if row["kind"] == kind and all(row[name] == value for name, value in place.items()):
            return row
    return None


def denominators(made):
    """How many images each share is of."""
    return {
        "ca": made["test_images"],
        "asr": made["triggered_images"],
        "ra": made["triggered_images"],
        "target_recall": made["test_images"] - made["triggered_images"],
    }


def stage_shares(table, row, epoch=None):
    """Shares of a row; of an ascent, at an epoch."""
    if row is None:
        return None
    shares = {}
    for name, n in denominators(table["made"]).items():
        count = row[name] if epoch is None else row[name][epoch - 1]
        shares[name] = count / n
    shares["collapsed"] = row["collapsed"] if epoch is None else row["collapsed"][epoch - 1]
    return shares


def stages_of(table, e1, gamma, e2):
    """Shares after each stage, None where nothing is recorded."""
    ascent = row_of(table, "AU", e1=e1, gamma=gamma)
    is_unlearned = 0 < e2 <= len(ascent["ca"])
    return {
        "SL": stage_shares(table, row_of(table, "SL", e1=e1)),
        "AU": stage_shares(table, ascent, e2) if is_unlearned else None,
        "ASSFT": stage_shares(table, row_of(table, "ASSFT", e1=e1, gamma=gamma, e2=e2)),
    }


def facts_of(table, e1, gamma, e2):
    """What the sentence tells of."""
    made = table["made"]
    chosen = row_of(table, "filter", e1=e1, gamma=gamma)
    ascent = row_of(table, "AU", e1=e1, gamma=gamma)
    stages = stages_of(table, e1, gamma, e2)
    most = max(chosen["labels"])
    unlearned = stages["AU"]
    if unlearned is not None:
        right = ascent["accuracy_reestimated"][e2 - 1]
        unlearned["accuracy_reestimated"] = right / chosen["suspected"]
    return Facts(
        suspects=chosen["suspected"],
        label=made["classes"][chosen["labels"].index(most)],
        label_share=most / chosen["suspected"],
        chance=1 / len(made["classes"]),
        e2=e2,
        poisoned=chosen["suspected_poisoned"] / chosen["suspected"],
        clean=chosen["trusted_clean"] / chosen["trusted"],
        learned=stages["SL"],
        unlearned=unlearned,
        tuned=stages["ASSFT"],
    )


def expected_sentence(table, e1, gamma, e2, truth):
    return tell(facts_of(table, e1, gamma, e2), truth)


def expected_curves(table, e1, gamma, truth):
    """The curves of three figures as shares, by the figure and by the curve's style."""
    made = table["made"]
    n = made["training_images"]
    n_poisoned = made["poisoned_images"]
    learned = row_of(table, "curves")
    chosen = row_of(table, "filter", e1=e1, gamma=gamma)
    ascent = row_of(table, "AU", e1=e1, gamma=gamma)
    unlearning = {
        "left": divided(ascent["accuracy"], chosen["suspected"]),
        "reestimated": divided(ascent["accuracy_reestimated"], chosen["suspected"]),
    }
    if not truth:
        return {"gap": {"neutral": divided(learned["all"], n)}, "ascent": unlearning}
    filters = [row for row in table["rows"] if row["kind"] == "filter" and row["e1"] == e1]
    return {
        "gap": {
            "clean": divided(learned["clean"], n - n_poisoned),
            "poisoned": divided(learned["poisoned"], n_poisoned),
        },
        "precision": {
            "clean": [row["trusted_clean"] / row["trusted"] for row in filters],
            "poisoned": [row["suspected_poisoned"] / row["suspected"] for row in filters],
        },
        "ascent": {
            **unlearning,
            "clean": divided(ascent["ca"], made["test_images"]),
            "poisoned": divided(ascent["asr"], made["triggered_images"]),
        },
    }


def divided(counts, n):
    return [count / n for count in counts]


def expected_bars(table, e1, gamma, e2):
    """The bars' shares from left to right."""
    shares = []
    for stage in stages_of(table, e1, gamma, e2).values():
        if stage is not None:
            shares += [stage[name] for name in ("ca", "asr", "ra", "target_recall")]
    return shares


def expected_bins(table, e1, truth):
    """The heights of the histogram's bars; the scale is linear up to 10, then logarithmic."""
    learned = row_of(table, "SL", e1=e1)
    heights = []
    for clean, poisoned in zip(learned["clean"], learned["poisoned"], strict=True):
        counts = (clean, poisoned) if truth else (clean + poisoned,)
        heights += [symlog(count) for count in counts]
    return heights


def symlog(count):
    return count / 10 if count <= 10 else math.log10(count)


def expected_segments(table, e1, gamma, truth):
    """The parts of the bars of the suspects by label, those of the poisoned first."""
    chosen = row_of(table, "filter", e1=e1, gamma=gamma)
    parts = []
    for label, count in enumerate(chosen["labels"]):
        is_target = truth and label == table["made"]["target"]
        poisoned = chosen["suspected_poisoned"] if is_target else 0
        parts += [poisoned, count - poisoned]
    return [part for part in parts if part]


def expected_texts(table, e1, gamma, e2, truth):
    """Parts that the alternative texts of the figures must hold."""
    made = table["made"]
    chosen = row_of(table, "filter", e1=e1, gamma=gamma)
    curves = expected_curves(table, e1, gamma, truth)
    texts = {
        "gap": [f"At E1 = {e1}:"],
        "entropy": [
            f"The {chosen['suspected']} suspects end at {chosen['suspects_end']:.2f} bits",
            f"{chosen['trusted']} trusted samples begin at {chosen['trusted_begin']:.2f} bits",
        ],
        "labels": [f"Labels of the {chosen['suspected']} suspects:"],
        "ascent": [f"E2 = {e2}: "],
    }
    texts["gap"] += [f" {curve[e1 - 1]:.1%}" for curve in curves["gap"].values()]
    for name, count in zip(made["classes"], chosen["labels"], strict=True):
        texts["labels"] += [f"{name} {count}"] if count else []
    if e2:
        texts["ascent"] += [f" {curve[e2 - 1]:.1%}" for curve in curves["ascent"].values()]
    if truth:
        suspected = chosen["suspected_poisoned"] / chosen["suspected"]
        trusted = chosen["trusted_clean"] / chosen["trusted"]
        texts["precision"] = [f"At gamma {gamma:.1%}:", f"({suspected:.1%})", f"({trusted:.1%})"]
        texts["stages"] = [f" {share:.1%}" for share in expected_bars(table, e1, gamma, e2)]
    return texts
