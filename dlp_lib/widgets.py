"""The live lab's view: sliders that the whole defence answers to. What is known and how it is found is in lab.py."""

import asyncio
import base64
import html
import io
import time
from collections.abc import Callable
from dataclasses import asdict, replace

import ipywidgets as w
from matplotlib.figure import Figure

from . import attacks, panels, plots
from .background import Newest
from .lab import Answer, Lab, Setting

GAMMAS = (0.002, 0.003, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)
RATES = (0.005, 0.01, 0.02, 0.05, 0.08, 0.09, 0.1, 0.2, 0.3)
LEARNING_RATES = (0.001, 0.002, 0.005, 0.01, 0.02)
STYLE = f"""<style>
.dlp-live {{color: var(--jp-ui-font-color1, inherit)}}
.dlp-live img {{width: 100%; background: white; border-radius: 4px}}
.dlp-panel {{border: 2px solid {plots.NEUTRAL}; border-radius: 6px; padding: 4px; margin: 4px; width: 390px}}
.dlp-truth {{border: 2px dashed {plots.POISONED}}}
.dlp-sentence {{font-size: 115%; margin: 6px 4px; min-height: 3em; line-height: 1.4}}
.dlp-error {{border: 2px solid #B00020; padding: 6px; margin: 4px; white-space: pre-wrap}}
</style>"""


class Panel:
    """A figure on the page, drawn anew only when what it shows has changed."""

    def __init__(self, title: str, draw: Callable[[Figure, Answer, bool], str], depends: Callable[[Answer], tuple]):
        self.title, self._draw, self._depends, self._shown = title, draw, depends, None
        self.box = w.HTML()

    def update(self, answer: Answer, truth: bool) -> None:
        state = truth, *self._depends(answer)
        if state == self._shown:
            return
        self._shown, figure = state, Figure((5.4, 3), layout="constrained")
        said = self._draw(figure, answer, truth)
        image = f'<img alt="{html.escape(said)}" src="{png(figure)}">' if said else "…"
        mark = "with the truth" if truth else "as a defender sees it"
        kind = "dlp-panel dlp-truth" if truth else "dlp-panel"
        self.box.value = f'<div class="{kind}"><b>{self.title}</b> ({mark})<br>{image}</div>'


def png(figure: Figure) -> str:
    """A figure as a data URL, drawn without pyplot, which threads must not touch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def explore(draw: Callable[..., tuple[Figure, str]], **controls: w.Widget) -> w.VBox:
    """Controls above a figure, and what is said of it, that ``draw`` makes anew of their values, given by name.

    Like ipywidgets.interact, but for its Output widget, with which headless runs sometimes hang (nbclient, #312).
    """
    picture = w.HTML()

    def redraw(*_) -> None:
        figure, said = draw(**{name: control.value for name, control in controls.items()})
        picture.value = f'<img alt="{html.escape(said)}" src="{png(figure)}"><p>{html.escape(said)}</p>'

    for name, control in controls.items():
        control.description = control.description or name
        control.observe(redraw, "value")
    redraw()
    return w.VBox([*controls.values(), picture])


class Live:
    """The page. ``page`` is the widget to display; ``setting()`` what its controls say."""

    def __init__(self, lab: Lab, setting: Setting = Setting()):  # noqa: B008
        self.lab, self._start, self._pinned = lab, setting, None
        self._asked = self._running = None
        self._jobs = Newest(lambda error: self._later(lambda: self._fail(error)))
        self._later, self._drawn, self._waiting = _on_the_loop(), 0.0, False
        slider = {"continuous_update": True, "style": {"description_width": "110px"}, "layout": {"width": "400px"}}
        self.controls: dict[str, w.Widget] = {
            "dataset": w.Combobox(options=["shapes10", "cifar10"], description="data set", continuous_update=False),
            "attack": w.Dropdown(options=list(attacks.SHAPES10), description="attack"),
            "poisoning_rate": w.SelectionSlider(options=_per_cent(RATES), description="poisoning rate", **slider),
            "e1": w.IntSlider(min=1, max=lab.epochs, description="E1 (epochs)", **slider),
            "gamma": w.SelectionSlider(options=_per_cent(GAMMAS), description="gamma", **slider),
            "e2": w.IntSlider(min=0, max=lab.epochs, description="E2 (epochs)", **slider),
            "lr": w.SelectionSlider(options=LEARNING_RATES, description="unlearning lr", **slider),
            "seed": w.BoundedIntText(min=0, max=999, description="seed"),
        }
        self.truth = w.Checkbox(value=True, description="show what only the teacher knows", indent=False)
        self.buttons = {
            name: w.Button(description=name) for name in ("fine-tune", "cancel", "reset", "compare", "copy")
        }
        self.progress = w.FloatProgress(min=0, max=1, layout={"width": "200px"})
        self.status, self.sentence, self.error, self.compared = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.code = w.Textarea(layout={"width": "98%", "height": "90px", "display": "none"})
        self.panels = [
            Panel("Learning speed", panels.draw_gap, lambda a: (a.scene, len(a.gap.get("all", ())), a.setting.e1)),
            Panel("Entropy filter", panels.draw_entropy, _filtered),
            Panel("Labels of the suspects", panels.draw_labels, _filtered),
            Panel(
                "Unlearning", panels.draw_ascent, lambda a: (*_filtered(a), a.setting.lr, a.setting.e2, len(a.ascent))
            ),
            Panel("Suspects and trusted", panels.draw_images, _filtered),
            Panel("After each stage", panels.draw_bars, lambda a: (repr(a.stages),)),
        ]
        self._set(setting)
        for control in (*self.controls.values(), self.truth):
            control.observe(self._guarded(lambda _: self.changed()), "value")
        actions = (self.finetune, self.cancel, self.reset, self.compare, self.copy)
        for button, action in zip(self.buttons.values(), actions, strict=True):
            button.on_click(self._guarded(lambda _, action=action: action()))
        wrap = w.Layout(flex_flow="row wrap")
        self.page = w.VBox([
            w.HTML(STYLE), w.Box([*self.controls.values(), self.truth], layout=wrap),
            w.Box([*self.buttons.values(), self.progress, self.status], layout=wrap), self.error, self.sentence,
            self.compared, w.Box([panel.box for panel in self.panels], layout=wrap), self.code,
        ])  # fmt: skip
        self.page.add_class("dlp-live")
        self.changed()

    def setting(self) -> Setting:
        """What the controls say; ValueError for what they cannot."""
        return Setting(**{name: control.value for name, control in self.controls.items()})

    def changed(self) -> None:
        """Answer a control: at once with what is known, and the rest as it comes."""
        self.error.value, setting = "", self.setting()
        self.refresh()
        if replace(setting, e2=0) != self._asked:  # E2 only points into the ascent
            self._asked = replace(setting, e2=0)
            self._start_job("working …", lambda check, _: self.lab.work(setting, check, self._tell))

    def refresh(self) -> None:
        """Bring figures and words up to date; what has not changed is not drawn."""
        self._waiting, answer = False, self.lab.look(self.setting())
        for panel in self.panels:
            panel.update(answer, self.truth.value)
        said = html.escape(panels.sentence(answer, self.truth.value))
        self.sentence.value = f'<div class="dlp-sentence" aria-live="polite">{said}</div>'
        pinned = self._pinned if self.truth.value else None
        self.compared.value = panels.table(self.lab.look(pinned), answer) if pinned else ""

    def wait(self) -> None:
        """Until everything that was asked for is there, for a notebook that runs without a reader."""
        self._jobs.wait()

    def finetune(self) -> None:
        """Stage 3 from here; the bar shows how far it is, and the clean accuracy so far."""
        setting, self._asked = self.setting(), None

        def job(check: Callable[[], None], say: Callable[[float, str], None]) -> None:
            self.lab.finetune(setting, check, lambda k, blocks, ca: say(k / blocks, f"fine-tuning, CA {ca:.0%}"))

        self._start_job("fine-tuning …", job)

    def cancel(self) -> None:
        self._asked = self._running = None
        self._jobs.submit(None)
        self._advance(0, "cancelled; what is recorded stays")

    def reset(self) -> None:
        self._set(self._start)
        self.changed()

    def compare(self) -> None:
        """Keep this setting's figures beside those to come, or no longer."""
        self._pinned = None if self._pinned else self.setting()
        self.refresh()

    def copy(self) -> None:
        """The setting as Python and as a command, to be copied; or no longer."""
        self.code.value = f"{self.setting().code()}\n\n{self.setting().command()}"
        self.code.layout.display = "none" if self.code.layout.display != "none" else ""

    def _start_job(self, status: str, job: Callable[[Callable, Callable], None]) -> None:
        token = self._running = object()

        def say(share: float, status: str) -> None:
            self._later(lambda: self._advance(share, status) if self._running is token else None)

        def run(check: Callable[[], None]) -> None:
            job(check, say)
            self._later(self._guarded(self.refresh))
            say(0, "ready")

        self._advance(0, status)
        self._jobs.submit(run)

    def _tell(self) -> None:
        """Called by the worker after every epoch: one refresh at most waits its turn."""
        if not self._waiting and time.monotonic() - self._drawn > 0.5:
            self._waiting, self._drawn = True, time.monotonic()
            self._later(self._guarded(self.refresh))

    def _advance(self, share: float, status: str) -> None:
        self.progress.value, self.status.value = share, status

    def _set(self, setting: Setting) -> None:
        self._quiet = True
        for name, value in asdict(setting).items():
            self.controls[name].value = value
        self._quiet = False

    def _guarded(self, action: Callable) -> Callable:
        """The action, its errors shown on the page."""

        def run(*arguments) -> None:
            try:
                if not self._quiet:
                    action(*arguments)
            except Exception as error:  # whatever it is, the user must see it
                self._fail(error)

        return run

    def _fail(self, error: Exception) -> None:
        said, self._asked = html.escape(f"{type(error).__name__}: {error}"), None
        self.error.value = f'<div class="dlp-error" role="alert">{said}</div>'
        self._advance(0, "stopped")


def _filtered(answer: Answer) -> tuple:
    return answer.scene, answer.setting.e1, answer.setting.gamma, answer.selection is not None


def _per_cent(values: tuple[float, ...]) -> list[tuple[str, float]]:
    return [(f"{value:.1%}", value) for value in values]


def _on_the_loop() -> Callable[[Callable[[], None]], object]:
    """How a thread hands work to the page: through the kernel's event loop, or directly where there is none."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        return lambda function: function()
