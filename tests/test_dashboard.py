"""The dashboard as it runs: the thread that draws it and the keys it obeys; the plain lines."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console
from screens import Stream, Terminal, dashboard_on, event, terminal, until

from streamspot.console import can_draw, terminal_size
from streamspot.dashboard.lines import PlainLines
from streamspot.dashboard.text import plain
from streamspot.doctor import examine
from streamspot.stats import Delivery, Stats


def test_plain_line_of_each_phase():
    """A plain line holds time, face, kind, phase, duration, peak and delay, all columns aligned."""
    line = "00:12.433  face 1  macro  offset  1.83 s  peak 0.82  decided +0.27 s"
    assert plain(event()) == line
    assert plain(event(phase="onset", decided=330)).index("peak") == line.index("peak")
    assert plain(event(phase="cancelled", reason="face lost")).endswith("cancelled  face lost")


def test_plain_lines_report_every_event_and_message_once_and_what_happened():
    """Without a terminal each event and each message gives one line; the last line says what there was."""
    stream, out = Stream(), io.StringIO()
    with PlainLines([stream.stats], stream.delivery, Console(file=out, width=20)) as lines:
        stream.takers = [lines.take]
        stream.push(0, events=[event(0)], messages=["dark"])
        stream.push(1, events=[event(1), event(2, phase="onset")], messages=["dark"])
        stream.delivery.messages.append("the broker is back")
        assert until(lambda: "back" in out.getvalue())  # while nothing else comes
        stream.delivery.messages.append("the broker went away")
    said = out.getvalue().splitlines()
    assert said.count("! dark") == 2
    assert said.count("! the broker is back") == said.count("! the broker went away") == 1
    assert sum("peak" in line for line in said) == 3
    assert said[-1].startswith("done: 2 frames, 2 expressions, 0 dropped")


def test_plain_lines_leave_the_last_word_to_an_error():
    """A run that failed is not said to be done, and its error comes through."""
    out = io.StringIO()
    with pytest.raises(KeyError), PlainLines([Stats()], Delivery(), Console(file=out)):
        raise KeyError
    assert "done" not in out.getvalue()


def test_plain_lines_survive_a_reader_that_goes():
    """The run goes on when whoever read the lines has gone."""
    stream, out = Stream(), io.StringIO()
    with PlainLines([stream.stats], stream.delivery, Console(file=out)) as lines:
        out.close()
        stream.takers = [lines.take]
        stream.run()


def test_plain_lines_are_bounded_where_nobody_reads_them(monkeypatch):
    """Before a reader that stands still a few lines wait, however long; how many are left out is said there."""
    monkeypatch.setattr("streamspot.dashboard.lines._WAITING", 10)
    stream, out, read = Stream(), io.StringIO(), threading.Event()
    console = Console(file=out)
    monkeypatch.setattr(console, "out", lambda line, **_: read.wait(20) and out.write(f"{line}\n"))
    with PlainLines([stream.stats], stream.delivery, console) as lines:
        stream.takers = [lines.take]
        for tick in range(30):
            stream.push(tick, messages=["dark"])
        read.set()
        assert until(lambda: out.getvalue().count("! dark") >= 9)
        stream.push(30, messages=["back"])
        stream.push(31, messages=["again"])
        assert until(lambda: "again" in out.getvalue())
    said = [line for line in out.getvalue().splitlines() if line[0] == "!"]
    assert said[-3:] == [
        f"! {33 - len(said)} lines left out here: nobody read them in time",
        "! back",
        "! again",
    ]
    assert 12 <= len(said) <= 14


def test_dashboard_leaves_the_last_picture_and_a_summary():
    """After the block the normal screen is back, with the cursor, the last picture and one sentence."""
    console, stream = terminal(), Stream()
    stream.delivery.acknowledged = 3
    with dashboard_on(console, stream.stats, stream.delivery) as dashboard:
        stream.takers = [dashboard.take]
        stream.run()
        assert until(lambda: "face 1" in console.file.getvalue())
    drawn, _, left = console.file.getvalue().partition("\x1b[?1049l")
    assert drawn.startswith("\x1b[?1049h")
    assert "face 1" in left
    assert "\x1b[?25h" in left
    summary = "408 frames, 1 expression, 0 dropped, 3 events acknowledged by mqtt://127.0.0.1:1883."
    assert summary in " ".join(left.split())


def test_dashboard_never_hurts_the_run(capsys):
    """A picture that cannot be drawn, or a terminal that is gone, ends the dashboard and not the run."""
    broken, console = Stream(), terminal()
    broken.stats.stages = None
    with dashboard_on(console, broken.stats, broken.delivery) as dashboard:
        broken.takers = [dashboard.take]
        broken.run()
        assert until(lambda: "The dashboard stopped" in console.file.getvalue())
    gone, stream = terminal(), Stream()
    with dashboard_on(gone, stream.stats, stream.delivery) as dashboard:
        stream.takers = [dashboard.take]
        gone.file.close()
        stream.run()
    assert "Traceback" in capsys.readouterr().err


def test_dashboard_passes_on_the_errors_of_the_run():
    """An error inside the block leaves it unchanged, the screen restored."""
    console = terminal()
    with pytest.raises(KeyError), dashboard_on(console, Stats(), Delivery()):
        raise KeyError
    assert "\x1b[?1049l" in console.file.getvalue()


def test_dashboard_follows_the_size_and_draws_only_changes():
    """A resize repaints everything, else lines that changed are written more often than those that did not."""
    console, stats = terminal(), Stats()
    with dashboard_on(console, stats, Delivery()):
        for frames in range(101, 108):
            stats.frames = frames
            assert until(lambda: f"{stats.frames}" in console.file.getvalue())
        assert console.file.getvalue().count("onset  ◆ apex") < 7
        console.size = (60, 15)
        assert until(lambda: console.file.getvalue().count("\x1b[2J") == 2)


def test_where_a_dashboard_makes_sense(monkeypatch):
    """A pipe, a dumb terminal, another encoding and the kernel's console get plain lines instead."""
    monkeypatch.setenv("TERM", "xterm-256color")
    assert can_draw(terminal())
    assert not can_draw(Console(file=io.StringIO()))
    assert not can_draw(Console(stderr=True))  # pytest holds the standard streams
    assert terminal_size(terminal(91, 17)) == (91, 17)
    assert ("terminal", "ok", "100 x 30, the dashboard can be drawn") in examine(terminal(), "none")
    for name in ("dumb", "linux"):
        monkeypatch.setenv("TERM", name)
        assert not can_draw(Console(file=Terminal(), force_terminal=True, legacy_windows=False))
