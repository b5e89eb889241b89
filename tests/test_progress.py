"""Progress of long work: seen on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from streamspot import progress
from streamspot.progress import Bars


def test_where_there_is_no_terminal_a_plain_line_is_printed_now_and_then(monkeypatch: pytest.MonkeyPatch):
    """A log has how much is done, of how much, and no control sequences; not a line a step."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    log = io.StringIO()
    with Bars(Console(file=log, width=20)) as bar:
        task = bar.add_task("27 trainings", total=270, unit="epochs")
        bar.advance(task, 12.4)
        monkeypatch.setattr(progress, "EVERY", 60.0)
        bar.advance(task, 1.0)
    assert log.getvalue().splitlines()[0].startswith("27 trainings: 12 of 270 epochs, 5 %")
    assert len(log.getvalue().splitlines()) == 1


def test_a_terminal_has_a_bar_with_what_is_counted():
    """The bar is drawn with the share done and the unit."""
    screen = io.StringIO()
    with Bars(Console(file=screen, force_terminal=True, width=100)) as bar:
        bar.advance(bar.add_task("training", total=10, unit="epochs"), 5)
    assert "5 of 10 epochs" in screen.getvalue()
    assert "50%" in screen.getvalue()


def test_nothing_is_shown_where_nothing_is_wanted(capsys: pytest.CaptureFixture[str]):
    """Without a console neither bar nor line appears."""
    with Bars(None) as bar:
        bar.advance(bar.add_task("training", total=1), 1)
    assert capsys.readouterr() == ("", "")
