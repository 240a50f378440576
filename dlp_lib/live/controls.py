"""The live lab's controls: a widget for every field of LabSetting, and their values."""

import ipywidgets

from ..data import DATASETS
from .setting import LabSetting

GAMMAS = (0.002, 0.003, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)
RATES = (0.005, 0.01, 0.02, 0.05, 0.08, 0.09, 0.1, 0.2, 0.3)  # of poisoning
LEARNING_RATES = (0.001, 0.002, 0.005, 0.01, 0.02)  # of unlearning

SLIDERS = ("e1", "gamma", "e2", "lr")  # DLP's settings; the others are of data and attack
LOOK = {"style": {"description_width": "96px"}, "layout": {"width": "auto"}}
SLIDER = {"continuous_update": True, **LOOK}


def make_controls(start: LabSetting, epochs: int) -> dict[str, ipywidgets.Widget]:
    """Return a widget for every field of LabSetting, by the field's name.

    Args:
        start: the values to begin with; its rates become positions of the sliders.
        epochs: the longest E1 and E2.
    """
    controls = {
        "dataset": ipywidgets.Combobox(
            options=list(DATASETS), description="data set", continuous_update=False, **LOOK
        ),
        "attack": ipywidgets.Dropdown(
            options=list(start.recipe.attacks), description="attack", **LOOK
        ),
        "poisoning_rate": ipywidgets.SelectionSlider(
            options=_percentages({*RATES, start.poisoning_rate}),
            description="poisoning rate",
            **SLIDER,
        ),
        "e1": ipywidgets.IntSlider(min=1, max=epochs, description="E1 (epochs)", **SLIDER),
        "gamma": ipywidgets.SelectionSlider(
            options=_percentages({*GAMMAS, start.gamma}), description="gamma", **SLIDER
        ),
        "e2": ipywidgets.IntSlider(min=0, max=epochs, description="E2 (epochs)", **SLIDER),
        "lr": ipywidgets.SelectionSlider(
            options=sorted({*LEARNING_RATES, start.lr}), description="unlearning lr", **SLIDER
        ),
        "seed": ipywidgets.BoundedIntText(min=0, max=999, description="seed", **LOOK),
    }
    set_controls(controls, start)
    return controls


def set_controls(controls: dict[str, ipywidgets.Widget], setting: LabSetting) -> None:
    """Move the controls to a setting."""
    for name, control in controls.items():
        control.value = getattr(setting, name)


def read_controls(controls: dict[str, ipywidgets.Widget]) -> LabSetting:
    """Return what the controls say.

    Raises:
        ValueError: as LabSetting does.
    """
    return LabSetting(**{name: control.value for name, control in controls.items()})


def _percentages(values: set[float]) -> list[tuple[str, float]]:
    return [(f"{value:.1%}", value) for value in sorted(values)]
