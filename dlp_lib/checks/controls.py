"""Exercises of notebooks 01 to 12 that design a control: a run that differs in one thing."""

from typing import Any

from .base import Wrong, expect, right

Told = dict[str | None, str]  # what is told, by what has changed


def _check(answer: Any, run: dict, factor: str, wanted: Any, others: Told, values: Told) -> None:
    """Check a control: all settings of the run are there, and only the right one has changed.

    Args:
        answer: the student's.
        run: the run whose outcome is to be explained.
        factor: the one setting that the control changes.
        wanted: what it changes it to.
        others: what is told to who changes another setting, by its name.
        values: what is told to who gives the factor another value; None: any other one.
    """
    expect(answer is not None and answer is not ..., "the control: nothing yet")
    expect(isinstance(answer, dict), f"a dictionary is wanted, with the settings {', '.join(run)}")
    missing = [name for name in run if name not in answer]
    expect(not missing, f"the control has no setting {', '.join(missing)}: copy the run's")
    unknown = [str(name) for name in answer if name not in run]
    expect(
        not unknown, f"the run has no setting {', '.join(unknown)}: a control changes one of its"
    )
    changed = [name for name in run if not _is_equal(answer[name], run[name])]
    expect(changed, "this is the run itself: a control differs in the thing that is in question")
    for name in changed:
        if name != factor:
            more = "" if len(changed) == 1 else f" ({len(changed)} settings have changed)"
            raise Wrong(f"“{name}” has changed{more}: {others[name]}")
    if not _is_equal(answer[factor], wanted):
        value = _plain(answer[factor])
        hint = values.get(str(value), values[None])
        raise Wrong(f"“{factor}” is the right setting to change, and not to {value!r}: {hint}")


def _plain(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _is_equal(one: Any, other: Any) -> bool:
    """Return whether two settings are the same; spaces and capitals do not count."""
    if isinstance(other, str):
        return _plain(one) == _plain(other)
    try:
        return not isinstance(one, str) and float(one) == other
    except (TypeError, ValueError, RuntimeError):
        return False


_SEED = "another seed tells how much is chance, and leaves open what causes the rest"


def clean_model(answer: Any) -> None:
    """Check the control of notebook 01: do 30 % of triggered images show a backdoor?"""
    run = {"trained on": "tampered set", "images": "triggered", "of": "other classes"}
    others = {
        "images": "without the trigger nothing is learned of what the trigger does to a model",
        "of": "images of the target class count as hits, whatever the model has learned",
        "seed": _SEED,
    }
    values = {None: "which model has surely no backdoor?"}
    _check(answer, run | {"seed": 0}, "trained on", "clean set", others, values)
    right("If a clean model takes 28 % for the target, the trigger hides the image, and no more.")


def no_trigger(answer: Any) -> None:
    """Check the control of notebook 02: is it the trigger that is learned first?"""
    run = {"relabelled": 500, "label": "target", "of": "other classes", "trigger": "yes"}
    others = {
        "relabelled": "with another number of samples, their weight in the loss is another one too",
        "label": "then the trigger is there and the wrong label is not: that asks about labels",
        "of": "images of the target class have this label already: nothing would be wrong",
        "epochs": "a longer or shorter training shows more or less of the same race",
        "seed": _SEED,
    }
    values = {None: "the samples keep everything but the trigger: “no”"}
    _check(answer, run | {"epochs": 20, "seed": 0}, "trigger", "no", others, values)
    right(
        "Such samples share a label and nothing else. We expect their curve to fall after the "
        "first epoch, and to rise late. We have not run it."
    )


def random_suspects(answer: Any) -> None:
    """Check the control of notebook 04: what costs CA, the climb or what is climbed on?"""
    run = {"suspects": 100, "which": "all poisoned", "steps": 20, "lr": 0.005}
    others = {
        "suspects": "more or fewer of the same kind: what they are has not changed",
        "steps": "of course a shorter climb costs less: the question is about this length",
        "lr": "another learning rate is another length of the way, on the same samples",
        "batch-norm": "measure both in the same way, or the statistics explain the difference",
        "seed": _SEED,
    }
    values = {
        "none": "without suspects there is no climb: then either could be the reason",
        None: "it takes samples that have nothing to do with the trigger: “random clean”",
    }
    run |= {"batch-norm": "re-estimated", "seed": 0}
    _check(answer, run, "which", "random clean", others, values)
    right(
        "Both take equally many steps. If the random climb costs as much CA, forgetting the "
        "trigger is not what costs most."
    )


def true_labels(answer: Any) -> None:
    """Check the control of notebook 05: is it the label that brings the backdoor back?"""
    run = {"trusted": 1000, "triggered": 20, "label of the triggered": "target", "steps": 360}
    others = {
        "triggered": "without these images neither their triggers nor their labels are there: "
        "which of the two was it?",
        "trusted": "among more or fewer samples, the twenty have another weight",
        "steps": "with more or fewer steps, all labels are heard more or less often",
        "seed": _SEED,
    }
    values = {
        "none": "without a label they are among the unlabelled images: they are trusted no more",
        None: "the same images, with what they show as their label: “true”",
    }
    _check(answer, run | {"seed": 0}, "label of the triggered", "true", others, values)
    right(
        "The same images in the same batches. If ASR stays low now, the wrong label has carried it."
    )


def equal_cost(answer: Any) -> None:
    """Check the control of notebook 06: is it DLP, or merely a longer training?"""
    run = {"training": "DLP", "data": "tampered set", "image passes": 114_160}
    others = {
        "image passes": "a model that was trained for less is no measure of what the defence does",
        "data": "a defender has no clean set: and then the data differ, too",
        "seed": _SEED,
    }
    values = {
        "none": "an untrained model has made no image passes",
        "stage 1": "stage 1 ends after 20,000 passes; “supervised” goes on",
        None: "the usual training, on all labels, is “supervised”",
    }
    _check(answer, run | {"seed": 0}, "training", "supervised", others, values)
    right("That is the bar “undefended”: 23 epochs, as 114,160 passes are 22.8 times 5,000 images.")


def clean_data(answer: Any) -> None:
    """Check the control of notebook 07: is agreement of the suspects a sign of poison?"""
    run = {"dataset": "shapes10", "poisoning_rate": 0.1, "e1": 16, "gamma": 0.02}
    others = {
        "dataset": "on other images everything may differ, the easiest class as well",
        "e1": "that asks when the suspects agree, on a set that is tampered in any case",
        "gamma": "that asks how many agree, on a set that is tampered in any case",
        "seed": _SEED,
    }
    values = {None: "a set without any poison has a rate of 0"}
    _check(answer, run | {"seed": 0}, "poisoning_rate", 0, others, values)
    right(
        "If the suspects of a clean set agree as well, agreement is no proof. Notebook 03 has them."
    )


def without_attention(answer: Any) -> None:
    """Check the control of notebook 08: does NAD need its attention maps?"""
    run = {"starts from": "backdoored model", "data": "200 clean images", "epochs": 20}
    others = {
        "starts from": "a model without a backdoor has nothing that could be removed",
        "data": "with other or more images, it is the images that may explain it",
        "epochs": "fine-tuning for longer removes more in any case",
        "seed": _SEED,
    }
    run |= {"loss": "cross-entropy + attention", "seed": 0}
    values = {
        "attention": "without labels it is no fine-tuning any more: leave out what is new in NAD",
        None: "what is left when the maps are left out is “cross-entropy”",
    }
    _check(answer, run, "loss", "cross-entropy", others, values)
    right(
        "Plain fine-tuning on the same images is what NAD has to beat, and its paper compares them."
    )


def without_unlearning(answer: Any) -> None:
    """Check the control of notebook 09: is it unlearning that makes ASR low at 1 % poison?"""
    run = {"poisoning_rate": 0.01, "gamma": 0.02, "stages": "SL, AU, ASSFT", "seed": 2}
    others = {
        "poisoning_rate": "more poison is another attack, which is easier to find",
        "gamma": "another gamma unlearns other suspects: the stage is still there",
        "seed": _SEED,
    }
    values = {
        "sl": "that leaves out fine-tuning as well: which of the two has lowered ASR?",
        "sl, au": "that leaves out fine-tuning, and keeps what is in question",
        None: "leave out the one stage that is in question: “SL, ASSFT”",
    }
    _check(answer, run, "stages", "SL, ASSFT", others, values)
    right("Where ASR is as low without unlearning, unlearning is not the cause.")


def no_defence(answer: Any) -> None:
    """Check the control of notebook 10: has DLP removed a backdoor of MobileNetV2?"""
    run = {"model": "MobileNetV2", "attack": "BadNets", "defence": "DLP", "image passes": 25_360}
    others = {
        "model": "another model may learn the trigger faster: it says nothing of this one",
        "attack": "without an attack there is no ASR: nobody would have put a backdoor there",
        "image passes": "a model that saw less has perhaps not learned the trigger yet",
        "seed": _SEED,
    }
    values = {None: "the same model, trained as long on the same data, without a defence: “none”"}
    _check(answer, run | {"seed": 0}, "defence", "none", others, values)
    right("A high ASR: there was a backdoor. The bar “undefended” has seen only 12,000 passes.")


def without_cover(answer: Any) -> None:
    """Check the control of notebook 11: is it the cover samples that hide the poison?"""
    run = {"triggered, target label": 250, "triggered, true label": 250, "e1": 4}
    others = {
        "triggered, target label": "fewer poisoned samples are harder to find in any case",
        "e1": "at another epoch the model knows other things: keep it",
        "gamma": "another share of suspects has another precision, with and without cover",
        "seed": _SEED,
    }
    run |= {"gamma": 0.02, "seed": 0}
    values = {None: "the run has 250 cover samples, the control has none"}
    _check(answer, run, "triggered, true label", 0, others, values)
    right(
        "Compare with 250 poisoned samples, and not with 500: less poison alone is harder to find."
    )


def with_labels(answer: Any) -> None:
    """Check the control of notebook 12: do missing labels keep poisoned images apart?"""
    run = {"loss": "contrast of two views", "views": "SimCLR's", "data": "tampered set"}
    others = {
        "views": "with other views, it may be the views that hide the trigger",
        "data": "without poison there are no poisoned images that could lie together",
        "epochs": "a shorter training draws nothing together: keep the length",
        "seed": _SEED,
    }
    values = {
        "none": "without a loss nothing is learned",
        None: "the loss that reads labels is “cross-entropy”",
    }
    _check(answer, run | {"epochs": 15, "seed": 0}, "loss", "cross-entropy", others, values)
    right(
        "With the same views and epochs, only the loss differs, and this loss reads labels. That "
        "is what DBD's argument rests on."
    )
