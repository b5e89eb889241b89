"""The dashboard: the picture at any size, the thread that draws it, the plain lines."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments

from streamspot.console import QuietStderr, can_draw, terminal_size
from streamspot.dashboard.lines import PlainLines
from streamspot.dashboard.live import Dashboard
from streamspot.dashboard.picture import picture
from streamspot.dashboard.text import plain
from streamspot.dashboard.view import View
from streamspot.doctor import examine
from streamspot.state import fold
from streamspot.stats import Delivery, Stats
from streamspot.types import Controls, Event, FaceMotion, RegionMotion, Score, SegmentEnd, Session, Update

SIZES = [(80, 24), (120, 36), (200, 50), (72, 20), (400, 100), (71, 20), (100, 12), (40, 10), (20, 5), (1, 1)]
SESSION = Session("r", "s", "clip", 0.0, datetime(2026, 1, 1, tzinfo=UTC))
RED = "#d7263d"


def event(seq=0, *, phase="offset", kind="macro", onset=318, apex=330, offset=373, decided=381, reason=None):
    """Return an event in the form the pipeline announces."""
    return Event(
        run="r",
        session="s",
        stream="clip",
        face=1,
        expression="1",
        phase=phase,
        kind=kind,
        seq=seq,
        onset=SESSION.moment(onset, onset),
        apex=None if phase == "onset" else SESSION.moment(apex, apex),
        offset=SESSION.moment(offset, offset) if phase == "offset" else None,
        intensity=0.82,
        score=0.4,
        decided_at=SESSION.moment(decided, decided),
        look_ahead=8,
        model="m",
        reason=reason,
    )


class Stream:
    """A made-up stream: what its engine would count, and the updates it would give to ``take``."""

    def __init__(self, take=lambda _: None):
        self.stats = Stats("clip.mp4", nominal_fps=30.0, model="small", look_ahead=8, thresholds=(0.3, 0.6))
        self.delivery = Delivery("mqtt://127.0.0.1:1883", "online")
        self.takers = [take]
        self.faces = {}
        for latency in self.stats.stages.values():
            latency.add(0.004)

    def push(self, tick, *, faces=(1,), events=(), ended=(), reason=None, messages=(), controls=None):
        """Say that a tick came, of which every face was seen and the one 8 ticks before it is judged."""
        self.stats.frames, self.stats.pts, self.stats.fps = tick + 1, tick / 30, 29.9
        still = np.zeros((17, 2), np.float32)
        motion = [FaceMotion(face, RegionMotion(tick, tick / 30, tick, still)) for face in faces]
        motion += [SegmentEnd(face, reason) for face in ended]
        judged, level = tick - 8, 0.5 + 0.5 * np.sin(tick / 20)
        score = Score(judged, judged / 30, judged, level, 0.5, 0.5)
        scores = [(face, score) for face in faces if judged >= 0]
        self.faces = fold(self.faces, motion, scores, events)
        update = Update(
            SESSION,
            tick,
            tick / 30,
            tuple(motion),
            tuple(scores),
            tuple(events),
            self.faces,
            tuple(messages),
            controls or Controls(),
        )
        for take in self.takers:
            take(update)

    def run(self, faces=1, ticks=408):
        """Play the first seconds, with one expression in them."""
        phases = {
            327: event(0, phase="onset", decided=327),
            348: event(1, phase="apex", decided=348),
            389: event(2, decided=389),
        }
        for tick in range(ticks):
            events = [phases[tick]] if tick in phases else []
            self.push(tick, faces=tuple(range(1, faces + 1)), events=events)
        return self


def running(faces=1, ticks=408):
    """Return a stream in full swing and the view of it."""
    stream = Stream()
    view = View(stream.stats, stream.delivery)
    stream.takers = [view.take]
    return stream.run(faces, ticks), view


def text_of(view, width=120, height=36, **more):
    """Return the picture without its colours."""
    lines = picture(view.shown(**more), width, height)
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def red(view):
    """Return all that is written in the alarm colour."""
    segments = [segment for line in picture(view.shown(), 120, 36) for segment in line]
    return " ".join(s.text for s in segments if s.style and s.style.color and s.style.color.name == RED)


def until(condition, seconds=20.0):
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
    size = {"width": width, "height": height}
    return Console(file=Terminal(), force_terminal=True, legacy_windows=False, highlight=False, **size)


@contextmanager
def dashboard_on(console, stats, delivery):
    """Draw a stream on a made-up terminal."""
    with QuietStderr() as quiet:
        quiet.console = console
        with Dashboard(stats, delivery, quiet, on_quit=lambda: None) as dashboard:
            yield dashboard


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("faces", [0, 1, 2, 4, 7])
def test_the_picture_fits_every_terminal(width, height, faces):
    """From one character to very wide, the picture has exactly the terminal's rows and columns."""
    stream, view = running(faces, ticks=60)
    stream.delivery.error = "refused the user: check the password"
    stream.push(60, faces=range(1, faces + 1), messages=["映像: a \x1b[31mwarning\nof two lines"])
    lines = picture(view.shown(elapsed=5000.0, log="/var/log/a"), width, height)
    assert len(lines) == height
    assert {sum(cell_len(segment.text) for segment in line) for line in lines} == {width}
    assert "\x1b" not in text_of(view, width, height)


@given(width=st.integers(1, 260), height=st.integers(1, 90), faces=st.integers(0, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_size_of_terminal(width, height, faces):
    """No size of terminal breaks the picture."""
    _, view = running(faces, ticks=40)
    lines = picture(view.shown(), width, height)
    assert [sum(cell_len(segment.text) for segment in line) for line in lines] == [width] * height


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 50)])
def test_the_picture_shows_what_matters(width, height):
    """Source, notice, face, state, axis, thresholds, events, rate, stages, broker and the end stand in it."""
    stream, view = running()
    stream.push(408, events=[replace_event(event(3, phase="onset", onset=400, decided=408), "2")])
    text = text_of(view, width, height, elapsed=61.0, ending="q ends the run")
    expected = [
        *("clip.mp4", "every frame", "up 01:01", "people in view should know", "never emotion", "face 1"),
        *("◆ macro", "intensity", "look-ahead 0.27 s", "1.0", "0.3", "0.6", " s ──", "▼ offset", "1.83 s"),
        *("+0.53 s", "29.9 of 30 fps", "0 dropped", "0 without face", "spotting", "total", "online"),
        *("queued", "q ends the run"),
    ]
    assert [part for part in expected if part not in text] == []


def replace_event(one, expression):
    """Return an event of another expression."""
    return one.model_copy(update={"expression": expression})


def test_a_refused_broker_is_in_red_and_in_words():
    """A broker that refuses is told by its state and by its error, in the alarm colour."""
    stream, view = running()
    stream.delivery.state, stream.delivery.error = "refused", "not authorised: check the user name"
    assert "refused" in red(view)
    assert "not authorised" in red(view)


def test_a_message_hides_nothing():
    """A message in the last line leaves room for how the run is ended, on a small terminal too."""
    stream, view = running()
    stream.push(408, messages=["the camera gives 14 fps instead of 30: more light helps " * 3])
    for width, height in [(120, 36), (80, 24), (60, 15)]:
        last = text_of(view, width, height, ending="q ends the run").splitlines()[-1]
        assert "! the camera" in last
        assert last.endswith("q ends the run ")


def test_the_dashboard_stands_before_anything_slow_is_loaded():
    """Neither the network, nor the face detector, nor any output is imported when a source has been opened."""
    script = (
        "import sys, streamspot.cli, streamspot.dashboard.live\n"
        "from streamspot.run import StreamRun\n"
        "from streamspot.settings import load_settings\n"
        "StreamRun(load_settings({'source': 'synthetic'}))\n"
        "print([name for name in ('torch', 'mediapipe', 'aiomqtt', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_picture_says_what_it_waits_for():
    """The network, the first frame, a face: each has its sentence until it is there."""
    stats = Stats(source="/dev/video0", live=True)
    view = View(stats, Delivery())
    assert "Loading the network" in text_of(view)
    stats.model = "small"
    assert "Waiting for the first frame of /dev/video0" in text_of(view)
    view.take(Update(SESSION))
    assert "nobody in view" in text_of(view)
    assert "Face the camera" in text_of(view)


def test_a_lost_face_is_told_and_then_forgotten():
    """A face that went is marked as lost while its curve scrolls away, and is gone after ten seconds."""
    stream, view = running()
    stream.push(408, faces=(), ended=(1,), reason="face lost")
    stream.push(519, faces=())
    assert "face lost 4 s ago" in text_of(view)
    assert "face lost" in red(view)
    stream.push(820, faces=())
    assert "nobody in view" in text_of(view)


def test_the_regular_end_is_no_alarm():
    """At the end of a recording nothing is lost, nothing is red and nobody is told how to end the run."""
    stream, view = running()
    stream.push(408, faces=(), ended=(1,))
    stream.stats.finished = True
    text = text_of(view, ending="q ends the run")
    assert "finished" in text
    assert "in view to the end" in text
    assert "lost" not in text
    assert "ends the run" not in text
    assert not red(view)


def test_a_pause_is_told():
    """A paused stream says so, and so does the face that was in view."""
    stream, view = running()
    stream.push(408, faces=(), ended=(1,), reason="paused", controls=Controls(paused=True))
    assert text_of(view).count("paused") == 2
    assert "lost" not in text_of(view)


def test_a_cancelled_expression_ends_where_it_was_cancelled():
    """The marks of an expression that came to nothing do not grow with time."""
    stream, view = running(ticks=100)
    stream.push(100, events=[event(0, phase="onset", onset=80, decided=100)])
    stream.push(101, events=[event(1, phase="cancelled", onset=80, apex=92, decided=109, reason="too short")])
    lengths = set()
    for tick in range(102, 300):
        stream.push(tick)
        (row,) = [line for line in text_of(view).splitlines() if "▲╌" in line]
        lengths.add(row.index("✕") - row.index("▲"))
    assert max(lengths) - min(lengths) <= 1


def test_no_kind_stands_beside_an_intensity():
    """The intensity of this moment is no intensity of the expression that is still going on."""
    stream, view = running()
    stream.push(408, events=[replace_event(event(3, phase="onset", onset=400, decided=408), "2")])
    (title,) = [line for line in text_of(view).splitlines() if "face 1" in line]
    assert title.index("◆ macro") < title.index("───") < title.index("intensity")


def test_plain_line_of_each_phase():
    """A plain line holds time, face, kind, phase, duration, peak and delay, all columns aligned."""
    line = "00:12.433  face 1  macro  offset  1.83 s  peak 0.82  decided +0.27 s"
    assert plain(event()) == line
    assert plain(event(phase="onset", decided=330)).index("peak") == line.index("peak")
    assert plain(event(phase="cancelled", reason="face lost")).endswith("cancelled  face lost")


def test_plain_lines_report_every_event_and_message_once_and_what_happened():
    """Without a terminal each event and each message gives one line; the last line says what there was."""
    stream, out = Stream(), io.StringIO()
    with PlainLines(stream.stats, stream.delivery, Console(file=out, width=20)) as lines:
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
    with pytest.raises(KeyError), PlainLines(Stats(), Delivery(), Console(file=out)):
        raise KeyError
    assert "done" not in out.getvalue()


def test_plain_lines_survive_a_reader_that_goes():
    """The run goes on when whoever read the lines has gone."""
    stream, out = Stream(), io.StringIO()
    with PlainLines(stream.stats, stream.delivery, Console(file=out)) as lines:
        out.close()
        stream.takers = [lines.take]
        stream.run()


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


def test_reading_while_the_stream_writes():
    """The picture is drawn while curves, marks, events and faces grow in another thread."""
    stream, view = running()
    stop = threading.Event()

    def write():
        tick = 408
        while not stop.is_set():
            tick += 1
            came = 2 + tick % 50
            one = replace_event(event(tick, phase="onset", onset=tick - 8, decided=tick), str(tick))
            stream.push(tick, faces=(1, came), events=[one], ended=(came,), reason="face lost")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            assert len(picture(view.shown(), 100, 30)) == 30
    finally:
        stop.set()
        writer.join()


def test_the_view_does_not_grow():
    """However long a stream runs, what is kept of it stays the same size."""
    stream, view = running()
    for tick in range(408, 2500):
        one = replace_event(event(tick, onset=tick - 20, apex=tick - 15, offset=tick - 10), str(tick))
        lost = 2 + tick // 3
        stream.push(tick, faces=(1, lost), events=[one], ended=(lost,), reason="face lost", messages=["dark"])
    shown = view.shown()
    assert len(shown.faces) <= 1 + 300 // 3 + 2
    assert (len(shown.events), len(shown.messages)) == (50, 20)
    assert len(shown.faces[0].scores) == 900
    assert len(shown.faces[0].spans) == 64


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


def test_no_colour_is_respected():
    """With NO_COLOR no colour code is written, and macro and micro can still be told apart."""
    out = Terminal()
    console = Console(file=out, force_terminal=True, color_system="truecolor", no_color=True, width=120)
    _, view = running()
    lines = picture(view.shown(), 120, 36)
    console.print(Segments([s for line in lines for s in [*line, Segment.line()]]), end="", crop=False)
    assert "38;" not in out.getvalue()
    assert "▲" in out.getvalue()
