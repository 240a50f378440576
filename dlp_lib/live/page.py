"""The live lab as a page of its own: what Voila shows, without notebook 07 around it."""

from pathlib import Path

import ipywidgets

from ..context import Context
from ..places import HOME
from ..runtime import Runtime
from ..store import Store
from .controller import Lab
from .view import Live

INTRODUCTION = """\
<h1 style="font-size: 150%; margin: 8px 4px">Live lab: E1, gamma and E2 of DLP</h1>
<p style="margin: 4px; line-height: 1.4; max-width: 75em">Move a slider, and the figures beside it
follow. What is not recorded yet is trained while you look, and the figures appear one by one. On
shapes10 the first visit trains for about a minute on two free cores, and for some minutes on a busy
machine; later visits read what it has recorded. <i>Fine-tune</i> runs stage 3 from where you are.
<i>Copy</i> shows the setting as code. Dashed frames hold what only a teacher knows. Notebook 07
asks questions about this page.</p>"""


def open_page(
    dataset: str = "shapes10",
    n_train: int | None = 5000,
    image_size: int | None = None,
    epochs: int = 20,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    store: str = "build/store",
) -> ipywidgets.VBox:
    """Return the page, which begins to train what its first setting needs.

    Args:
        dataset: a name of data.DATASETS, or a folder.
        n_train: how many training images, at most; None: all there are.
        image_size: pixels a side; None: the data set's own.
        epochs: the longest E1 and E2.
        steps: of fine-tuning; None: the recipe's.
        seed: of all random streams.
        device: "cpu", "cuda", or "auto".
        store: folder of recorded stages, inside the project unless absolute.
    """
    context = Context(Runtime(seed, device), Store(HOME / Path(store).expanduser()))
    lab = Lab(context, n_train, epochs=epochs, steps=steps, image_size=image_size)
    live = Live(lab, lab.recommended(dataset, seed))
    return ipywidgets.VBox([ipywidgets.HTML(INTRODUCTION), live.page]).add_class("dlp-page")
