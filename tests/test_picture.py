"""The picture of the dashboard: right at any size of the terminal, whatever the stream does."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from screens import SESSION, Stream, Terminal, event, red, replace_event, running, text_of

from streamspot.dashboard.look import Look
from streamspot.dashboard.picture import picture
from streamspot.dashboard.text import elide
from streamspot.dashboard.view import Views
from streamspot.stats import Delivery, Latency, Stats
from streamspot.types import Controls, Moved, Update

SIZES = [(80, 24), (120, 36), (200, 50), (78, 20), (400, 100), (77, 20), (100, 12), (40, 10), (20, 5), (1, 1)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("faces", [0, 1, 2, 4, 7])
def test_the_picture_fits_every_terminal(width, height, faces):
    """From one character to very wide, the picture has exactly the terminal's rows and columns."""
    stream, view = running(faces, ticks=60)
    stream.delivery.error = "refused the user: check the password"
    stream.push(60, faces=range(1, faces + 1), messages=["映像: a \x1b[31mwarning\nof two lines"])
    lines = picture(view.shown(elapsed=5000.0, log="/var/log/a"), Look(), width, height)
    assert len(lines) == height
    assert {sum(cell_len(segment.text) for segment in line) for line in lines} == {width}
    assert "\x1b" not in text_of(view, width, height)


@given(width=st.integers(1, 260), height=st.integers(1, 90), faces=st.integers(0, 5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_size_of_terminal(width, height, faces):
    """No size of terminal breaks the picture."""
    _, view = running(faces, ticks=40)
    lines = picture(view.shown(), Look(), width, height)
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


def test_the_topics_are_told_where_there_is_room():
    """Whoever subscribes, or grants a right, reads the name of the stream off the picture."""
    stream, view = running()
    stream.delivery.topics = "streamspot/lab/cam0"
    assert "below streamspot/lab/cam0" in text_of(view, 120, 44)
    assert "online" in text_of(view, 80, 24)


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


def test_wide_characters_cost_no_message_its_end():
    """Of a message with Chinese in it the remedy can be read, in the panel and in the last line."""
    stream, view = running()
    stream.push(408, messages=[f"/videos/{'表情認識' * 12}.mp4 gives no picture; plug it in again"])
    panel, last = text_of(view, 120, 60).rsplit("\n", 1)
    words = "".join(line.rpartition("││")[2].strip(" │") for line in panel.splitlines()).replace(" ", "")
    assert f"{'表情認識' * 12}.mp4givesnopicture;plugitinagain" in words
    assert "plug it in again" in last
    assert cell_len(elide("表" * 30 + "; mend it", 21)) == 21
    assert elide("表" * 30 + "; mend it", 21).rstrip().endswith("; mend it")


def test_the_dashboard_stands_before_anything_slow_is_loaded():
    """Neither the network, nor the face detector, nor any output is imported when a source has been opened."""
    script = (
        "import sys, streamspot.cli, streamspot.dashboard.live\n"
        "from streamspot.run import StreamRun\n"
        "from streamspot.layers import load_settings\n"
        "StreamRun(load_settings({'source': 'synthetic'}))\n"
        "print([name for name in ('torch', 'mediapipe', 'aiomqtt', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_picture_says_what_it_waits_for():
    """The network, the first frame, a face: each has its sentence until it is there."""
    stats = Stats(source="/dev/video0", live=True)
    view = Views([stats], Delivery())
    assert "Loading the network" in text_of(view)
    stats.model = "small"
    assert "Waiting for the first frame." in text_of(view)
    view.take("", Update(SESSION))
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


@pytest.mark.parametrize(("width", "height"), [(40, 7), (59, 20), (80, 24), (120, 36), (200, 60)])
@pytest.mark.parametrize("look", [Look(), Look(edges={"clip": 300})])
def test_whoever_is_in_view_stands_before_those_who_left(width, height, look):
    """Of nine people who passed one by one the one who is there is shown, however many panels there is room for."""
    stream, view = running(ticks=100)
    for face in range(2, 10):
        for tick in range(100 + 20 * face, 120 + 20 * face):
            gone = (face - 1,) if tick == 100 + 20 * face else ()
            stream.push(tick, faces=(face,), ended=gone, reason="face lost")
    assert "face 9" in text_of(view, width, height, look=look)


def test_the_regular_end_is_no_alarm():
    """At the end of a source nothing is lost or too slow, nothing is red and nobody is told how to end the run."""
    stream, view = running()
    stream.push(408, faces=(), ended=(1,))
    stream.stats.live, stream.stats.finished, stream.stats.fps = True, True, 0.0
    text = text_of(view, ending="q ends the run")
    assert "finished" in text
    assert "· ended" in text
    assert "0.0" not in text[text.index("pipeline") : text.index("latency")]
    assert "lost" not in text
    assert "ends the run" not in text
    assert not red(view)


def test_a_file_shows_its_length_and_what_is_left():
    """Of a recording the header says where it stands, of how much, and how long the rest takes."""
    stream, view = running(ticks=300)
    assert "to go" not in text_of(view)
    stream.stats.duration, stream.stats.fps = 70.0, 60.0
    assert "replay 00:10.0 of 01:10.0, 00:30 to go" in text_of(view)
    stream.stats.live = True
    assert "to go" not in text_of(view)


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


@pytest.mark.parametrize(("width", "height"), [(60, 15), (60, 24), (78, 20), (80, 24), (120, 36), (200, 50)])
@pytest.mark.parametrize("sources", [1, 4])
def test_the_bound_that_a_cancelled_expression_missed_can_be_read(width, height, sources):
    """Why an expression came to nothing stands whole in the picture, beside the kind or below it."""
    streams = [Stream(f"camera-number-{n}") for n in range(sources)]
    view = Views([one.stats for one in streams], streams[0].delivery)
    reason = "too short: 0.10 s of at least 0.30 s"
    for one in streams:
        one.takers = [view.take]
        one.push(380)
        one.push(381, events=[event(1).model_copy(update={"stream": one.stats.stream})])
        cancelled = event(2, phase="cancelled", reason=reason)
        one.push(382, events=[cancelled.model_copy(update={"stream": one.stats.stream})])
    for look in (Look(), Look(page="events")):
        assert reason in text_of(view, width, height, look=look)


def test_a_replay_of_motion_shows_no_count_of_frames_it_has_not():
    """Of a recording without pictures the picture says how much motion was seen, and only the stages that ran."""
    stream, view = running()
    stream.stats.frames, stream.stats.fps = 0, 0.0
    for name in ("wait", "face", "flow", "total"):
        stream.stats.stages[name] = Latency()
    text = text_of(view)
    assert "13.6 s of motion" in text
    assert [part for part in ("frames", "fps", "flow", "total") if part in text] == []


def test_what_moved_stands_beside_an_event_where_there_is_room():
    """A wide panel of events names the regions that moved most, as many as fit."""
    stream, view = running(ticks=380)
    moved = Moved(region="mouth_corner_left", share=0.24), Moved(region="lips", share=0.11)
    stream.push(380, events=[event(1).model_copy(update={"moved": moved})])
    assert "left mouth corner 24 %, lips 11 %" in text_of(view, 200, 50)
    assert "left mouth corner 24 %" in text_of(view, 120, 36)
    assert "24 %" not in text_of(view, 80, 24)


def test_no_kind_stands_beside_an_intensity():
    """The intensity of this moment is no intensity of the expression that is still going on."""
    stream, view = running()
    stream.push(408, events=[replace_event(event(3, phase="onset", onset=400, decided=408), "2")])
    (title,) = [line for line in text_of(view).splitlines() if "face 1" in line]
    assert title.index("◆ macro") < title.index("───") < title.index("intensity")


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
            assert len(picture(view.shown(), Look(), 100, 30)) == 30
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
    faces = shown.streams[0].faces
    assert len(faces) <= 12
    assert (len(shown.events), len(shown.messages)) == (200, 20)
    assert len(faces[0].spans) == 256


def test_no_colour_is_respected():
    """With NO_COLOR no colour code is written, and macro and micro can still be told apart."""
    out = Terminal()
    console = Console(file=out, force_terminal=True, color_system="truecolor", no_color=True, width=120)
    _, view = running()
    lines = picture(view.shown(), Look(), 120, 36)
    console.print(Segments([s for line in lines for s in [*line, Segment.line()]]), end="", crop=False)
    assert "38;" not in out.getvalue()
    assert "▲" in out.getvalue()
