"""Promises of cameras as they are: fourteen ways of misbehaving, each survived and, where it matters, said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise

import numpy as np
import pytest
from scripted_cameras import ScriptedCamera
from small_pictures import small_picture

from streamspot.errors import SourceError
from streamspot.sources import Feed
from streamspot.sources.live import LiveSource
from streamspot.types import Frame

Life = Iterator[object]
"""What one opened camera does: a picture, one with its stamp, None (the read fails), a number (it hangs so long)."""


class _Bench:
    """A source that leads one life after the other, the last one again and again; an error is a failed opening."""

    def __init__(
        self, *lives: Callable[[], Life] | SourceError, stall: float = 2.0, fps: float = 30.0
    ) -> None:
        self.openings = 0
        self.opened: list[float] = []
        self._lives, self._fps = lives, fps
        self.source = LiveSource("eye", "eye", self._open, stall=stall, slow="more light helps")

    def _open(self) -> ScriptedCamera:
        life = self._lives[min(self.openings, len(self._lives) - 1)]
        self.openings += 1
        self.opened.append(time.monotonic())
        if isinstance(life, SourceError):
            raise life
        return ScriptedCamera(life(), self._fps)

    def take(self, wanted: int, timeout: float = 20.0) -> list[Frame]:
        frames: list[Frame] = []
        deadline = time.monotonic() + timeout
        with Feed(self.source, policy="every") as feed:
            while len(frames) < wanted and time.monotonic() < deadline:
                frame = feed.get(0.1)
                if isinstance(frame, Frame):
                    frames.append(frame)
        return frames

    @property
    def said(self) -> str:
        return " | ".join(self.source.messages)


def _steady(pictures: int = 10**6, fps: float = 100.0) -> Life:
    for number in range(pictures):
        yield 1 / fps
        yield small_picture(number)


def _after(pictures: int, *then: object) -> Callable[[], Life]:
    def life() -> Life:
        yield from _steady(pictures)
        yield from then

    return life


def _increasing(frames: list[Frame]) -> bool:
    return all(b.pts > a.pts and b.index > a.index for a, b in pairwise(frames))


GONE = SourceError("there is no camera; plug it in")


def test_1_a_hung_read_is_noticed_within_three_seconds():
    """A driver that hangs is left behind and the camera opened anew."""
    bench = _Bench(_after(10, 60.0), _steady)
    frames = bench.take(30)
    assert _increasing(frames)
    assert len(frames) == 30
    assert max(b.pts - a.pts for a, b in pairwise(frames)) < 3.0
    assert "has stopped giving pictures" in bench.said


def test_2_unplugged_and_plugged_in_again():
    """Failing reads are noticed at once; the camera is back within five seconds of being plugged in."""
    bench = _Bench(_after(10), GONE, GONE, GONE, _steady)
    frames = bench.take(30)
    assert _increasing(frames)
    assert bench.opened[1] - bench.opened[0] < 1.0
    assert max(b - a for a, b in pairwise(bench.opened)) < 5.0
    assert "is back after" in bench.said


def test_3_it_is_tried_for_ever(monkeypatch: pytest.MonkeyPatch):
    """A camera that hangs whenever it is opened is still tried, ever less often, and found when it works."""
    monkeypatch.setattr("streamspot.sources.live._HUNG_PAUSE_S", 0.2)
    monkeypatch.setattr("streamspot.sources.live._LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr("streamspot.sources.live._REOPENING_S", 0.0)
    hung = _after(0, 60.0)
    before = threading.active_count()
    bench = _Bench(_after(5), *[hung] * 5, _steady, stall=0.1)
    frames = bench.take(20)
    assert len(frames) == 20
    assert bench.openings == 7
    assert bench.opened[6] - bench.opened[5] > 0.7, "it has left five threads behind"
    assert threading.active_count() - before <= 9


def test_4_an_empty_picture_is_a_failed_read():
    """A picture of 0x0 pixels, as a driver gives under load, is left out; the camera is not opened anew for one."""
    bench = _Bench(_after(5, np.zeros((0, 0, 3), np.uint8), *(small_picture(n) for n in range(5))))
    frames = bench.take(10)
    assert len(frames) == 10
    assert bench.openings == 1


def test_5_a_picture_of_two_channels_is_a_failed_read():
    """Raw YUYV, which nobody converted, is no picture; when nothing else comes, the camera is opened anew."""
    yuyv = np.zeros((48, 64, 2), np.uint8)
    bench = _Bench(_after(5, *[yuyv] * 5), _steady)
    frames = bench.take(20)
    assert all(frame.image.shape == (48, 64, 3) for frame in frames)
    assert bench.openings == 2


def test_6_a_changed_size_is_said():
    """A camera that changes its mode is followed."""
    bench = _Bench(_after(5, *(small_picture(n, 32, 24) for n in range(5))))
    frames = bench.take(10)
    assert [frame.image.shape[:2] for frame in frames] == [(48, 64)] * 5 + [(24, 32)] * 5
    assert "the picture is now 32x24" in bench.said


def _clock(fps: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pictures come at a pace of a made-up clock."""
    ticks = count()
    monkeypatch.setattr("streamspot.sources.live.time.monotonic_ns", lambda: int(next(ticks) * 1e9 / fps))


def test_7_the_same_picture_again_and_again_is_said(monkeypatch: pytest.MonkeyPatch):
    """A frozen sensor looks alive to the driver, not to us."""
    _clock(100.0, monkeypatch)
    bench = _Bench(lambda: (small_picture(7) for _ in range(10**6)))
    bench.take(330)
    assert bench.said.count("repeats the same picture") == 1


def test_8_a_black_picture_is_said(monkeypatch: pytest.MonkeyPatch):
    """A closed lid, or no light."""
    _clock(100.0, monkeypatch)
    rng = np.random.default_rng(0)
    bench = _Bench(lambda: (rng.integers(0, 4, (48, 64, 3), np.uint8) for _ in range(10**6)))
    bench.take(330)
    assert bench.said.count("gives a dark picture") == 1


def test_8_a_room_that_is_almost_dark_is_said_once(monkeypatch: pytest.MonkeyPatch):
    """The brightness swings round the bound for a minute."""
    _clock(20.0, monkeypatch)
    rng = np.random.default_rng(0)
    light = (38 + 4 * (number // 120 % 2) for number in count())
    bench = _Bench(lambda: (rng.integers(value - 2, value + 3, (48, 64, 3), np.uint8) for value in light))
    bench.take(1200)
    assert bench.said.count("gives a dark picture") == 1


def test_9_stamps_that_jump_back_turn_no_time():
    """A driver whose clock is set back, or stands still, does not."""
    stamps = [1.0, 1.01, 1.02, 0.5, 0.5, 0.51, 0.0, 2000.0, 3.0, 3.0]
    life = [step for n, stamp in enumerate(stamps) for step in (0.01, (stamp, small_picture(n)))]
    frames = _Bench(lambda: iter(life)).take(10)
    assert _increasing(frames)
    assert frames[-1].pts < 1.0


def _at(fps: float, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what is said of a camera that announces 30 pictures a second and gives so many; its clock is made up."""
    _clock(fps, monkeypatch)
    bench = _Bench(lambda: _steady(fps=1000.0))
    assert len(bench.take(300)) == 300
    return bench.said


def test_10_a_camera_slower_than_it_says_is_measured(monkeypatch: pytest.MonkeyPatch):
    """It announces 30 and gives 12: said once, with the rate and what helps."""
    assert _at(12.0, monkeypatch).count("gives 12 fps instead of 30: more light helps") == 1


def test_11_a_camera_nearly_as_fast_as_it_says_is_not_blamed(monkeypatch: pytest.MonkeyPatch):
    """27.5 of 30 is within ten per cent."""
    assert "instead of" not in _at(27.5, monkeypatch)


def test_12_a_camera_that_comes_and_goes():
    """Five pictures, away, five pictures, away: every one arrives, in order."""
    bench = _Bench(_after(5))
    frames = bench.take(20)
    assert len(frames) == 20
    assert _increasing(frames)
    assert bench.openings == 4


def test_13_a_camera_that_never_gives_a_picture_is_an_error():
    """The run ends with one sentence instead of being tried for ever."""
    with pytest.raises(SourceError, match="gives no picture"):
        _Bench(_after(0)).take(1)
    with pytest.raises(SourceError, match="plug it in"):
        _Bench(GONE).take(1)


def test_14_the_latest_picture_is_the_latest():
    """Whoever is slower than the camera sees the newest picture, however many came meanwhile."""
    shown, asked = threading.Semaphore(0), threading.Event()

    def life() -> Life:
        for number in count():
            shown.acquire()
            yield small_picture(number)
            asked.set()  # the camera is asked for a picture after this one: this one has been handed on

    bench = _Bench(life)
    bursts = (1, 2, 3, 20, 1, 7)
    with Feed(bench.source) as feed:
        for taken, burst in enumerate(bursts):
            for _ in range(burst):
                asked.clear()
                shown.release()
                assert asked.wait(10)
            given = sum(bursts[: taken + 1])
            while feed.dropped + taken < given - 1:  # until the last of them has come so far
                time.sleep(0.001)
            frame = None
            while frame is None:
                frame = feed.get(0.5)
            assert isinstance(frame, Frame)
            assert frame.index == given - 1
    assert feed.dropped == sum(bursts) - len(bursts)
