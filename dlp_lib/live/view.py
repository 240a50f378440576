"""The live lab's view: controls to which all figures answer, and what they show."""

import html
import time
from collections.abc import Callable
from dataclasses import replace

import ipywidgets
from matplotlib.figure import Figure

from . import words
from .background import Check, LatestJob, loop_caller
from .controller import Lab, LabSetting
from .controls import make_controls, read_controls, set_controls
from .figures import PANELS, STYLE, Panel, image_html

PAUSE = 0.5  # seconds between two refreshes while a job runs, at least
Say = Callable[[float, str], None]  # how far a job is, a share, and what it does


def explore(
    draw: Callable[..., tuple[Figure, str]], **controls: ipywidgets.Widget
) -> ipywidgets.VBox:
    """Put controls above a figure that is drawn again when one of them moves.

    ``ipywidgets.interact`` does that with an Output widget, with which runs without a page
    sometimes hang (nbclient, #312).

    Args:
        draw: takes the controls' values by name; returns a figure, and what it shows in words.
        controls: by name, which is also the description of those that have none.
    """
    picture = ipywidgets.HTML()

    def redraw(*_) -> None:
        values = {name: control.value for name, control in controls.items()}
        figure, text = draw(**values)
        picture.value = f"{image_html(figure, text)}<p>{html.escape(text)}</p>"

    for name, control in controls.items():
        control.description = control.description or name
        control.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([*controls.values(), picture])


class Live:
    """The live lab as a page. ``page`` is the widget to display."""

    def __init__(self, lab: Lab, start: LabSetting | None = None):
        """Make the page, and begin with its first setting.

        Args:
            lab: finds what is shown.
            start: to which *reset* returns; None: the lab's recommended one.
        """
        self.lab = lab
        self._start = lab.recommended() if start is None else start
        self._pinned: LabSetting | None = None  # beside which the others are shown
        self._asked: LabSetting | None = None  # for which the newest job works, without E2
        self._running: object | None = None  # stands for the newest job
        self._is_resetting = False
        self._refresh_waits = False
        self._refreshed = 0.0  # when a job asked for a refresh, in seconds
        self._later = loop_caller()
        self._jobs = LatestJob(self._fail_later)
        self.controls = make_controls(self._start, lab.epochs)
        self.truth = ipywidgets.Checkbox(
            value=True, description="show what only the teacher knows", indent=False
        )
        self.progress = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "200px"})
        self.status = ipywidgets.HTML()
        self.sentence = ipywidgets.HTML()
        self.error = ipywidgets.HTML()
        self.compared = ipywidgets.HTML()
        code_layout = {"width": "98%", "height": "260px", "display": "none"}
        self.code = ipywidgets.Textarea(layout=code_layout)
        self.panels = [Panel(panel_type) for panel_type in PANELS]
        self.buttons = self._make_buttons()
        for control in (*self.controls.values(), self.truth):
            control.observe(self._guarded(lambda _: self.changed()), "value")
        self.page = self._make_page()
        self.changed()

    def _make_buttons(self) -> dict[str, ipywidgets.Button]:
        actions = {
            "fine-tune": self.finetune,
            "cancel": self.cancel,
            "reset": self.reset,
            "compare": self.compare,
            "copy": self.copy,
        }
        buttons = {}
        for name, action in actions.items():
            buttons[name] = ipywidgets.Button(description=name)
            buttons[name].on_click(self._guarded(lambda _, action=action: action()))
        return buttons

    def _make_page(self) -> ipywidgets.VBox:
        wrap = ipywidgets.Layout(flex_flow="row wrap")
        page = ipywidgets.VBox(
            [
                ipywidgets.HTML(STYLE),
                ipywidgets.Box([*self.controls.values(), self.truth], layout=wrap),
                ipywidgets.Box([*self.buttons.values(), self.progress, self.status], layout=wrap),
                self.error,
                self.sentence,
                self.compared,
                ipywidgets.Box([panel.box for panel in self.panels], layout=wrap),
                self.code,
            ]
        )
        page.add_class("dlp-live")
        return page

    def setting(self) -> LabSetting:
        """Return what the controls say.

        Raises:
            ValueError: for what no setting can have.
        """
        return read_controls(self.controls)

    def changed(self) -> None:
        """Answer a control: at once with what is known, and with the rest as it comes."""
        self.error.value = ""
        setting = self.setting()
        self.refresh()
        needed = replace(setting, e2=0)  # another E2 is another point of the same ascent
        if needed != self._asked:
            self._asked = needed
            self._start_job("working …", lambda check, _: self.lab.work(setting, check, self._tell))

    def refresh(self) -> None:
        """Bring figures and words up to date. What has not changed is not drawn."""
        self._refresh_waits = False
        answer = self.lab.look(self.setting())
        truth = self.truth.value
        for panel in self.panels:
            panel.update(answer, truth)
        text = html.escape(words.sentence(answer, truth))
        self.sentence.value = f'<div class="dlp-sentence" aria-live="polite">{text}</div>'
        self.compared.value = ""
        if truth and self._pinned is not None:
            self.compared.value = words.table(self.lab.look(self._pinned), answer)

    def wait(self) -> None:
        """Wait until the newest job has ended, for a notebook that runs without a reader."""
        self._jobs.wait()

    def finetune(self) -> None:
        """Run stage 3 from here. The bar shows how far it is, and the clean accuracy so far."""
        setting = self.setting()
        self._asked = None

        def job(check: Check, say: Say) -> None:
            def tell(block: int, blocks: int, ca: float) -> None:
                say(block / blocks, f"fine-tuning, CA {ca:.0%}")

            self.lab.finetune(setting, check, tell)

        self._start_job("fine-tuning …", job)

    def cancel(self) -> None:
        """Stop the newest job."""
        self._asked = None
        self._running = None
        self._jobs.submit(None)
        self._advance(0, "cancelled; what is recorded stays")

    def reset(self) -> None:
        """Move the controls back to the first setting."""
        self._is_resetting = True
        set_controls(self.controls, self._start)
        self._is_resetting = False
        self.changed()

    def compare(self) -> None:
        """Show this setting's results beside those to come, or stop doing so."""
        self._pinned = self.setting() if self._pinned is None else None
        self.refresh()

    def copy(self) -> None:
        """Show the setting as Python and as a command, to be copied, or hide them."""
        if self.code.layout.display == "none":
            setting = self.setting()
            self.code.value = f"{self.lab.code(setting)}\n{self.lab.command(setting)}"
            self.code.layout.display = ""
        else:
            self.code.layout.display = "none"

    def _start_job(self, status: str, job: Callable[[Check, Say], None]) -> None:
        token = self._running = object()

        def say(share: float, status: str) -> None:
            def advance() -> None:
                if self._running is token:
                    self._advance(share, status)

            self._later(advance)

        def run(check: Check) -> None:
            job(check, say)
            self._later(self._guarded(self.refresh))
            say(0, "ready")

        self._advance(0, status)
        self._jobs.submit(run)

    def _tell(self) -> None:
        """Ask for a refresh after an epoch; one at most waits for its turn."""
        now = time.monotonic()
        if not self._refresh_waits and now - self._refreshed > PAUSE:
            self._refresh_waits = True
            self._refreshed = now
            self._later(self._guarded(self.refresh))

    def _advance(self, share: float, status: str) -> None:
        self.progress.value = share
        self.status.value = status

    def _guarded(self, action: Callable) -> Callable:
        """Return the action so that its errors are shown on the page."""

        def run(*arguments) -> None:
            if self._is_resetting:
                return
            try:
                action(*arguments)
            except Exception as error:  # the user must see it, whatever it is
                self._fail(error)

        return run

    def _fail_later(self, error: Exception) -> None:
        self._later(lambda: self._fail(error))

    def _fail(self, error: Exception) -> None:
        self._asked = None
        text = html.escape(f"{type(error).__name__}: {error}")
        self.error.value = f'<div class="dlp-error" role="alert">{text}</div>'
        self._advance(0, "stopped")
