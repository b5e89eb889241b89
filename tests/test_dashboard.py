"""The dashboard: the picture at any size, the thread that draws it, the plain lines."""

from __future__ import annotations

import io
import threading
import time
from collections import deque

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from streamspot.dashboard.snapshot import copied
from streamspot.telemetry import FaceView, Telemetry

from streamspot.console import can_draw, terminal_size
from streamspot.dashboard import Dashboard, PlainLines, picture
from streamspot.dashboard.live import fresh
from streamspot.dashboard.picture import plain
from streamspot.types import Event, Moment, Score

SIZES = [(80, 24), (120, 36), (200, 50), (72, 20), (400, 100), (71, 20), (100, 12), (40, 10), (20, 5), (1, 1)]


def moment(tick):
    """Return a tick as a moment."""
    return Moment(tick, tick, tick / 30, "2026-01-01T00:00:00.000000Z")


def event(seq=0, *, phase="offset", kind="macro", onset=318, apex=330, offset=373, decided=381, reason=None):
    """Return an event in the form the pipeline announces."""
    return Event(
        session="s",
        stream="clip",
        face=1,
        expression="1",
        phase=phase,
        kind=kind,
        seq=seq,
        onset=moment(onset),
        apex=None if phase == "onset" else moment(apex),
        offset=moment(offset) if phase == "offset" else None,
        intensity=0.82,
        score=0.4,
        decided_at=moment(decided),
        look_ahead=8,
        model="m",
        reason=reason,
    )


def running(faces=1, ticks=400):
    """Return the telemetry of a stream in full swing."""
    telemetry = Telemetry(
        source="clip.mp4", nominal_fps=30.0, model="small", look_ahead=8, thresholds=(0.3, 0.6)
    )
    telemetry.frames, telemetry.pts, telemetry.fps = ticks + 8, (ticks + 8) / 30, 29.9
    for track in range(1, faces + 1):
        view = FaceView()
        view.curve.extend(Score(t, t / 30, t, 0.5 + 0.5 * np.sin(t / 20), 0.5, 0.5) for t in range(ticks))
        view.marks.extend([(318, "onset", "macro"), (330, "apex", "macro"), (373, "offset", "macro")])
        telemetry.faces[track] = view
    telemetry.events.append(event())
    for latency in telemetry.stages.values():
        latency.add(0.004)
    telemetry.broker.address, telemetry.broker.state = "mqtt://127.0.0.1:1883", "online"
    return telemetry


def text_of(telemetry, width=120, height=36, **more):
    """Return the picture without its colours."""
    lines = picture(telemetry, width, height, **more)
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def until(condition, seconds=5.0):
    """Wait for a condition; return whether it came true."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self):
        """Say yes."""
        return True


def terminal(width=100, height=30):
    """Return a console on a made-up terminal."""
    return Console(file=Terminal(), force_terminal=True, width=width, height=height, legacy_windows=False)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("faces", [0, 1, 2, 4, 7])
def test_the_picture_fits_every_terminal(width, height, faces):
    """From one character to very wide, the picture has exactly the terminal's rows and columns."""
    telemetry = running(faces)
    telemetry.broker.error = "refused the user: check the password"
    telemetry.messages.append("映像: a \x1b[31mwarning\nof two lines")
    lines = picture(telemetry, width, height, elapsed=5000.0, log="/var/log/a")
    assert len(lines) == height
    assert {sum(cell_len(segment.text) for segment in line) for line in lines} == {width}
    assert "\x1b" not in text_of(telemetry, width, height)


@given(width=st.integers(1, 260), height=st.integers(1, 90), faces=st.integers(0, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_size_of_terminal(width, height, faces):
    """No size of terminal breaks the picture."""
    lines = picture(running(faces, ticks=60), width, height)
    assert [sum(cell_len(segment.text) for segment in line) for line in lines] == [width] * height


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 50)])
def test_the_picture_shows_what_matters(width, height):
    """Source, notice, face, state, axis, thresholds, events, rate, stages and broker stand in the picture."""
    telemetry = running()
    telemetry.faces[1].state = "macro"
    text = text_of(telemetry, width, height, elapsed=61.0)
    expected = [
        "clip.mp4",
        "every frame",
        "up 01:01",
        "people in view should know",
        "never emotion",
        "face 1",
    ]
    expected += [
        "◆ macro",
        "look-ahead 0.27 s",
        "1.0",
        "0.3",
        "0.6",
        " s ──",
        "▼ offset",
        "1.83 s",
        "+0.27 s",
    ]
    expected += ["29.9 of 30 fps", "0 dropped", "0 without face", "spotting", "total", "online", "queued"]
    assert [part for part in expected if part not in text] == []


def test_a_refused_broker_is_in_red_and_in_words():
    """A broker that refuses is told by its state and by its error, in the alarm colour."""
    telemetry = running()
    telemetry.broker.state, telemetry.broker.error = "refused", "not authorised: check the user name"
    segments = [segment for line in picture(telemetry, 120, 36) for segment in line]
    red = " ".join(s.text for s in segments if s.style and s.style.color and s.style.color.name == "#d7263d")
    assert "refused" in red
    assert "not authorised" in red


def test_nobody_in_view_gives_a_hint():
    """Before the first frame and with nobody in view the picture says what it waits for."""
    telemetry = Telemetry(source="/dev/video0")
    assert "Waiting for the first frame of /dev/video0" in text_of(telemetry)
    telemetry.frames = 10
    assert "nobody in view" in text_of(telemetry)


def test_a_lost_face_is_told_and_then_forgotten():
    """A face that went is marked as lost while its curve scrolls away, and is gone after ten seconds."""
    telemetry = running()
    telemetry.faces[1].visible = False
    telemetry.pts += 4.0
    assert "face lost 4 s ago" in text_of(telemetry)
    telemetry.pts += 10.0
    assert "nobody in view" in text_of(telemetry)


def test_plain_line_of_each_phase():
    """A plain line holds time, face, kind, phase, duration, peak and delay, all columns aligned."""
    line = "00:12.433  face 1  macro  offset  1.83 s  peak 0.82  decided +0.27 s"
    assert plain(event()) == line
    assert plain(event(phase="onset", decided=330)).index("peak") == line.index("peak")
    assert plain(event(phase="cancelled", reason="face lost")).endswith("cancelled  face lost")


def test_plain_lines_report_every_event_and_message_once():
    """Without a terminal each event and each message gives one line, the last ones after the block too."""
    telemetry, out = Telemetry(), io.StringIO()
    with PlainLines(telemetry, console=Console(file=out, width=20)):
        telemetry.messages.append("dark")
        telemetry.events.append(event(0))
        time.sleep(0.25)
        telemetry.messages.append("dark")
        telemetry.events.append(event(1))
        telemetry.events.append(event(4))
    lines = out.getvalue().splitlines()
    assert [line for line in lines if line == "! dark"] == ["! dark"] * 2
    assert sum("peak" in line for line in lines) == 3
    assert "! 2 events not shown here: they came too fast" in lines


@given(old=st.lists(st.sampled_from("ab"), max_size=6), new=st.lists(st.sampled_from("cd"), max_size=9))
def test_new_messages_are_found_in_a_bounded_list(old, new):
    """What was appended is reported exactly, even if it pushed older messages out."""
    bounded = deque(old, maxlen=6)
    bounded.extend(new)
    assert fresh(old, list(bounded)) == new[-6:]


def test_dashboard_leaves_the_last_picture_and_a_summary():
    """After the block the normal screen is back, with the cursor, the last picture and one sentence."""
    console = terminal()
    with Dashboard(running(), console=console):
        time.sleep(0.3)
    drawn, _, left = console.file.getvalue().partition("\x1b[?1049l")
    assert drawn.startswith("\x1b[?1049h")
    assert "face 1" in left
    assert "\x1b[?25h" in left
    assert "408 frames, 0 dropped, 1 event, 0 acknowledged by mqtt://127.0.0.1:1883." in left


def test_dashboard_never_hurts_the_run(capsys):
    """A picture that cannot be drawn, or a terminal that is gone, ends the dashboard and not the run."""
    broken = running()
    broken.stages = None
    console = terminal()
    with Dashboard(broken, console=console):
        time.sleep(0.1)
    gone = terminal()
    with Dashboard(running(), console=gone):
        gone.file.close()
        time.sleep(0.3)
    assert "Traceback" in capsys.readouterr().err
    assert "The dashboard stopped" in console.file.getvalue()


def test_dashboard_passes_on_the_errors_of_the_run():
    """An error inside the block leaves it unchanged, the screen restored."""
    console = terminal()
    with pytest.raises(KeyError), Dashboard(running(), console=console):
        raise KeyError
    assert "\x1b[?1049l" in console.file.getvalue()


def test_dashboard_follows_the_size_and_draws_only_changes():
    """A resize repaints everything, else only changed lines are written, at most 8 times a second."""
    console = terminal()
    dashboard = Dashboard(running(), console=console, rate=100)
    assert dashboard._period == pytest.approx(1 / 8)
    with dashboard:
        assert until(lambda: "latency" in console.file.getvalue())
        first = len(console.file.getvalue())
        time.sleep(0.5)
        assert len(console.file.getvalue()) - first < first / 2
        console.size = (60, 15)
        assert until(lambda: console.file.getvalue().count("\x1b[2J") == 2)


def test_reading_while_the_pipeline_writes():
    """The picture is drawn while curves, marks, events and faces grow in another thread."""
    telemetry = running()
    stop = threading.Event()

    def write():
        tick = 400
        while not stop.is_set():
            tick += 1
            telemetry.faces[1].curve.append(Score(tick, tick / 30, tick, 0.5, 0.5, 0.5))
            telemetry.faces[1].marks.append((tick, "apex", "micro"))
            telemetry.events.append(event(tick))
            telemetry.faces[2 + tick % 50] = FaceView()
            telemetry.faces.pop(2 + (tick + 7) % 50, None)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            assert len(picture(telemetry, 100, 30)) == 30
    finally:
        stop.set()
        writer.join()


def test_a_deque_that_never_holds_still_is_taken_for_empty():
    """Copying gives up rather than raise when a deque keeps changing."""

    class Restless(deque):
        def __iter__(self):
            message = "deque mutated during iteration"
            raise RuntimeError(message)

    assert copied(Restless([1])) == []


def test_where_a_dashboard_makes_sense(monkeypatch):
    """A pipe, a dumb terminal, another encoding and the kernel's console get plain lines instead."""
    monkeypatch.setenv("TERM", "xterm-256color")
    assert can_draw(terminal())
    assert not can_draw(Console(file=io.StringIO()))
    assert not can_draw()  # pytest holds the standard streams
    assert terminal_size(terminal(91, 17)) == (91, 17)
    for name in ("dumb", "linux"):
        monkeypatch.setenv("TERM", name)
        assert not can_draw(Console(file=Terminal(), force_terminal=True, legacy_windows=False))


def test_no_colour_is_respected():
    """With NO_COLOR no colour code is written, and macro and micro can still be told apart."""
    out = Terminal()
    console = Console(file=out, force_terminal=True, color_system="truecolor", no_color=True, width=120)
    lines = picture(running(), 120, 36)
    console.print(Segments([s for line in lines for s in [*line, Segment.line()]]), end="", crop=False)
    assert "38;" not in out.getvalue()
    assert "▲" in out.getvalue()
