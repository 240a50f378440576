"""DLP along its settings: the paper's Table 5, and the lengths of its first two stages."""

from collections.abc import Iterator
from dataclasses import replace

from ..scenario import Scenario
from ..trials.row import dlp_row

ALPHAS = (0.01, 0.05, 0.1, 0.5)  # poisoning rates
GAMMAS = (0.002, 0.02, 0.1)  # filtering rates
E1S = (2, 4, 8)  # epochs of supervised learning
E2S = (0, 5, 20)  # epochs of unlearning


def measure_alpha_gamma(base: Scenario) -> Iterator[dict]:
    """Table 5: DLP against BadNets at several poisoning and filtering rates, with one fixed E1.

    The other settings are the recipe's.
    """
    for alpha in ALPHAS:
        scene = base.attacked_by("BadNets", alpha)
        for gamma in GAMMAS:
            dlp = replace(base.recipe.dlp, gamma=gamma)
            yield {"poisoning_rate": alpha, "gamma": gamma, **dlp_row(scene, dlp)}


def measure_lengths(base: Scenario) -> Iterator[dict]:
    """DLP against BadNets with several E1 and E2; the ascent lasts E2 epochs, without a stop.

    The other settings are the recipe's.
    """
    scene = base.attacked_by("BadNets")
    unlearn = replace(base.recipe.dlp.unlearn, stop=False)
    for e1 in E1S:
        for e2 in E2S:
            dlp = replace(base.recipe.dlp, e1=e1, e2=e2, unlearn=unlearn)
            yield {"e1": e1, "e2": e2, **dlp_row(scene, dlp)}
