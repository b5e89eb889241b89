"""Promises of the capture thread: frames are lost only where that is said, and nothing that hangs holds anyone up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_pictures import small_picture

from streamspot.errors import SourceError
from streamspot.sources import EndOfStream, Feed, open_source
from streamspot.sources.base import Source
from streamspot.types import Frame

ROOT = Path(__file__).parents[1]


class _Fake(Source):
    """A source made of a generator function."""

    def __init__(self, make, live=False) -> None:
        super().__init__("fake", "fake", fps=30.0)
        self.live = live
        self._make = make

    def read(self) -> Iterator[Frame]:
        return self._make()

    def close(self) -> None:
        """Hang, as drivers do."""
        time.sleep(3600)


def _numbered(count: int, pause: float = 0.0, fps: float = 30.0):
    def make():
        for number in range(count):
            time.sleep(pause)
            yield Frame(number, number / fps, time.monotonic_ns(), small_picture(number))

    return make


def _close_in_background(feed: Feed) -> None:
    threading.Thread(target=feed.close, daemon=True).start()


def test_every_loses_nothing_however_slow_the_consumer():
    """Under ``every`` the source waits for a slow consumer, and every frame comes once."""
    feed = Feed(_Fake(_numbered(30)))
    indices = []
    for frame in feed:
        time.sleep(0.003)
        indices.append(frame.index)
    assert feed.policy == "every"
    assert indices == list(range(30))
    assert feed.dropped == 0
    _close_in_background(feed)


def test_latest_drops_and_counts():
    """Under ``latest`` a slow consumer gets the newest frame; the others are counted, in the index too."""
    feed = Feed(_Fake(_numbered(60, 0.004), live=True))
    indices = []
    for frame in feed:
        indices.append(frame.index)
        time.sleep(0.02)
    assert feed.policy == "latest"
    assert len(indices) + feed.dropped == 60
    assert feed.dropped > 10
    assert indices == sorted(set(indices))
    assert indices[-1] == 59
    _close_in_background(feed)


def test_a_recording_waits_while_it_is_paused():
    """A pause loses nothing of a recording under ``latest``, and afterwards it goes on at its own pace."""
    feed = Feed(_Fake(_numbered(8, fps=20.0)), policy="latest", speed=1.0)
    assert feed.get(1).index == 0
    feed.pause()
    time.sleep(0.5)
    feed.resume()
    started = time.monotonic()
    assert len(list(feed)) >= 6
    assert time.monotonic() - started > 0.2
    _close_in_background(feed)


@pytest.mark.parametrize("policy", ["every", "latest"])
def test_the_end_and_the_error_come_after_the_frames(policy):
    """What a failing source gave before is delivered, then its error, at each call; an end is an end."""

    def failing():
        yield Frame(0, 0.0, 0, small_picture(0))
        raise SourceError("the cable is out; plug it in")

    feed = Feed(_Fake(failing), policy=policy)
    assert feed.get(1).index == 0
    for _ in range(2):
        with pytest.raises(SourceError, match="cable"):
            feed.get(1)
    _close_in_background(feed)
    feed = Feed(_Fake(_numbered(1)), policy=policy)
    assert feed.get(1).index == 0
    for _ in range(2):
        with pytest.raises(EndOfStream):
            feed.get(1)
    _close_in_background(feed)


def test_unforeseen_failure_becomes_a_source_error():
    """An error nobody thought of, in a thread nobody watches, still reaches the consumer as a sentence."""

    def failing():
        raise ZeroDivisionError
        yield

    with pytest.raises(SourceError, match="ZeroDivisionError"):
        Feed(_Fake(failing)).get(1)


def test_paced_reading_takes_the_recordings_time():
    """At speed 2 a recording of 0.6 s takes 0.3 s; each frame is stamped when it is handed over."""
    started = time.monotonic()
    with Feed(open_source("synthetic:seconds=0.6,fps=20,expressions=0"), speed=2.0) as feed:
        frames = list(feed)
    assert 0.25 < time.monotonic() - started < 1.5
    assert frames[-1].captured_ns - frames[0].captured_ns > 0.2e9
    with pytest.raises(SourceError, match="speed"):
        Feed(open_source("synthetic:seconds=1"), speed=0)


def test_close_returns_within_a_second_though_everything_hangs():
    """A source that hangs in ``frames`` and in ``close`` keeps nobody waiting."""

    def hanging():
        time.sleep(3600)
        yield

    feed = Feed(_Fake(hanging))
    assert feed.get(0.05) is None
    started = time.monotonic()
    feed.close()
    assert time.monotonic() - started < 1.0
    with pytest.raises(EndOfStream):
        feed.get(1)


@pytest.mark.parametrize("waiting", ["-", "hung camera"])
def test_ctrl_c_ends_a_process_whose_source_hangs(waiting):
    """Ctrl-C ends the process within a second and without noise though its capture thread is stuck."""
    program = textwrap.dedent(f"""
        import time
        from streamspot.sources import Feed, open_source
        from streamspot.sources.live import LiveSource
        hung = LiveSource("hung", "hung", lambda: time.sleep(3600), stall=2.0)
        feed = Feed(open_source("-") if {waiting!r} == "-" else hung)
        print("ready", flush=True)
        try:
            for frame in feed:
                pass
        except KeyboardInterrupt:
            feed.close()
            print("bye", flush=True)
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"bye\n"
        assert time.monotonic() - started < 1.0
        assert process.wait(5) == 0
        assert process.stderr.read() == b""
