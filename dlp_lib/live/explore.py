"""Controls above a figure, for notebooks."""

import html
from collections.abc import Callable

import ipywidgets
from matplotlib.figure import Figure

from .figures import image_html


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
