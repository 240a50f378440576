"""What the live lab's page says of its work: status, progress, notes and errors, as widgets."""

import html

import ipywidgets


class Messages:
    """Four widgets, and one way to write each."""

    def __init__(self):
        self.progress = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "auto"})
        self.status = ipywidgets.HTML()
        self.status.add_class("dlp-status")
        self.note = ipywidgets.HTML()
        self.error = ipywidgets.HTML()

    def show_status(self, text: str, share: float = 0.0) -> None:
        """Say what is done now.

        Args:
            text: plain text.
            share: how much of it is done, from 0 to 1.
        """
        self.progress.value = share
        self.status.value = html.escape(text)

    def show_note(self, text: str) -> None:
        """Say what the reader should know of a job that is over; "" takes the note away."""
        note = f'<div class="dlp-note" role="status">{html.escape(text)}</div>'
        self.note.value = note if text else ""

    def show_error(self, error: Exception | None) -> None:
        """Say what went wrong; None takes the message away."""
        if error is None:
            self.error.value = ""
            return
        text = html.escape(f"{type(error).__name__}: {error}")
        self.error.value = f'<div class="dlp-error" role="alert">{text}</div>'
