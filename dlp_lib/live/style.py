"""How the live lab's page looks: style sheet and arrangement.

A wide page has the controls on the left, where they stay in sight, and the figures on the right. A
narrow one has them above the figures, and only the sliders of DLP's settings stay.
"""

from collections.abc import Iterable

import ipywidgets

from .. import plots

NARROW = 620  # pixels of the page's own width, up to which it has one column

STYLE = f"""<style>
.dlp-live {{container-type: inline-size; color: var(--jp-ui-font-color1, inherit);
    max-width: 1900px}}
.dlp-page, .dlp-live, .dlp-live .widget-box, .jp-OutputArea-output:has(.dlp-live),
.jp-OutputArea-child:has(.dlp-live), .jp-OutputArea:has(.dlp-live),
.jp-Cell-outputWrapper:has(.dlp-live), .jp-Cell:has(.dlp-live) {{overflow: visible}}
.dlp-live .dlp-body {{display: grid; align-items: start; gap: 12px;
    grid-template-columns: minmax(260px, 330px) minmax(0, 1fr)}}
.dlp-live .dlp-side {{position: sticky; top: 0; max-height: 100vh; overflow-y: auto;
    overflow-x: hidden; background: var(--jp-layout-color0, white); padding: 4px}}
.dlp-live .dlp-group {{border-bottom: 1px solid var(--jp-border-color2, #ccc); padding: 4px 0}}
.dlp-live .dlp-group > * {{width: auto; margin: 2px 0}}
.dlp-live .dlp-buttons {{display: grid; gap: 4px; border: none;
    grid-template-columns: repeat(6, 1fr)}}
.dlp-live .dlp-buttons > * {{margin: 0; padding: 0 4px; grid-column: span 2}}
.dlp-live .dlp-buttons > :nth-child(-n+2) {{grid-column: span 3}}
.dlp-live .dlp-panels {{display: grid; gap: 8px; align-items: start;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, max(360px, 30%)), 1fr))}}
.dlp-live .dlp-panels > *, .dlp-live .dlp-main > * {{margin: 0; width: auto; max-width: 100%}}
.dlp-live .widget-html-content {{width: 100%; white-space: normal; line-height: 1.4}}
.dlp-live .widget-html {{height: auto}}
.dlp-live img {{display: block; width: 100%; background: white; border-radius: 4px}}
.dlp-panel {{border: 2px solid {plots.NEUTRAL}; border-radius: 6px; padding: 4px;
    box-sizing: border-box}}
.dlp-truth {{border: 2px dashed {plots.POISONED}}}
.dlp-empty {{aspect-ratio: 9 / 5; display: flex; align-items: center; justify-content: center;
    text-align: center; padding: 0 12%; color: var(--jp-ui-font-color2, {plots.NEUTRAL})}}
.dlp-status {{min-height: 4.2em}}
.dlp-sentence {{font-size: 115%; min-height: 2.8em}}
.dlp-note {{border-left: 4px solid {plots.CLEAN}; padding: 4px 8px}}
.dlp-error {{border: 2px solid #B00020; padding: 6px; white-space: pre-wrap;
    overflow-wrap: anywhere}}
.dlp-live table.dlp-compared {{border-collapse: collapse; margin: 4px 0}}
.dlp-live table.dlp-compared :is(td, th) {{padding: 4px 10px; text-align: left;
    border: 1px solid var(--jp-border-color2, #ccc)}}
@container (max-width: {NARROW}px) {{
    .dlp-live .dlp-body {{display: flex; flex-direction: column; align-items: stretch}}
    .dlp-live .dlp-side {{display: contents}}
    .dlp-live .dlp-sliders {{position: sticky; top: 0; z-index: 2;
        background: var(--jp-layout-color0, white)}}
}}
</style>"""


def group(name: str, widgets: Iterable[ipywidgets.Widget]) -> ipywidgets.VBox:
    """Return widgets as one part of the page, which the style sheet knows by ``dlp-`` and a name.

    Args:
        name: without the prefix.
        widgets: from above to below.
    """
    box = ipywidgets.VBox(list(widgets))
    box.add_class(f"dlp-{name}")
    return box


def arrange(
    scene: Iterable[ipywidgets.Widget],
    sliders: Iterable[ipywidgets.Widget],
    buttons: Iterable[ipywidgets.Widget],
    progress: Iterable[ipywidgets.Widget],
    panels: Iterable[ipywidgets.Widget],
    words: Iterable[ipywidgets.Widget],
    code: ipywidgets.Widget,
) -> ipywidgets.VBox:
    """Return the page.

    Args:
        scene: controls of the data and of the attack.
        sliders: controls of DLP, which stay in sight beside what they move.
        buttons: in a grid.
        progress: what a job does, and how far it is.
        panels: the figures, in a grid.
        words: above the figures.
        code: between both.
    """
    groups = [
        group("scene", scene),
        group("sliders", sliders),
        group("buttons", buttons),
        group("progress", progress),
    ]
    for part in groups:
        part.add_class("dlp-group")
    main = group("main", [*words, code, group("panels", panels)])
    body = group("body", [group("side", groups), main])
    return group("live", [ipywidgets.HTML(STYLE), body])
