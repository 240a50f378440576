"""The words of the live lab: they say what the figures beside them say."""

import pytest

from dlp_lib.live import words
from dlp_lib.live.answer import Answer
from dlp_lib.live.doing import Doing, Job
from dlp_lib.live.sentence import difference, percent
from dlp_lib.live.setting import LabSetting


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (0.844, 0.446, "39 points lost"),  # said as 84% and 45%
        (0.5, 0.521, "2 points gained"),
        (0.5, 0.4904, "1 point lost"),
        (0.503, 0.497, "unchanged"),  # both said as 50%
    ],
)
def test_a_difference_is_that_of_the_numbers_beside_it(before, after, text):
    assert difference(before, after) == text
    said = [int(percent(share).rstrip("%")) for share in (before, after)]
    points = int(text.split()[0]) if text != "unchanged" else 0
    assert abs(said[0] - said[1]) == points


def test_nothing_is_said_of_what_is_not_known():
    """Beside an error, "Training to epoch 4" would be untrue."""
    assert words.sentence(Answer(LabSetting()), truth=True) == ""


SETTING = LabSetting()
RUNNING = Job(SETTING, is_finetuning=True, queues=False, has_begun=True)


@pytest.mark.parametrize(
    ("doing", "text"),
    [
        (Doing(), "loading and poisoning the data"),
        (Doing("SL", 3, 20, 51.2), "stage 1, supervised learning: epoch 3 of 20 done, about 51 s"),
        (Doing("AU", 1, 20, 180.0), "stage 2, unlearning: epoch 1 of 20 done, about 3 minutes"),
        (Doing("ASSFT", 4, 18, 9.0, ca=0.5), "stage 3, fine-tuning: part 4 of 18 done, about 9 s"),
        (Doing("SL", 3, 20, 51.2, waits=True), "waiting, as another page or process does the same"),
    ],
)
def test_a_status_says_what_is_done_and_how_long_it_takes(doing, text):
    assert text in words.status(RUNNING, doing, SETTING, truth=True)


def test_the_status_keeps_the_truth_to_itself():
    doing = Doing("ASSFT", 4, 18, 9.0, ca=0.5)
    assert words.status(RUNNING, doing, SETTING, truth=True).endswith("CA 50%")
    assert "CA" not in words.status(RUNNING, doing, SETTING, truth=False)


def test_a_job_that_has_not_begun_does_not_speak_for_the_one_before():
    doing = Doing("AU", 1, 20)
    for queues, text in ((False, "starting"), (True, "starting as soon as")):
        job = Job(SETTING, is_finetuning=False, queues=queues)
        status = words.status(job, doing, SETTING, truth=True)
        assert status.startswith(text)
        assert "stage 2" not in status
