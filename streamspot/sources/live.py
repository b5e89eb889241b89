"""Cameras and network streams: supervised, reopened when they stall or go away."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamspot.errors import SourceError
from streamspot.sources.base import Source, as_bgr, is_picture
from streamspot.types import Frame

_FIRST_PICTURE_S = 15.0
"""Cameras take seconds to start, and an address has ten to answer."""
_REOPENING_S = 3.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
_MOST_HUNG = 3
_HUNG_PAUSE_S, _LONGEST_HUNG_PAUSE_S = 60.0, 3600.0
"""With so many threads left behind, another is begun only when one returns or so much time has passed, the double for
each further one."""
_MOST_FAILED = 5
_FAILED_S = 0.01
"""Pictures that may fail one after the other, so far apart, before the capture is opened anew."""
_ASIDE_S, _MOST_ASIDE = 0.1, 1000
"""So far from the arrivals, on one side, a device's clock may be for so many pictures; a step is gone by then."""
_PROBE_S, _LONG_PROBE_S, _APART_S = 3.0, 60.0, 0.06
"""Seconds for which a device's clock is compared with ours, at first and once it was wrong; how far it may stray."""
_STRAY_S, _CATCHING_UP = 0.5, 1.5
"""How far from its device's clock a picture may come, unless a network held it back and now catches up so fast."""


class Over(SourceError):  # noqa: N818 - it is no error
    """What was captured is over: it was a recording, or has become one."""


class Capture(Protocol):
    """An opened camera or connection.

    Attributes:
        fps: Frames a second that it declares, None while unknown.
        greeting: What the user should know of it, said with its first picture.
    """

    fps: float | None
    greeting: str

    def read(self) -> tuple[float, NDArray[Any]] | None:
        """Block for the next picture; return its stamp in seconds on its own clock, and itself, None if it failed.

        Raises:
            Over: There is nothing more to come.
        """
        ...

    def release(self) -> None:
        """Give the device back."""
        ...


@dataclass(frozen=True, slots=True)
class _Picture:
    arrived_ns: int
    stamp: float
    image: NDArray[np.uint8]
    held: bool
    """The reader had to wait for its consumer before it took this picture."""


class LiveSource(Source):
    """Pictures of a camera or a network stream, on this computer's monotonic clock.

    A capture that stalls, breaks off or fails is abandoned and opened anew, with growing pauses, until ``close`` or
    until it is over; the time line goes on. Each ``read`` happens in a thread that can be left behind: drivers hang.

    Args:
        name: For people, without user and password.
        stream: Short name fit for a topic.
        opening: Returns an opened capture, or raises SourceError.
        stall: Seconds without a picture after which it is opened anew.
        slow: What helps when it gives fewer pictures than it promised; empty when it promises nothing.
    """

    live = True

    def __init__(
        self, name: str, stream: str, opening: Callable[[], Capture], *, stall: float, slow: str = ""
    ) -> None:
        super().__init__(name, stream)
        self._open, self._stall, self._slow = opening, stall, slow

    def read(self) -> Iterator[Frame]:
        """Yield pictures as they come, until ``close``.

        Raises:
            SourceError: The very first attempt gave no picture.
        """
        clock = Clock()
        health = _Health(self.name, self._slow)
        count = 0
        pause = _SHORTEST_PAUSE_S
        lost: float | None = None
        seen = 0.0
        readers: list[_Reader] = []
        while not self.closed.is_set():
            tried = time.monotonic()
            while len(readers := [one for one in readers if one.alive]) >= _MOST_HUNG:
                wait = min(_HUNG_PAUSE_S * 2 ** (len(readers) - _MOST_HUNG), _LONGEST_HUNG_PAUSE_S)
                if time.monotonic() - tried > wait or self.closed.wait(0.25):
                    break
            reader = _Reader(self._open)
            readers.append(reader)
            try:
                for number, picture in enumerate(self._pictures(reader, started=count > 0)):
                    if number == 0:
                        self.fps = reader.fps if self._slow else None
                        back = (
                            ""
                            if lost is None
                            else f"{self.name} is back after {picture.arrived_ns / 1e9 - lost:.0f} s"
                        )
                        self.messages.extend(filter(None, (back, reader.greeting)))
                        lost, pause = None, _SHORTEST_PAUSE_S
                    pts = clock.stamp(picture.arrived_ns / 1e9, picture.stamp)
                    self.messages.extend(health.check(picture, pts, self.fps))
                    yield Frame(count, pts, picture.arrived_ns, picture.image)
                    count += 1
                    seen = picture.arrived_ns / 1e9
            finally:
                reader.stop()
            if self.closed.is_set():
                return
            if count and isinstance(reader.end, Over):
                self.messages.extend(filter(None, (str(reader.end),)))
                return
            if not count:
                raise self._failure(reader.end)
            if lost is None:
                lost = seen
                self.messages.append(f"{self.name} has stopped giving pictures; trying to open it again")
            clock.restart()
            health.restart()
            self.closed.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _failure(self, end: SourceError | None) -> SourceError:
        """Return the error of a source whose first life, ended by ``end``, had no picture."""
        if end is not None and not isinstance(end, Over):
            return end
        nothing = "gives no picture; check that it is switched on and that no other program uses it"
        return SourceError(f"{self.name} {nothing}")

    def _pictures(self, reader: _Reader, *, started: bool) -> Iterator[_Picture]:
        """Yield what ``reader`` reads until it ends or stalls."""
        patience = 2 * self._stall + _REOPENING_S if started else max(_FIRST_PICTURE_S, self._stall)
        last = time.monotonic()
        while not self.closed.is_set():
            try:
                picture = reader.pictures.get(timeout=0.05)
            except queue.Empty:
                if time.monotonic() - last > patience:
                    return
                continue
            if picture is None:
                return
            yield picture
            patience, last = self._stall, time.monotonic()


class _Reader:
    """One life of a capture, in a thread that is left behind when a ``read`` does not return.

    Attributes:
        pictures: What has been read, None at the end.
        end: What ended it, None while it goes on and where reads failed.
        fps: As the capture declares.
        greeting: Of the capture.
    """

    def __init__(self, opening: Callable[[], Capture]) -> None:
        self.pictures: queue.Queue[_Picture | None] = queue.Queue(maxsize=2)
        self.end: SourceError | None = None
        self.greeting = ""
        self.fps: float | None = None
        self._open = opening
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs, hung or not."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the thread end after its present ``read``; it then gives the device back."""
        self._stop.set()

    def _run(self) -> None:
        capture: Capture | None = None
        try:
            capture = self._open()
            self.fps, self.greeting = capture.fps, capture.greeting
            held, failed = False, 0
            while not self._stop.is_set() and failed < _MOST_FAILED:
                read = capture.read()
                arrived = time.monotonic_ns()
                if read is None or not is_picture(read[1]):
                    failed += 1
                    time.sleep(_FAILED_S)
                    continue
                failed = 0
                held = self._put(_Picture(arrived, read[0], as_bgr(read[1]), held))
        except SourceError as end:
            self.end = end
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            self.end = SourceError(f"the capture failed ({error}); unplug the camera and plug it in again")
        finally:
            if capture is not None:
                capture.release()
            self._put(None)

    def _put(self, item: _Picture | None) -> bool:
        """Hand on ``item``; return whether the consumer kept us waiting."""
        waited = False
        while not self._stop.is_set():
            try:
                self.pictures.put(item, timeout=0.1 if waited else 0.0)
            except queue.Full:
                waited = True
            else:
                break
        return waited


class Clock:
    """Times of pictures in seconds since the first, strictly increasing.

    The device's own stamps have no jitter from the transport and the scheduler, so they are used, moved to
    this computer's clock, once they have kept pace with the arrivals for three seconds (some devices make
    them up at 25 a second) and while they increase and stay near the arrivals; else the arrival counts.
    Pictures that a stalled network held back and then gives in a burst keep their stamps.
    A clock that is found to be fast or slow later has to keep pace for a minute before it is used again.
    """

    def __init__(self) -> None:
        self._start: float | None = None
        self._last = -math.inf
        self._arrived = -math.inf
        self._offset = 0.0
        self._first = (0.0, 0.0)
        self._gaps: list[float] = []
        self.restart()

    def restart(self) -> None:
        """Forget the device's clock: it was opened anew."""
        self._device = math.inf
        self._trusted = False
        self._probe_s = _PROBE_S
        self._late, self._aside = 0.0, 0
        self._silence = (-math.inf, 0.0)

    def stamp(self, arrived: float, device: float) -> float:
        """Return the time of a picture that came at ``arrived`` s, and at ``device`` s for its device."""
        pts = arrived
        if not (math.isfinite(device) and device > self._device):
            self._doubt(arrived, device)
        elif self._trusted:
            pts = device + self._offset
            late = arrived - pts
            if arrived - self._arrived > _STRAY_S:
                self._silence = (arrived, device)
            came, showed = arrived - self._silence[0], device - self._silence[1]
            held_back = late > _ASIDE_S and showed >= _CATCHING_UP * came
            if not held_back:
                # The two clocks drift apart; 1/500 a picture keeps up with any quartz and adds no jitter.
                self._offset += late / 500
                self._aside = self._aside + 1 if abs(late) > _ASIDE_S and late * self._late > 0 else 0
                self._late = late
            if self._aside > _MOST_ASIDE:
                self._probe_s = _LONG_PROBE_S
            if (abs(late) > _STRAY_S and not held_back) or self._aside > _MOST_ASIDE:
                self._doubt(arrived, device)
                pts = arrived
        else:
            self._probe(arrived, device)
        self._device, self._arrived = device if math.isfinite(device) else math.inf, arrived
        if self._start is None:
            self._start = pts
        self._last = max(pts - self._start, self._last + 1e-4)
        return self._last

    def _doubt(self, arrived: float, device: float) -> None:
        """Compare the device's clock with ours from here on, and do not use it meanwhile."""
        self._trusted, self._first, self._gaps, self._aside = False, (arrived, device), [], 0

    def _probe(self, arrived: float, device: float) -> None:
        """Trust the device's clock when it has run as fast as ours for some time."""
        self._gaps.append(arrived - device)
        elapsed = arrived - self._first[0]
        if elapsed >= self._probe_s:
            self._trusted = abs(device - self._first[1] - elapsed) < _APART_S
            self._offset = sum(self._gaps) / len(self._gaps)
            self._first, self._gaps = (arrived, device), []


class _Health:
    """Notices, three seconds at a time, too few, dark or frozen pictures; and a change of size.

    Args:
        name: Of the source.
        slow: What helps when it gives too few pictures.
    """

    def __init__(self, name: str, slow: str) -> None:
        self._name, self._slow = name, slow
        self._told: set[str] = set()
        self._size: tuple[int, int] | None = None
        self._thumb = np.zeros(0, np.uint8)
        self.restart()

    def restart(self) -> None:
        """Forget the present three seconds."""
        self._began: float | None = None
        self._warm = False

    def check(self, picture: _Picture, pts: float, nominal: float | None) -> Iterator[str]:
        """Take the next picture and yield what the user should know, each trouble once while it lasts."""
        height, width = picture.image.shape[:2]
        if self._size not in {None, (width, height)}:
            yield f"{self._name}: the picture is now {width}x{height}"
        self._size = (width, height)
        before, self._thumb = self._thumb, picture.image[::16, ::16].copy()
        if self._began is None:
            self._began, self._count, self._held, self._frozen = pts, 0, picture.held, True
            return
        self._count += 1
        self._held |= picture.held
        self._frozen = self._frozen and np.array_equal(self._thumb, before)
        if pts - self._began < 3.0:
            return
        fps, light = self._count / (pts - self._began), float(self._thumb.mean())
        # The first seconds are no measure: exposure settles, buffers fill. Nor are those of a slow consumer.
        if self._warm and not self._held and nominal is not None:
            text = f"gives {fps:.0f} fps instead of {nominal:.0f}: {self._slow}"
            yield from self._tell("slow", fps < 0.9 * nominal, text, over=fps > 0.95 * nominal)
        text = f"gives a dark picture (brightness {light:.0f} of 255): add light"
        yield from self._tell("dark", light < 40, text, over=light > 50)
        frozen = "repeats the same picture: check the camera"
        yield from self._tell("frozen", self._frozen, frozen, over=not self._frozen)
        self._began, self._warm = None, True

    def _tell(self, trouble: str, present: bool, text: str, *, over: bool) -> Iterator[str]:
        """Yield what is said of a trouble that is present and not told yet; clearly over, it may be told again."""
        if over:
            self._told.discard(trouble)
        if present and trouble not in self._told:
            self._told.add(trouble)
            yield f"{self._name} {text}"
