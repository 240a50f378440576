"""The live lab's words: an Answer or a Doing in, plain text or HTML out."""

import html
from dataclasses import asdict

from .answer import Answer
from .doing import Doing, Job
from .sentence import Facts, percent, tell
from .setting import LabSetting

STAGES = ("SL", "AU", "ASSFT")
DOES = {
    "data": "loading and poisoning the data",
    "SL": "stage 1, supervised learning",
    "AU": "stage 2, unlearning",
    "ASSFT": "stage 3, fine-tuning",
}
SYMBOLS = {
    "dataset": "data set",
    "attack": "attack",
    "poisoning_rate": "poisoning rate",
    "e1": "E1",
    "gamma": "gamma",
    "e2": "E2",
    "lr": "unlearning lr",
    "seed": "seed",
}


def sentence(answer: Answer, truth: bool) -> str:
    """Return what the setting has led to, in words; "" where nothing is known yet.

    Args:
        answer: what is known.
        truth: whether to say what no defender can see.
    """
    if answer.selection is None:
        return ""
    return tell(_facts(answer), truth)


def _facts(answer: Answer) -> Facts:
    e2 = answer.setting.e2
    label, label_share = answer.agreement
    return Facts(
        suspects=len(answer.selection.suspected),
        label=label,
        label_share=label_share,
        chance=1 / len(answer.scenario.classes),
        e2=e2,
        poisoned=answer.precision["suspected"],
        clean=answer.precision["trusted"],
        learned=answer.stages.get("SL"),
        unlearned=answer.ascent[e2 - 1] if 0 < e2 <= len(answer.ascent) else None,
        tuned=answer.stages.get("ASSFT"),
    )


def status(job: Job, doing: Doing, setting: LabSetting, truth: bool) -> str:
    """Return what a job does, how far it is, and how long it still takes.

    Args:
        job: the newest one.
        doing: what the lab does now.
        setting: what the controls say.
        truth: whether to say what no defender can see.
    """
    if not job.has_begun:
        if job.queues:
            return "starting as soon as what was running has finished its epoch"
        return "starting"
    text = progress(doing, truth)
    if job.is_finetuning and job.setting != setting:
        text += f" (from E2 = {job.setting.e2})"
    return text


def progress(doing: Doing, truth: bool) -> str:
    """Return how far a job is, and how long its stage still takes."""
    text = DOES[doing.stage]
    if doing.blocks:
        unit = "part" if doing.stage == "ASSFT" else "epoch"
        text += f": {unit} {doing.block} of {doing.blocks} done"
    if doing.waits:
        return f"waiting, as another page or process does the same: {text}"
    if doing.seconds_left is not None:
        text += f", about {_duration(doing.seconds_left)} left"
    if truth and doing.ca is not None:
        text += f"; CA {percent(doing.ca)}"
    return text


def _duration(seconds: float) -> str:
    if seconds >= 90:
        return f"{round(seconds / 60)} minutes"
    return f"{max(1, round(seconds))} s"


def superseded(doing: Doing, before: LabSetting, after: LabSetting) -> str:
    """Return that a changed setting has stopped fine-tuning, and how to go on with it.

    Args:
        doing: what the job did when it was stopped.
        before: of which setting the fine-tuning was.
        after: what the controls say now.
    """
    old = asdict(before)
    new = asdict(after)
    changes = [f"{SYMBOLS[name]} was {old[name]}" for name in old if old[name] != new[name]]
    done = ""
    if doing.stage == "ASSFT" and doing.blocks:
        done = f" after part {doing.block} of {doing.blocks}"
    return (
        f"Fine-tuning was stopped{done}, because the setting has changed ({', '.join(changes)})."
        " What is done is kept: set that again and press fine-tune, and it goes on from there."
    )


def table(*answers: Answer) -> str:
    """Return settings and their CA and ASR, which are the truth, as HTML, one below the other."""
    head = "".join(f"<th>{name}</th>" for name in ("setting", *STAGES))
    rows = []
    for answer in answers:
        pairs = asdict(answer.setting).items()
        setting = ", ".join(f"{SYMBOLS[name]} {value}" for name, value in pairs)
        rows.append(_table_row([setting, *(_cell(answer, stage) for stage in STAGES)]))
    return f'<table class="dlp-compared"><tr>{head}</tr>{"".join(rows)}</table>'


def _cell(answer: Answer, stage: str) -> str:
    row = answer.stages.get(stage)
    return "–" if row is None else f"CA {percent(row['ca'])}, ASR {percent(row['asr'])}"


def _table_row(cells: list[str]) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
