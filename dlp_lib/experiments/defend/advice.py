"""What the page says in sentences: what was found, what to do next, and what remains unknown."""

from ...defences import DLP, AgreedE1
from ...training import Stage
from .text import escape
from .work import Outcome


def finding(outcome: Outcome) -> str:
    """Return what the suspects have in common, as HTML."""
    label, share = outcome.commonest_label()
    name = f"<b><bdi>{escape(outcome.tampered.classes[label])}</bdi></b>"
    count = len(outcome.result.selection.suspected)
    disputed = outcome.answers != outcome.tampered.labels
    of_suspects = disputed[outcome.result.selection.suspected].double().mean().item()
    paragraphs = [
        _agreement(outcome),
        f"Of {count:,} suspects, {share:.0%} carry the label {name}, their commonest one.",
        f"The model that came out disputes the labels of {of_suspects:.0%} of the suspects, and of "
        f"{disputed.double().mean().item():.0%} of all images. Poisoned images with a wrong label "
        "are disputed more often than others.",
    ]
    return "".join([f"<p>{paragraph}</p>" for paragraph in paragraphs if paragraph])


def _agreement(outcome: Outcome) -> str:
    search = outcome.search
    if search is None:
        return ""
    if search.agreed is None:
        return (
            '<strong class="calm">The suspects did not agree.</strong> In none of '
            f"{search.epochs} epochs did nearly all of them carry one label for long. Perhaps no "
            "trigger with one target class is here. Perhaps there is one that the model did not "
            "learn in that time, or that has many targets. The list is then little more than "
            "chance: look at the images at its top before you believe it."
        )
    return _agreed(outcome, search.agreed)


def _agreed(outcome: Outcome, e1: AgreedE1) -> str:
    """Return what lasting agreement means, with what speaks against it."""
    text = (
        f'<strong class="alarm">The suspects agree.</strong> By epoch {int(e1)}, nearly all '
        "of them had carried one label for several epochs. So it looks where many images with one "
        "trigger got one wrong label. It is no proof, as a model can also be sure of one harmless "
        "class first. Look at the images."
    )
    if e1.is_doubtful:
        name = escape(outcome.tampered.classes[e1.label])
        text += (
            " <strong>There is doubt.</strong> The model knows even the hardest tenth of the class "
            f"<bdi>{name}</bdi> ({e1.hardest:.0%} right) as well as other classes "
            f"({e1.others:.0%}). So the whole class may be easy, and the suspects harmless images "
            "of it. The pictures below, the gap in the histogram and the disputed labels decide."
        )
    return text


def reading_the_histogram(outcome: Outcome) -> str:
    """Return how the histogram is to be read."""
    if outcome.score_name == "loss":
        return (
            "ABL suspects the images of the lowest loss after its first epochs, left of the line. "
            "Such models learn a trigger before anything else."
        )
    return (
        "A model learns a trigger before it learns to see. After its first epochs it is sure of "
        "images with the trigger: their entropy is low. DLP suspects the images left of the "
        "dashed line. It trusts the least sure images of every class; the dotted line is the "
        "lowest of them. A heap at the left with a gap after it is how poison often looks; the "
        "heap then tells about how much there is. Counts are on a logarithmic scale."
    )


def choice_of_e1(outcome: Outcome) -> str:
    """Return how E1 was chosen, as HTML; "" where it was not."""
    search = outcome.search
    if search is None:
        return ""
    shares = ", ".join([f"{share:.0%}" for share in search.agreement])
    how = "is where the suspects agree" if search.agreed else "is the recipe's, as none agreed"
    return (
        f"<p>E1, the number of epochs of supervised learning, {how}. It was looked for among "
        f"{search.epochs} epochs. Of the suspects after each of them, so many carried their "
        f"commonest label: {shares}.</p>"
    )


def next_steps(outcome: Outcome) -> list[str]:
    """Return what a defender can do now, as HTML."""
    return [
        "Look at the suspects above, and at more of them in <code>suspects.csv</code>, in the "
        "order of their ranks. Do they share a patch, a pattern or a wrong label?",
        "If so, go on beyond the last suspect, until images no longer share it. Then set those "
        "images aside, and ask where they came from.",
        "Run the command again with another <code>--seed</code>, and with a larger and a smaller "
        "<code>--gamma</code>. Suspicion that lasts is worth more.",
        "Use <code>model.safetensors</code> in place of a model that was trained on all images. "
        "<code>dlp_lib.load_model</code> reads it. First measure it on images that you trust.",
        "Without a trigger in sight, believe the list less than your eyes. To remove harmless "
        "images costs accuracy, and can hurt one class or one group of people.",
    ]


def limits(outcome: Outcome) -> list[str]:
    """Return what this method cannot know, as HTML."""
    tampered = outcome.tampered
    height, width = tampered.images.shape[-2:]
    count = len(outcome.result.selection.suspected)
    rate = "gamma" if isinstance(outcome.method, DLP) else "isolated"
    return [
        f"<b>Whether there is poison at all.</b> The setting {rate} decides that {count:,} images "
        "are suspected. Of a clean set as many would be.",
        "<b>How much poison there is.</b> It may be less than the suspects, or more.",
        "<b>How accurate the new model is, and whether the backdoor is gone.</b> That takes images "
        "that you trust, and the trigger, which a defender does not know.",
        "<b>Attacks that the model does not learn first.</b> Triggers with true labels, rare "
        "poison, images that bear the trigger without its label, and many target classes often "
        "stay hidden.",
        f"<b>What was lost in resizing.</b> Images were cut to a centred square and resized to "
        f"{height}×{width} pixels. A trigger that was cut away, or that is finer than a pixel, was "
        "not seen. <code>--size</code> takes another size.",
    ]


def stage_facts(name: str, stage: Stage) -> str:
    """Return what a defender can see of a stage's last or selected block."""
    if not stage.history:
        return "nothing was trained"
    row = stage.history[max(stage.selected_block, 1) - 1]
    if name == "SL":
        return f"{row['accuracy']:.0%} of the labels learned"
    if name == "AU":
        first = stage.history[0]["accuracy_reestimated"]
        facts = (
            f"suspects seen as labelled: {first:.0%} after the first epoch, "
            f"{row['accuracy_reestimated']:.0%} at epoch {stage.selected_block}, where the model "
            "was left"
        )
        if row["collapsed"]:
            facts += "; the model had collapsed there"
        return facts
    if name == "ASSFT":
        return f"{row['confident']:.0%} of the pseudo-labels were confident in the end"
    return f"mean loss {row['loss']:.3f} in the end"
