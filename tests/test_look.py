"""Keys before the dashboard: what they show, and what they ask of a stream."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from screens import Stream, dashboard_on, event, running, terminal, text_of, until

from streamspot.commands import Label, Pause, Resume, Sensitivity, Undo
from streamspot.dashboard.look import KEYS, ZOOMS, Look, command, moved
from streamspot.dashboard.view import Views
from streamspot.dashboard.wire import HEIGHT, WIDTH, wire_face
from streamspot.errors import SettingsError
from streamspot.keys import Keys, parsed
from streamspot.motion.regions import layout
from streamspot.spotting import SpotSettings
from streamspot.stats import Delivery
from streamspot.types import Controls

ANY = st.sampled_from(["e", "?", "escape", "[", "]", "left", "right", "home", "tab", "y", "up"])


def several(*names, ticks=200):
    """Return the view of several streams in full swing."""
    streams = [Stream(name) for name in names]
    views = Views([one.stats for one in streams], Delivery())
    for one in streams:
        one.takers = [views.take]
        one.run(ticks=ticks)
    return streams, views


@settings(deadline=None)
@given(st.lists(ANY, max_size=30))
def test_no_sequence_of_keys_breaks_the_picture(keys):
    """Whatever is pressed, the picture fits, and escape leads back."""
    _, views = SEVERAL
    look = Look()
    for key in keys:
        look = moved(look, key, views.shown())
        lines = text_of(views, 100, 30, look=look).splitlines()
        assert [cell_len(line) for line in lines] == [100] * 30
    assert moved(look, "escape", views.shown()) == Look()


SEVERAL = several("left", "right", ticks=60)


def test_scrolling_back_holds_the_past_still_and_comes_back():
    """What was there half a minute ago is shown, does not move as time goes on, and right leads back to now."""
    stream, views = running(ticks=1200)
    assert "◆" not in graph(views, Look())
    look = Look()
    for _ in range(4):
        look = moved(look, "left", views.shown())
    before = graph(views, look)
    assert "◆" in before
    assert "s ago" in before
    stream.push(1200)
    assert marks(graph(views, look)) == marks(before)
    for _ in range(5):
        look = moved(look, "right", views.shown())
    assert look == Look()


def test_ten_minutes_are_kept_and_can_be_seen_at_once():
    """Zoomed out, an expression of almost ten minutes ago stands in the graph; older ones are gone."""
    stream, views = running(ticks=17_900)
    look = Look(seconds=ZOOMS[-1])
    assert "◆" in graph(views, look) or "▲" in graph(views, look)
    for tick in range(17_900, 19_500):
        stream.push(tick)
    assert not any(mark in marks(graph(views, look)) for mark in "▲◆▼━")


def graph(views, look):
    """Return the panel of the face."""
    text = text_of(views, 120, 36, look=look)
    return text[text.index("face 1") : text.index("╭─ events")]


def marks(panel):
    """Return the line of marks."""
    return panel.splitlines()[1]


def test_several_streams_stand_on_one_screen_each_with_its_name():
    """Four sources: each has its panel, its rate and its events; tab shows one face alone."""
    streams, views = several("kitchen", "hall", "lab", "door")
    streams[1].stats.no_picture_since, streams[1].stats.live = 0.0, True
    streams[2].push(200, faces=(), ended=(1,), reason="face lost")
    text = text_of(views, 160, 48)
    for name in ("kitchen", "hall", "lab", "door"):
        assert f"{name} · face 1" in text
    assert "4 sources" in text
    assert "1 without a picture" in text
    assert "✕hall" in text
    look = moved(Look(), "tab", views.shown())
    assert look.only == ("kitchen", 1)
    assert "hall · face 1" not in text_of(views, 160, 48, look=look)
    for _ in range(4):
        look = moved(look, "tab", views.shown())
    assert look.only is None


def test_an_event_says_whose_it_is_where_several_are_on_show():
    """Of two cameras one has seen something: its name stands beside it; of two faces the number does."""
    streams, views = several("kitchen", "hall")
    streams[0].push(200, events=[event(2).model_copy(update={"stream": "kitchen"})])
    (line,) = [one for one in text_of(views, look=Look(page="events")).splitlines() if "offset " in one]
    assert "kitchen" in line
    stream, view = running(faces=2, ticks=20)
    stream.push(20, faces=(1, 2), events=[event(2)])
    assert " face " in text_of(view, look=Look(page="events"))


def test_the_page_of_keys_names_every_key():
    """The question mark shows what each key does, on a small terminal too."""
    _, views = running(ticks=20)
    page = text_of(views, 60, 18, look=moved(Look(), "?", views.shown()))
    assert [key for key, does in KEYS.items() if f"  {key:<11}{does} " not in page] == []


def test_the_page_of_events_shows_more_of_them():
    """All that fit the screen are shown."""
    stream, views = running(ticks=400)
    stream.push(400, events=[event(n, onset=n, decided=n + 9) for n in range(3, 30)])
    assert text_of(views, look=Look(page="events")).count("offset") > 25 > text_of(views).count("offset")


def test_what_the_keys_ask_of_a_stream():
    """Space pauses and goes on, plus and minus go in steps of 0.05 within 0 and 1, letters label."""
    stream, views = running(ticks=20)
    shown = views.shown()
    assert command(" ", shown, "clip") == Pause()
    assert command("+", shown, "clip") == command("=", shown, "clip") == Sensitivity(0.55)
    assert command("-", shown, "clip") == Sensitivity(0.45)
    assert [command(key, shown, "clip") for key in "mux"] == [Label("macro"), Label("micro"), Label("unsure")]
    assert command("m", shown, "clip", 2) == Label("macro", 2)  # of the face that is shown alone
    assert command("backspace", shown, "clip") == Undo()
    assert command("y", shown, "clip") is None
    stream.push(20, controls=Controls(paused=True, sensitivity=1.0))
    assert command(" ", views.shown(), "clip") == Resume()
    assert command("+", views.shown(), "clip") == Sensitivity(1.0)


def test_a_key_commands_the_stream_and_shows_what_came_of_it(monkeypatch):
    """What was asked reaches the stream; its effect on the last minute, or why it could not be, is said."""
    console, stream, asked, keys = terminal(), Stream(), [], []

    class Pressed(Keys):
        def __call__(self):
            return [keys.pop(0)] if keys else []

    monkeypatch.setattr("streamspot.dashboard.live.Keys", Pressed)

    def obey(name, command):
        asked.append((name, command))
        if isinstance(command, Label):
            raise SettingsError("a label needs a recording")

    with dashboard_on(console, stream.stats, stream.delivery) as dashboard:
        stream.takers = [dashboard.take]
        keys.append("+")
        assert until(lambda: "no stream yet" in console.file.getvalue())
        stream.run()
        dashboard.control(obey, lambda _, sensitivity: SpotSettings.from_sensitivity(sensitivity))
        keys.append("+")
        assert until(lambda: "sensitivity 0.55 · last minute" in console.file.getvalue())
        keys.append("m")
        assert until(lambda: "a label needs a recording" in console.file.getvalue())
    assert asked == [("clip", Sensitivity(0.55)), ("clip", Label("macro"))]


def test_a_label_among_several_streams_needs_one_shown_alone(monkeypatch):
    """One press must not label what happens before every camera, nor take it back there."""
    console, streams, asked, keys = terminal(), [Stream("one"), Stream("two")], [], []

    class Pressed(Keys):
        def __call__(self):
            return [keys.pop(0)] if keys else []

    monkeypatch.setattr("streamspot.dashboard.live.Keys", Pressed)
    with dashboard_on(console, [each.stats for each in streams], Delivery()) as dashboard:
        for each in streams:
            each.takers = [dashboard.take]
            each.run()
        dashboard.control(lambda *command: asked.append(command), None)
        keys += ["m", "backspace"]
        assert until(lambda: "alone (tab)" in console.file.getvalue())
        keys += [" ", "tab", "m"]
        assert until(lambda: len(asked) == 3)
    assert asked[:2] == [("one", Pause()), ("two", Pause())]
    assert asked[2][0] == "one"
    assert isinstance(asked[2][1], Label)


def test_a_face_alone_that_has_been_forgotten_gives_way_to_all(monkeypatch):
    """Whoever watched it sees everybody again, and a label is not given to a face that nobody can see."""
    streams = [Stream("one"), Stream("two")]
    with pressed_on(streams, monkeypatch) as (press, asked, screen):
        for each in streams:
            each.push(20)
        press("tab", "tab", "m")
        assert until(lambda: asked)
        for face in range(2, 16):  # a dozen are kept
            streams[1].push(20 + face, faces=(face,), ended=(face - 1,), reason="face lost")
        assert until(lambda: "one · face 1" in screen().rpartition("labelled")[2])
        press("m")
        assert until(lambda: "alone (tab)" in screen())
    assert asked == [("two", Label("macro", 1))]
    _, views = SEVERAL
    for width, height in ((100, 30), (40, 7)):
        assert len(text_of(views, width, height, look=Look(only=("left", 99))).splitlines()) == height


def test_a_key_changes_each_of_several_streams_from_where_it_stands(monkeypatch):
    """Plus raises each sensitivity by a step; space pauses what goes on and lets go on what is paused."""
    streams = [Stream("one"), Stream("two")]
    before = {"one": Controls(sensitivity=0.2), "two": Controls(sensitivity=0.8, paused=True)}
    with pressed_on(streams, monkeypatch) as (press, asked, screen):
        for each in streams:
            each.push(20, controls=before[each.stats.stream])
        press("+")
        assert until(lambda: "sensitivity 0.25 · 0.85" in screen())
        press(" ")
        assert until(lambda: "one: paused; space goes on · two: going on" in screen())
        assert until(lambda: "1 going on · 1 paused" in screen())
    assert asked == [
        ("one", Sensitivity(0.25)),
        ("two", Sensitivity(0.85)),
        ("one", Pause()),
        ("two", Resume()),
    ]


def test_every_press_counts_however_quickly_they_follow(monkeypatch):
    """Three times plus are three steps and space twice is as before, though no update has told of the first yet."""
    streams = [Stream("one"), Stream("two")]
    with pressed_on(streams, monkeypatch) as (press, asked, screen):
        for each in streams:
            each.push(20)
        press("+", "+", "+", " ", " ", " ")
        assert until(lambda: "2 paused" in screen())
    wanted = [Sensitivity(0.55), Sensitivity(0.6), Sensitivity(0.65), Pause(), Resume(), Pause()]
    assert [command for name, command in asked if name == "one"] == wanted
    assert [command for name, command in asked if name == "two"] == wanted


def test_what_was_asked_for_counts_until_the_stream_says_so(monkeypatch):
    """Updates that were on their way change nothing of it; once it is done, or never was, the stream is right."""
    stream, views = running(ticks=20)
    now = 100.0
    monkeypatch.setattr("streamspot.dashboard.view.time", SimpleNamespace(monotonic=lambda: now))

    def sensitivity():
        return views.shown().streams[0].controls.sensitivity

    views.ask("clip", Sensitivity(0.55))
    stream.push(20)
    assert sensitivity() == 0.55
    stream.push(21, controls=Controls(sensitivity=0.55))
    stream.push(22, controls=Controls(sensitivity=0.3))  # from another consumer
    assert sensitivity() == 0.3
    views.ask("clip", Sensitivity(0.9))  # which a stream that obeys nobody never does
    now += 3
    stream.push(23, controls=Controls(sensitivity=0.3))
    assert sensitivity() == 0.3


@contextmanager
def pressed_on(streams, monkeypatch):
    """Draw streams; give what presses keys, all at once, what the streams are asked, and all that was drawn."""
    console, asked, keys = terminal(), [], []

    class Pressed(Keys):
        def __call__(self):
            return keys.pop(0) if keys else []

    monkeypatch.setattr("streamspot.dashboard.live.Keys", Pressed)
    with dashboard_on(console, [each.stats for each in streams], Delivery()) as dashboard:
        for each in streams:
            each.takers = [dashboard.take]
        dashboard.control(lambda *command: asked.append(command))
        yield lambda *some: keys.append(some), asked, console.file.getvalue


@pytest.mark.parametrize("name", ["paper10", "face17"])
def test_the_wire_face_shows_which_side_moves(name):
    """Regions that moved are drawn in another colour than those at rest, on their side of the face."""
    regions = layout(name)
    moved_by = np.zeros((len(regions), 2), np.float32)
    still = wire_face(moved_by)
    assert [sum(cell_len(part.text) for part in line) for line in still] == [WIDTH] * HEIGHT
    moved_by[regions.names.index("mouth_corner_left")] = 0.08, -0.02
    lines = wire_face(moved_by)
    changed = [
        x
        for line, before in zip(lines, still, strict=True)
        for x, (new, old) in enumerate(zip(line, before, strict=True))
        if new != old
    ]
    assert changed
    assert max(changed) < WIDTH // 2


def test_keys_are_named_however_they_arrive():
    """Arrows come as sequences of bytes, cut anywhere; a lone escape is the key and swallows none after it."""
    assert parsed("a\x1b[D\x1bOC\t+\x7f\x1b[5~Q", final=False) == (
        ["a", "left", "right", "tab", "+", "backspace", "q"],
        "",
    )
    assert parsed("x\x1b[", final=False) == (["x"], "\x1b[")
    assert parsed("\x1b[A", final=False) == (["up"], "")
    for home, end in (("[H", "[F"), ("OH", "OF"), ("[1~", "[4~"), ("[7~", "[8~")):  # xterm, tmux, rxvt
        assert parsed(f"\x1b{home}\x1b{end}", final=False) == (["home", "end"], "")
    assert parsed("\x1b", final=True) == (["escape"], "")
    assert parsed("\x1bmmm\x1b", final=False) == (["escape", "m", "m", "m"], "\x1b")
    assert parsed("\x1b[\n", final=False) == (["escape", "[", "\n"], "")
