"""What one run of DLP comes to, as a flat row of a table."""

from ...defences import DLP
from ...evaluation import after_each, filter_precision, target_recall
from ..scenario import Scenario

SHARES = ("ca", "asr", "ra")


def dlp_row(scene: Scenario, dlp: DLP) -> dict:
    """Run DLP once, and return what it came to.

    Args:
        scene: the tampered set, the truth and the test set.
        dlp: settings.

    Returns:
        CA, ASR, RA and the target class's recall ("target_recall") after each stage ("AU_asr") and
        of the final model ("asr"); the poisoned share of the suspects and the clean share of the
        trusted samples ("suspected", "trusted"); the epoch that unlearning left ("au_stop"); and
        "images", passes with gradient.
    """
    result = dlp.run(scene.untrained(), scene.tampered, scene.context)
    selection = result.selection
    row = filter_precision(selection.suspected, selection.trusted, scene.truth)
    unlearned = result.stages.get("AU")
    row["au_stop"] = unlearned.selected_block if unlearned else None
    row["images"] = result.total("images")
    for stage, metrics in after_each(result, scene.test, scene.attack).items():
        shares = {name: getattr(metrics, name) for name in SHARES}
        shares["target_recall"] = target_recall(metrics, scene.attack)
        for name, share in shares.items():
            row[f"{stage}_{name}"] = share
            row[name] = share  # the last stage's stays
    return row
