import ast
import html
import re
import shlex
import threading

import ipywidgets
import numpy as np
import papermill
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dlp_lib import HOME, Context, Runtime, Store
from dlp_lib.live.background import loop_caller
from dlp_lib.live.controller import Lab
from dlp_lib.live.doing import Report
from dlp_lib.live.sentence import Facts, tell
from dlp_lib.live.setting import LabSetting
from dlp_lib.live.view import Live, explore

START = LabSetting(e1=2, gamma=0.05, e2=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def small(store, steps=20):
    return Lab(Context(Runtime(0), store), n_train=300, n_test=120, epochs=3, steps=steps)


@pytest.fixture(scope="module")
def lab(store):
    """A lab that all pages share, to be quick; nothing is fine-tuned in it."""
    return small(store)


@pytest.fixture
def live(lab):
    page = Live(lab, START)
    page.wait()
    return page


@pytest.fixture(autouse=True)
def rarely_drawn(monkeypatch):
    """Figures are drawn at the beginning and at the end of a job, to be quick."""
    monkeypatch.setattr("dlp_lib.live.view.PAUSE", 1e9)


def move(live, name, value):
    live.controls[name].value = value
    live.wait()


def shown(live):
    return [panel.box.value for panel in live.panels]


def test_the_page_tells_what_is_there(live):
    assert re.search(
        r"of 15 suspects are poisoned, .* of the trusted samples are clean", live.sentence.value
    )
    assert "2 epochs of unlearning have taken ASR from" in live.sentence.value
    assert all('<img alt="' in value and "data:image/png;base64," in value for value in shown(live))
    assert live.messages.status.value == "ready"
    assert live.messages.error.value == ""


@pytest.mark.parametrize(
    ("name", "value", "still"),  # and the panels that must not be drawn again
    [
        ("gamma", 0.1, {"Learning speed"}),
        ("e1", 3, set()),
        (
            "e2",
            3,
            {"Learning speed", "Entropy filter", "Labels of the suspects", "Suspects and trusted"},
        ),
        (
            "lr",
            0.02,
            {"Learning speed", "Entropy filter", "Labels of the suspects", "Suspects and trusted"},
        ),
    ],
)
def test_every_slider_changes_what_depends_on_it_alone(name, value, still, live):
    before = shown(live)
    sentence = live.sentence.value
    move(live, name, value)
    kept = {
        panel.title
        for panel, old in zip(live.panels, before, strict=True)
        if panel.box.value is old
    }
    assert kept == still
    assert live.sentence.value != sentence
    assert live.messages.error.value == ""


def test_moving_e2_starts_no_job(live, monkeypatch):
    monkeypatch.setattr(live.lab, "work", lambda *_: pytest.fail("it worked"))
    move(live, "e2", 1)
    assert live.messages.error.value == ""
    assert "1 epoch of unlearning has taken" in live.sentence.value


def test_without_the_truth_only_what_a_defender_sees_is_left(live):
    live.truth.value = False
    text = live.sentence.value + "".join(re.sub('base64,[^"]*', "", value) for value in shown(live))
    assert not re.search("poisoned|ASR|CA ", text)
    assert "suspects carry the label" in text
    assert "chance: 10%" in text
    assert "dlp-truth" not in text
    without = [panel.title for panel in live.panels if "<img" not in panel.box.value]
    assert without == ["After each stage"]  # the bars are the truth alone
    live.truth.value = True
    assert all("dlp-truth" in value for value in shown(live))


def test_errors_are_shown_and_gone_with_the_next_step(live):
    move(live, "dataset", "no/such/folder")
    assert "FileNotFoundError: dataset=&#x27;no/such/folder&#x27;" in live.messages.error.value
    assert live.messages.status.value == "stopped"
    live.reset()
    live.wait()
    assert live.messages.error.value == ""
    assert live.setting() == START


def test_an_error_in_a_callback_is_shown(live, monkeypatch):
    def broken(_):
        raise RuntimeError("<torn>")

    monkeypatch.setattr(live.lab, "look", broken)
    live.controls["gamma"].value = 0.1
    assert "RuntimeError: &lt;torn&gt;" in live.messages.error.value


def test_finetuning_shows_how_far_it_is_and_what_came_of_it(store, monkeypatch):
    live = Live(small(store), START)
    live.wait()
    monkeypatch.setattr("dlp_lib.live.view.PAUSE", -1)  # every step is shown
    told = []
    live.messages.status.observe(lambda change: told.append(change.new), "value")
    live.buttons["fine-tune"].click()
    live.wait()
    assert told[0] == "starting"
    assert any(re.fullmatch("stage 3, fine-tuning: part 1 of 1 done, .*; CA .*%", t) for t in told)
    assert told[-1] == "ready"
    assert "Fine-tuning has brought CA to" in live.sentence.value


class SlowFinetuning:
    """Stands for the fine-tuning of a lab: it goes on until it may end, or is stopped."""

    def __init__(self, live, monkeypatch):
        self.live = live
        self.may_end = threading.Event()
        self.has_begun = threading.Event()
        self.is_done = False
        monkeypatch.setattr(live.lab, "finetune", self.run)

    def run(self, setting, check, tell):
        report = Report(check, tell)
        self.live.lab._report = report
        report.begin("ASSFT", 0, 18)
        report.advance(4, ca=0.123)
        self.has_begun.set()
        while not self.may_end.wait(0.01):
            check()
        self.is_done = True


@pytest.fixture
def slow(live, monkeypatch):
    slow = SlowFinetuning(live, monkeypatch)
    monkeypatch.setattr(live.lab, "work", lambda *_: None)
    live.buttons["fine-tune"].click()
    assert slow.has_begun.wait(10)
    yield slow
    slow.may_end.set()
    live.wait()


def test_the_truth_and_e2_do_not_stop_finetuning(live, slow):
    live.truth.value = False
    assert "stage 3, fine-tuning: part 4 of 18 done" in live.messages.status.value
    assert "CA" not in live.messages.status.value  # no defender has it
    live.truth.value = True
    assert live.messages.status.value.endswith("CA 12%")
    live.controls["e2"].value = 1
    assert live.messages.status.value.endswith("(from E2 = 2)")
    slow.may_end.set()
    live.wait()
    assert slow.is_done
    assert "Fine-tuning from E2 = 2 is done" in live.messages.note.value
    assert live.messages.status.value == "ready"


@pytest.mark.parametrize(("name", "value"), [("gamma", 0.1), ("e1", 1), ("lr", 0.01), ("seed", 1)])
def test_a_setting_that_stops_finetuning_says_so(name, value, live, slow):
    live.controls[name].value = value
    live.wait()
    assert not slow.is_done
    note = live.messages.note.value
    assert "Fine-tuning was stopped after part 4 of 18, because the setting has changed" in note
    assert f"was {getattr(START, name)})" in note
    live.buttons["fine-tune"].click()
    assert live.messages.note.value == ""


def test_pressing_finetune_twice_goes_on(live, slow):
    live.buttons["fine-tune"].click()
    slow.may_end.set()
    live.wait()
    assert slow.is_done


def test_cancelling_stops_and_keeps_what_is_recorded(store):
    live = Live(small(store, steps=2000), START)
    live.wait()
    live.buttons["fine-tune"].click()
    live.buttons["cancel"].click()
    live.wait()
    assert "cancelled" in live.messages.status.value
    assert "Fine-tuning has" not in live.sentence.value
    move(live, "gamma", 0.1)  # and the page goes on
    assert "of 30 suspects" in live.sentence.value


def test_compare_keeps_a_setting_beside_those_to_come(live):
    live.buttons["compare"].click()
    move(live, "gamma", 0.1)
    assert "gamma 0.05" in live.compared.value
    assert "gamma 0.1" in live.compared.value
    assert live.compared.value.count("CA ") == 4  # after SL and AU, twice
    live.buttons["compare"].click()
    assert live.compared.value == ""


def test_the_setting_can_be_copied(live):
    live.buttons["copy"].click()
    code, command = live.code.value.rsplit("\n\n", 1)
    assert "gamma=0.05,\n    e1=2,\n    e2=2" in code
    ast.parse(code)
    assert live.code.layout.display == ""
    words = shlex.split(command)
    assert words[:5] == ["python", "-m", "dlp_lib", "run", "00_quickstart"]
    parameters = dict(word.split("=", 1) for word in words if "=" in word)
    allowed = papermill.inspect_notebook(str(HOME / "notebooks" / "00_quickstart.ipynb"))
    assert set(parameters) <= set(allowed)
    assert parameters["e1"] == "2"
    live.buttons["copy"].click()
    assert live.code.layout.display == "none"


def test_what_cannot_be_copied_yet_is_said(live):
    live.controls["dataset"].value = str(HOME / "no-images")
    live.wait()
    live.buttons["copy"].click()
    assert "LookupError" in live.messages.error.value
    live.reset()
    live.wait()


def test_a_thread_hands_its_work_to_the_loop():
    import asyncio

    async def main():
        later, done = loop_caller(), []
        await asyncio.to_thread(later, lambda: done.append(asyncio.get_running_loop()))
        await asyncio.sleep(0.05)
        return done == [asyncio.get_running_loop()]

    assert asyncio.run(main())


def test_explore_draws_anew_when_a_control_moves():
    seen = []

    def draw(power, name):
        seen.append((power, name))
        figure = Figure((2, 1))
        figure.subplots().plot([0, power])
        return figure, f"<{name}> to the {power}"

    box = explore(
        draw, power=ipywidgets.IntSlider(2, 1, 5), name=ipywidgets.Dropdown(options=["a", "b"])
    )
    slider, choice, picture = box.children
    assert (slider.description, choice.description) == ("power", "name")
    first = picture.value
    assert 'alt="&lt;a&gt; to the 2"' in first and "data:image/png;base64," in first
    slider.value, choice.value = 3, "b"
    assert seen == [(2, "a"), (3, "a"), (3, "b")] and picture.value != first


def test_a_small_folder_with_odd_class_names_opens(tmp_path):
    """Fewer images than the lab takes at most, and names that matplotlib takes for formulas."""
    names = (r"$\frac$", "5 $ & $6")
    generator = np.random.default_rng(0)
    for name in names:
        (tmp_path / name).mkdir()
        for number in range(15):
            pixels = generator.integers(0, 255, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    lab = Lab(Context(Runtime(0)), n_train=5000, epochs=1, steps=1)
    live = Live(lab, LabSetting(str(tmp_path), poisoning_rate=0.2, gamma=0.1, e1=1, e2=1))
    live.wait()
    assert live.messages.error.value == ""
    assert live.messages.status.value == "ready"
    assert all("<img" in value for value in shown(live))
    live.truth.value = False
    assert live.messages.error.value == ""
    assert any(html.escape(name) in live.sentence.value for name in names)


@pytest.mark.parametrize(("share", "warns"), [(0.5, False), (0.97, False), (0.98, True)])
def test_suspects_that_agree_may_be_clean_and_the_page_says_so(share, warns):
    facts = Facts(100, "disk", share, chance=0.1, e2=11, poisoned=0.5, clean=1.0)
    text = tell(facts, truth=False)
    assert f"{round(100 * share)} of 100 suspects carry the label “disk”" in text
    assert ("clean samples of a class that is learned first" in text) == warns
