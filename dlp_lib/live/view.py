"""The live lab's view: controls to which all figures answer, and what they show."""

import html
import time
from collections.abc import Callable
from dataclasses import replace

import ipywidgets

from . import words
from .background import Check, LatestJob, loop_caller
from .controller import Lab, LabSetting
from .controls import SLIDERS, make_controls, read_controls, set_controls
from .doing import Job, Tell
from .explore import explore
from .figures import PANELS, Panel
from .messages import Messages
from .style import arrange

__all__ = ["Live", "explore"]  # notebooks import both from here

PAUSE = 0.5  # seconds between two refreshes while a job runs, at least


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
        self._job: Job | None = None  # the newest, while it runs
        self._is_resetting = False
        self._refresh_waits = False
        self._refreshed = 0.0  # when a job asked for a refresh, in seconds
        self._later = loop_caller()
        self._jobs = LatestJob(self._fail_later)
        self.controls = make_controls(self._start, lab.epochs)
        self.truth = ipywidgets.Checkbox(
            value=True, description="show what only the teacher knows", indent=False
        )
        self.messages = Messages()
        self.sentence = ipywidgets.HTML()
        self.compared = ipywidgets.HTML()
        code_layout = {"width": "98%", "height": "300px", "display": "none"}
        self.code = ipywidgets.Textarea(layout=code_layout)
        self.panels = [Panel(panel_type) for panel_type in PANELS]
        self.buttons = self._make_buttons()
        for control in self.controls.values():
            control.observe(self._guarded(lambda _: self._moved()), "value")
        self.truth.observe(self._guarded(lambda _: self.redraw()), "value")
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
        sliders = [self.controls[name] for name in SLIDERS]
        scene = [control for name, control in self.controls.items() if name not in SLIDERS]
        messages = self.messages
        return arrange(
            scene=scene,
            sliders=sliders,
            buttons=[*self.buttons.values()],
            progress=[messages.progress, messages.status, self.truth],
            panels=[panel.box for panel in self.panels],
            words=[messages.error, messages.note, self.sentence, self.compared],
            code=self.code,
        )

    def setting(self) -> LabSetting:
        """Return what the controls say.

        Raises:
            ValueError: for what no setting can have.
        """
        return read_controls(self.controls)

    def _moved(self) -> None:
        if not self._is_resetting:
            self.changed()

    def changed(self) -> None:
        """Answer a control: at once with what is known, and with the rest as it comes.

        Another E2 is another point of the same ascent: it stops no job.
        """
        self.messages.show_error(None)
        setting = self.setting()
        if replace(setting, e2=0) != self._asked:
            if self._job is not None and self._job.is_finetuning:
                doing = self.lab.doing
                self.messages.show_note(words.superseded(doing, self._job.setting, setting))
            self._work(setting)
        self.redraw()

    def redraw(self) -> None:
        """Bring figures, words and status up to date. What has not changed is not drawn."""
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
        if self._job is not None:
            self._show_status(self._job)

    def wait(self) -> None:
        """Wait until the newest job has ended, for a notebook that runs without a reader."""
        self._jobs.wait()

    def finetune(self) -> None:
        """Run stage 3 from here. The status says how far it is."""
        setting = self.setting()
        job = self._job
        if job is not None and job.is_finetuning and job.setting == setting:
            return
        self.messages.show_note("")
        self._asked = replace(setting, e2=0)
        self._start_job(setting, self.lab.finetune)

    def cancel(self) -> None:
        """Stop the newest job."""
        self._asked = None
        self._jobs.submit(None)
        self.redraw()
        self._end("cancelled; what is recorded stays")

    def reset(self) -> None:
        """Move the controls back to the first setting."""
        self._is_resetting = True
        set_controls(self.controls, self._start)
        self._is_resetting = False
        self.changed()

    def compare(self) -> None:
        """Show this setting's results beside those to come, or stop doing so."""
        self._pinned = self.setting() if self._pinned is None else None
        self.redraw()

    def copy(self) -> None:
        """Show the setting as Python and as a command, to be copied, or hide them."""
        if self.code.layout.display == "none":
            setting = self.setting()
            self.code.value = f"{self.lab.code(setting)}\n{self.lab.command(setting)}"
            self.code.layout.display = ""
        else:
            self.code.layout.display = "none"

    def _work(self, setting: LabSetting) -> None:
        self._asked = replace(setting, e2=0)
        self._start_job(setting, self.lab.work)

    def _start_job(
        self, setting: LabSetting, run: Callable[[LabSetting, Check, Tell], None]
    ) -> None:
        is_finetuning = run == self.lab.finetune
        job = Job(setting, is_finetuning, self._jobs.is_busy())

        def run_job(check: Check) -> None:
            job.has_begun = True
            run(job.setting, check, self._tell)
            self._later(self._guarded(lambda: self._finish(job)))

        self._job = job
        self._show_status(job)
        self._jobs.submit(run_job)

    def _finish(self, job: Job) -> None:
        if job is not self._job:
            return
        self._job = None
        self.redraw()
        self._end("ready")
        if job.is_finetuning:
            e2 = job.setting.e2
            if e2 != self.controls["e2"].value:
                self.messages.show_note(
                    f"Fine-tuning from E2 = {e2} is done: move E2 there to see what it gave."
                )
            self._work(self.setting())  # stage 1 goes on to its longest E1

    def _tell(self) -> None:
        """Ask for a redraw; one at most waits for its turn."""
        now = time.monotonic()
        if not self._refresh_waits and now - self._refreshed > PAUSE:
            self._refresh_waits = True
            self._refreshed = now
            self._later(self._guarded(self.redraw))

    def _show_status(self, job: Job) -> None:
        doing = self.lab.doing
        text = words.status(job, doing, self.setting(), self.truth.value)
        share = doing.block / max(1, doing.blocks)
        self.messages.show_status(text, share if job.has_begun else 0)

    def _end(self, status: str) -> None:
        """Say that no job runs any more."""
        self._job = None
        self.messages.show_status(status)

    def _guarded(self, action: Callable) -> Callable:
        """Return the action so that its errors are shown on the page."""

        def run(*arguments) -> None:
            try:
                action(*arguments)
            except Exception as error:  # the user must see it, whatever it is
                self.messages.show_error(error)

        return run

    def _fail_later(self, error: Exception) -> None:
        self._later(lambda: self._fail(error))

    def _fail(self, error: Exception) -> None:
        """Show the error that has ended the newest job."""
        self._asked = None
        self.messages.show_error(error)
        self._end("stopped")
