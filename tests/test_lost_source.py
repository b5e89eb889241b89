"""Promises of a source that goes silent: it looks lost within three seconds, and found again when it is back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import numpy as np
import pytest
from running import PushedLive

from streamspot.arrivals import Arrivals
from streamspot.commands import Pause
from streamspot.layers import load_settings
from streamspot.mqtt import payloads
from streamspot.run import StreamRun
from streamspot.session import WallClock, slept
from streamspot.sources.base import Source
from streamspot.sources.live import Clock
from streamspot.sources.synthetic import Synthetic
from streamspot.stats import Stats
from streamspot.types import Event, Frame, Session, Update


class _SilentCamera(Source):
    """Shows 30 pictures, the second once the first has been analysed, nothing for 2.6 s, and 20 more."""

    live = True

    def __init__(self) -> None:
        super().__init__("eye", "eye", fps=30.0)
        self.watched = threading.Event()

    def read(self) -> Iterator[Frame]:
        started = time.monotonic()
        for frame in islice(Synthetic(seconds=7, expressions=1).read(), 50):
            if frame.index == 1:
                self.watched.wait()
            time.sleep(2.6 if frame.index == 30 else 0.03)
            now = time.monotonic_ns()
            yield replace(frame, captured_ns=now, pts=now / 1e9 - started)


def test_a_silent_camera_looks_lost():
    """No face is in view, the rate falls to nothing, and the retained state says since when."""
    camera = _SilentCamera()
    run = StreamRun(load_settings({"source": "synthetic"}), camera)
    run.load()
    got: list[tuple[datetime, Update, float]] = []
    end: list[BaseException | None] = []

    def take(item: Update | BaseException | None) -> None:
        if isinstance(item, Update):
            got.append((datetime.now(UTC), item, run.stats.fps))
            run.taken()
            camera.watched.set()
        else:
            end.append(item)

    run.start(take)
    deadline = time.monotonic() + 60
    while not end and time.monotonic() < deadline:
        time.sleep(0.05)
    assert end == [None]
    at = next(number for number, one in enumerate(got) if one[1].no_picture_since is not None)
    when, lost, rate = got[at]
    assert lost.no_picture_since is not None
    assert 1.9 < (when - lost.no_picture_since).total_seconds() < 3.0
    assert not lost.faces
    assert rate == 0
    assert "no picture from eye" in lost.messages[0]
    told = json.loads(payloads.state(lost))
    assert told["no_picture_since"].endswith("Z")
    assert told["faces"] == {}
    back = next(update for later, update, _ in got if later > when and update.no_picture_since is None)
    assert "shows pictures again after" in back.messages[0]
    assert json.loads(payloads.state(got[-1][1]))["no_picture_since"] is None
    assert run.stats.no_picture_since is None


def test_a_camera_that_comes_back_during_a_pause_is_not_lost():
    """It shows pictures again, whether or not they are looked at."""
    camera = _SilentCamera()
    run = StreamRun(load_settings({"source": "synthetic"}), camera)
    run.load()
    said: list[Update] = []
    over = threading.Event()

    def take(item: Update | BaseException | None) -> None:
        camera.watched.set()
        if not isinstance(item, Update):
            over.set()
            return
        said.append(item)
        run.taken()
        if item.no_picture_since is not None and not run.controls.paused:
            run.obey(Pause())

    run.start(take)
    assert over.wait(60)
    assert any(update.no_picture_since is not None for update in said)
    assert any("shows pictures again after" in message for update in said for message in update.messages)
    assert said[-1].no_picture_since is None
    assert run.controls.paused


def test_the_rate_falls_to_nothing_during_a_pause(monkeypatch: pytest.MonkeyPatch):
    """No picture is analysed meanwhile, and none is said to be."""
    monkeypatch.setattr("streamspot.arrivals._RATE_OVER_S", 0.3)
    run = StreamRun(load_settings({"source": "synthetic:seconds=5,expressions=0", "speed": 1.0}))
    run.load()
    rates: list[float] = []
    over = threading.Event()

    def take(item: Update | BaseException | None) -> None:
        if not isinstance(item, Update):
            over.set()
            return
        run.taken()
        if run.stats.fps > 0 and not rates:
            rates.append(run.stats.fps)
            run.obey(Pause())

    run.start(take)
    deadline = time.monotonic() + 60
    while not (rates and run.stats.fps == 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert rates[0] > 0
    assert run.stats.fps == 0
    run.stop()
    assert over.wait(10)


def test_a_return_is_said_once():
    """A source that says itself that it is back is not announced a second time; one that says nothing is."""
    for speaks in (True, False):
        stats = Stats("eye", live=True, policy="latest")
        arrivals = Arrivals(stats, WallClock())
        arrivals.found()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("streamspot.arrivals.SILENT_S", 0.0)
            assert arrivals.missed()
        if speaks:
            arrivals.told()
        assert (arrivals.found() is None) is speaks
        assert arrivals.lost_since is None


def test_after_a_computer_has_slept_events_have_the_time_of_its_clock(monkeypatch: pytest.MonkeyPatch):
    """A laptop was shut for eight hours: what comes then did not happen in the morning. Time stamps go on."""
    clock, picture = WallClock(), np.zeros((2, 2, 3), np.uint8)
    begun = time.monotonic_ns()
    session = Session("r", "s", "cam", 0.0, clock.arrival(Frame(0, 0.0, begun, picture)))
    later = Frame(1, 1.0, begun + 10**9, picture)
    assert clock.anchored(session, later).start == session.start
    awake = slept()
    monkeypatch.setattr("streamspot.session.slept", lambda: awake + 8 * 3600)
    assert clock.anchored(session, later).start - session.start == timedelta(hours=8)
    assert (clock.arrival(later) - session.start).total_seconds() == pytest.approx(8 * 3600 + 1, abs=0.01)


def test_times_are_right_again_after_a_slow_minute_of_the_network():
    """A camera's pictures come 0.4 s late for a minute, then as before; so do its events."""
    stamps, clock, picture = Clock(), WallClock(), np.zeros((2, 2, 3), np.uint8)
    wrong, session = [], None
    for number in range(5000):
        taken = 1000 + number / 25
        arrived = taken + 0.4 * (1000 <= number < 2500) + 1e-4 * (number % 100)
        frame = Frame(number, stamps.stamp(arrived, number / 25), int(arrived * 1e9), picture)
        session = session or Session("r", "s", "cam", frame.pts, clock.arrival(frame))
        session = clock.anchored(session, frame)
        shown = session.start + timedelta(seconds=frame.pts - session.origin)
        wrong.append((shown - clock.at(taken)).total_seconds())
    assert max(map(abs, wrong)) < 0.45
    assert max(map(abs, wrong[-500:])) < 0.06


def test_what_was_open_when_the_computer_slept_is_cancelled_with_its_own_times(
    monkeypatch: pytest.MonkeyPatch,
):
    """It is not told anew that an expression of the evening began in the morning."""
    clip = ((frame.image, frame.pts) for frame in Synthetic(seconds=7, expressions=1).read())
    run = StreamRun(load_settings({"source": "synthetic", "policy": "every"}), PushedLive(clip))
    run.load()
    events: list[Event] = []
    over, awake = threading.Event(), slept()

    def take(item: Update | BaseException | None) -> None:
        if not isinstance(item, Update):
            over.set()
            return
        run.taken()
        if item.events and not events:
            monkeypatch.setattr("streamspot.session.slept", lambda: awake + 8 * 3600)
        events.extend(item.events)
        if len(events) > 1:
            run.stop()

    run.start(take)
    assert over.wait(60)
    onset, end = events[:2]
    assert (end.expression, end.phase, end.reason) == (onset.expression, "cancelled", "the computer slept")
    times = [
        [datetime.fromisoformat(moment.time).timestamp() for moment in (one.onset, one.decided_at)]
        for one in (onset, end)
    ]
    assert np.allclose(*times, rtol=0, atol=60)
