"""report.html: what a defender can see, on one page that needs no network and no script."""

from collections.abc import Iterable

from torch import Tensor

from ...defences import DLP
from . import advice
from .pictures import Cut, histogram_svg, mean_image, png_uri
from .progress import STAGES
from .settings import settings_of
from .style import STYLE
from .text import escape, escape_path
from .work import Outcome

SUSPECTS_SHOWN = 24
TRUSTED_SHOWN = 12

# Nothing may be loaded or run, whatever got into the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def report(outcome: Outcome, folder_name: str, further: dict[str, object]) -> str:
    """Return the page as HTML.

    Args:
        outcome: of the defence.
        folder_name: of the images, for the title.
        further: settings that are not the defence's, by name.
    """
    rows = outcome.rows()
    sections = [
        _figures(outcome),
        section("What was found", advice.finding(outcome)),
        section("How sure the model was of every image", _histogram(outcome)),
        section("The most suspicious images", _suspects(outcome, rows)),
        section("The most trusted images", _trusted(outcome, rows)),
        section("Class by class", _classes(outcome)),
        section("What to do next", _list(advice.next_steps(outcome), "ol")),
        section("What this page cannot tell", _list(advice.limits(outcome), "ul")),
        section("What was done", _done(outcome, further)),
    ]
    title = f"Which images of {folder_name} are suspected"
    body = "\n".join(sections)
    return _PAGE.format(policy=_POLICY, title=escape(title), style=STYLE, body=body)


def section(title: str, content: str) -> str:
    """Return a section of the page; title and content are HTML."""
    return f"<section><h2>{title}</h2>{content}</section>"


def _figures(outcome: Outcome) -> str:
    """Return the counts that come first."""
    tampered = outcome.tampered
    selection = outcome.result.selection
    height, width = tampered.images.shape[-2:]
    facts = {
        "images": f"{len(tampered):,}",
        "classes": f"{len(tampered.classes):,}",
        "suspected": f"{len(selection.suspected):,}",
        "trusted": f"{len(selection.trusted):,}",
        "pixels, after resizing": f"{height}×{width}",
    }
    cells = [f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items()]
    return f'<dl class="figures">{"".join(cells)}</dl>'


def _histogram(outcome: Outcome) -> str:
    is_entropy = outcome.score_name == "entropy"
    xlabel = "predictive entropy (bits)" if is_entropy else "training loss (nats)"
    selection = outcome.result.selection
    score = outcome.score
    cuts = [Cut(score[selection.suspected].max().item(), "highest suspect", "cut-suspected")]
    if len(selection.trusted):
        lowest = score[selection.trusted].min().item()
        cuts.append(Cut(lowest, "lowest trusted image", "cut-trusted"))
    words = [f"{cut.label} at {cut.value:.3f}" for cut in cuts]
    alt = f"Histogram of the {xlabel} of {len(score):,} images; {', '.join(words)}."
    legend = [f'<li class="{cut.css_class}">{cut.label}: {cut.value:.3f}</li>' for cut in cuts]
    svg = histogram_svg(score, cuts, xlabel, alt)
    text = f"<p>{advice.reading_the_histogram(outcome)}</p>"
    return f'<figure>{svg}<ul class="legend">{"".join(legend)}</ul></figure>{text}'


def _suspects(outcome: Outcome, rows: list[dict]) -> str:
    first = [row for row in rows if row["status"] == "suspected"][:SUSPECTS_SHOWN]
    total = len(outcome.result.selection.suspected)
    text = f"<p>The first {len(first)} of {total:,} suspects; rank 1 is the most suspicious.</p>"
    return text + _gallery(outcome, first) + _means(outcome)


def _trusted(outcome: Outcome, rows: list[dict]) -> str:
    trusted = [row for row in reversed(rows) if row["status"] == "trusted"]
    if not trusted:
        return "<p>This defence trusts no image; it only suspects some.</p>"
    first = trusted[:TRUSTED_SHOWN]
    text = f"<p>{len(first)} of {len(trusted):,} trusted images, the least suspicious first.</p>"
    return text + _gallery(outcome, first)


def _gallery(outcome: Outcome, rows: Iterable[dict]) -> str:
    samples = outcome.samples_by_rank()
    items = []
    for row in rows:
        image = outcome.tampered.images[samples[row["rank"] - 1]]
        name = escape(row["file"])
        label = escape(row["label"])
        score = f"{outcome.score_name} {row[outcome.score_name]:.3f}"
        picture = f'<img src="{png_uri(image)}" alt="{name}, labelled {label}">'
        lines = [
            f'<span class="file"><bdi>{escape_path(row["file"])}</bdi></span>',
            f"label <b><bdi>{label}</bdi></b>",
            f"model says <bdi>{escape(row['answer'])}</bdi>",
            f"rank {row['rank']:,}, {score}",
        ]
        items.append(f"<li>{picture}<p>{'<br>'.join(lines)}</p></li>")
    return f'<ul class="gallery">{"".join(items)}</ul>'


def _means(outcome: Outcome) -> str:
    """Set the mean of the suspects beside that of other images with their commonest label."""
    tampered = outcome.tampered
    suspected = outcome.result.selection.suspected
    label, _ = outcome.commonest_label()
    alike = suspected[tampered.labels[suspected] == label]
    is_other = tampered.labels == label
    is_other[suspected] = False
    if not is_other.any():
        return ""
    name = escape(tampered.classes[label])
    pictures = [
        _mean(tampered.images[alike], f"mean of the {len(alike):,} suspects labelled {name}"),
        _mean(tampered.images[is_other], f"mean of all other images labelled {name}"),
    ]
    text = (
        "<p>A trigger that stands in one place shows in the left mean. Where it shows in the right "
        "one too, more images bear it than are suspected. Triggers that move, or that are spread "
        "over the image, may not show.</p>"
    )
    return f'<ul class="gallery means">{"".join(pictures)}</ul>{text}'


def _mean(images: Tensor, caption: str) -> str:
    picture = f'<img src="{png_uri(mean_image(images))}" alt="{caption}">'
    return f"<li>{picture}<p>{caption}</p></li>"


def _classes(outcome: Outcome) -> str:
    tampered = outcome.tampered
    selection = outcome.result.selection
    classes = len(tampered.classes)
    disputed = outcome.answers != tampered.labels
    columns = {
        "images": tampered.labels,
        "suspected": tampered.labels[selection.suspected],
        "trusted": tampered.labels[selection.trusted],
        "disputed": tampered.labels[disputed],
    }
    counts = [labels.bincount(minlength=classes).tolist() for labels in columns.values()]
    body = []
    for name, *numbers in zip(tampered.classes, *counts, strict=True):
        cells = [f"<td>{number:,}</td>" for number in numbers]
        body.append(f"<tr><th><bdi>{escape(name)}</bdi></th>{''.join(cells)}</tr>")
    text = "<p>A label is disputed where the model that came out gives the image another one.</p>"
    return text + _table(["class", *columns], body)


def _done(outcome: Outcome, further: dict[str, object]) -> str:
    return _stages(outcome) + advice.choice_of_e1(outcome) + _settings(outcome, further)


def _stages(outcome: Outcome) -> str:
    body = []
    for name, stage in outcome.result.stages.items():
        cells = [STAGES.get(name, name), f"{len(stage.history):,}", advice.stage_facts(name, stage)]
        tds = [f"<td>{cell}</td>" for cell in cells[1:]]
        body.append(f"<tr><th>{cells[0]}</th>{''.join(tds)}</tr>")
    return _table(["stage", "blocks", "what could be seen"], body, css_class="words")


def _settings(outcome: Outcome, further: dict[str, object]) -> str:
    method = "DLP" if isinstance(outcome.method, DLP) else "ABL"
    items = []
    for name, value in (settings_of(outcome.method) | further).items():
        text = "-".join(value) if name == "order" else value
        items.append(f"<li><code>{name}={escape(text)}</code></li>")
    return (
        f"<details><summary>Settings of {method}</summary>"
        f'<ul class="settings">{"".join(items)}</ul></details>'
    )


def _table(head: list[str], body: list[str], css_class: str = "") -> str:
    cells = "".join([f"<th>{name}</th>" for name in head])
    return (
        f'<div class="wide"><table class="{css_class}"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _list(items: list[str], tag: str) -> str:
    return f"<{tag}>{''.join([f'<li>{item}</li>' for item in items])}</{tag}>"
