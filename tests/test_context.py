"""Context: where training runs, and who hears of its progress."""

from dlp_lib import Context, Runtime, print_progress


def test_progress_stays_on_one_line(capsys):
    print_progress("SL", 1, 2, {})
    print_progress("SL", 2, 2, {})
    assert capsys.readouterr().out == "\rSL: 1 of 2\rSL: 2 of 2\n"


def test_progress_is_not_reported_unless_asked_for(capsys):
    Context(Runtime()).progress("SL", 1, 2, {})
    assert capsys.readouterr().out == ""
