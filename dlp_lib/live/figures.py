"""The figures on the live lab's page: images with an alternative text, drawn without pyplot."""

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass

import ipywidgets
from matplotlib.figure import Figure

from . import panels
from .answer import Answer

SIZE = (5.4, 3)  # inches
DPI = 100


def image_html(figure: Figure, text: str) -> str:
    """Return a figure as an HTML image.

    It is drawn without pyplot, which threads must not touch.

    Args:
        figure: to be drawn.
        text: the alternative text.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


@dataclass(frozen=True)
class PanelType:
    """What a panel shows."""

    title: str
    draw: Callable[[Figure, Answer, bool], str]  # one of panels.py
    depends: Callable[[Answer], tuple]  # what the figure depends on
    needs: str  # what must be there before it can be drawn
    is_truth: bool = False  # whether it shows nothing but what no defender can see


def _learning(answer: Answer) -> tuple:
    return answer.scenario, len(answer.gap.get("all", ())), answer.setting.e1


def _filtering(answer: Answer) -> tuple:
    has_selection = answer.selection is not None
    return answer.scenario, answer.setting.e1, answer.setting.gamma, has_selection


def _unlearning(answer: Answer) -> tuple:
    setting = answer.setting
    return *_filtering(answer), setting.lr, setting.e2, len(answer.ascent)


def _stages(answer: Answer) -> tuple:
    return (repr(answer.stages),)


# What the sliders of E1, gamma and E2 move stands first.
PANELS = (
    PanelType("Learning speed", panels.draw_gap, _learning, "one epoch of stage 1"),
    PanelType("Entropy filter", panels.draw_entropy, _filtering, "E1 epochs of stage 1"),
    PanelType("Unlearning", panels.draw_ascent, _unlearning, "one epoch of stage 2"),
    PanelType("After each stage", panels.draw_bars, _stages, "E1 epochs of stage 1", is_truth=True),
    PanelType("Labels of the suspects", panels.draw_labels, _filtering, "E1 epochs of stage 1"),
    PanelType("Suspects and trusted", panels.draw_images, _filtering, "E1 epochs of stage 1"),
)


class Panel:
    """A figure on the page. It is drawn again only when what it shows has changed."""

    def __init__(self, panel_type: PanelType):
        self.title = panel_type.title
        self.box = ipywidgets.HTML()
        self._type = panel_type
        self._shown: tuple | None = None  # what the figure on the page depends on

    def update(self, answer: Answer, truth: bool) -> None:
        """Show an answer, with or without what no defender can see."""
        state = (truth, *self._type.depends(answer))
        if state == self._shown:
            return
        self._shown = state
        figure = Figure(SIZE, layout="constrained")
        text = self._type.draw(figure, answer, truth)
        content = image_html(figure, text) if text else self._placeholder(truth)
        source = "as a defender sees it"
        css = "dlp-panel"
        if truth:
            source = "with the truth"
            css = "dlp-panel dlp-truth"
        self.box.value = f'<div class="{css}"><b>{self.title}</b> ({source})<br>{content}</div>'

    def _placeholder(self, truth: bool) -> str:
        text = f"Appears after {self._type.needs}."
        if self._type.is_truth and not truth:
            text = "No defender sees this: it is measured with the trigger."
        return f'<div class="dlp-empty">{text}</div>'
