"""The capture thread: hands what a source gives to one consumer, however slow or hung either is."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from streamspot.errors import SourceError, StreamspotError
from streamspot.sources.base import Source
from streamspot.types import FaceMotion, Frame, Item, Policy

_DEPTH = 4
"""Frames read ahead under ``every``: enough to hide the decoder's jitter."""
_GRACE_S = 0.4
"""How long ``close`` waits for the thread, and before that for the source, until it abandons them."""


class EndOfStream(Exception):  # noqa: N818 - it is no error
    """The source has ended and every frame it gave has been taken."""


class Feed:
    """Frames of a source, or recorded motion, read in a thread of its own.

    Args:
        source: Where they come from; the feed closes it.
        policy: ``every`` loses nothing and makes the source wait; ``latest`` keeps only the newest frame and
            counts the others as dropped. By default ``latest`` for live sources and ``every`` for recordings.
        speed: None reads as fast as possible; 1.0 in the recording's own time, 2.0 twice as fast. Live
            sources have their own pace.

    Example:
        >>> with Feed(open_source("clip.mp4")) as feed:  # doctest: +SKIP
        ...     for frame in feed:
        ...         print(frame.index, frame.pts, frame.image.shape)
    """

    def __init__(self, source: Source, *, policy: Policy | None = None, speed: float | None = None) -> None:
        if speed is not None and not speed > 0:
            raise SourceError(
                f"speed {speed} is impossible; give a number above 0 (1 is the recording's own pace)"
            )
        self.source = source
        self.policy: Policy = policy or ("latest" if source.live else "every")
        self.dropped = 0
        self.messages: deque[str] = source.messages
        self._speed = None if source.live else speed
        self._items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()  # None: there are no more
        self._room = threading.Semaphore(_DEPTH)
        self._closed = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._capture, name=f"capture {source.stream}", daemon=True)
        self._thread.start()

    def get(self, timeout: float) -> Item | None:
        """Return the next frame or piece of motion, or None when ``timeout`` seconds pass without one.

        Raises:
            EndOfStream: The source has ended or the feed was closed; so does every later call.
            SourceError: The source failed; frames it gave before are returned first.
        """
        if self._closed.is_set():
            raise EndOfStream
        try:
            frame = self._items.get(timeout=timeout)
        except queue.Empty:
            return None
        if frame is not None:
            self._room.release()
            return frame
        self._items.put(None)  # for the next call
        if self._error is not None and not self._closed.is_set():
            raise self._error
        raise EndOfStream

    def pause(self) -> None:
        """Have a source that is not live wait, whatever the policy, until ``resume``."""
        if not self.source.live:
            self._going.clear()

    def resume(self) -> None:
        """Let a source go on that waits."""
        self._going.set()

    def __iter__(self) -> Iterator[Item]:
        """Yield frames until the source ends; raises SourceError."""
        while True:
            try:
                frame = self.get(0.2)
            except EndOfStream:
                return
            if frame is not None:
                yield frame

    def close(self) -> None:
        """End the feed within a second, even when the source hangs; its thread is then abandoned."""
        self._closed.set()
        self._items.put(None)
        self._going.set()
        self._room.release()
        closer = threading.Thread(target=self.source.close, daemon=True)
        closer.start()
        closer.join(_GRACE_S)
        if self._thread is not threading.current_thread():
            self._thread.join(_GRACE_S)

    def __enter__(self) -> Self:
        """Return the feed itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the feed."""
        self.close()

    def _capture(self) -> None:
        error: BaseException | None = None
        items = self.source.read()
        try:
            clock: _Pace | None = None if self._speed is None else _Pace(self._speed)
            for item in items:
                if clock is not None:
                    if self._closed.wait(clock.wait_for(item)):
                        return
                    if isinstance(item, Frame):
                        item = replace(item, captured_ns=time.monotonic_ns())  # noqa: PLW2901 - available now
                if not self._put(item, clock):
                    return
        except StreamspotError as failure:
            error = failure
        except BaseException as failure:  # noqa: BLE001 - a thread has nobody else to tell
            error = SourceError(f"{self.source.name} failed unexpectedly ({_said(failure)})")
            error.__cause__ = failure
        finally:
            self._error = error
            self._items.put(None)

    def _put(self, item: Item, clock: _Pace | None) -> bool:
        """Hand an item over; False when the feed was closed."""
        asked = time.monotonic()
        self._going.wait()
        if self.policy == "every":
            self._room.acquire()
        if clock is not None:
            clock.hold(time.monotonic() - asked)
        if self.policy == "latest":
            with contextlib.suppress(queue.Empty):
                while True:
                    self.dropped += self._items.get_nowait() is not None
        if self._closed.is_set():
            return False
        self._items.put(item)
        return True


def _said(failure: BaseException) -> str:
    name = type(failure).__name__
    try:
        return f"{name}: {failure}"
    except Exception:  # noqa: BLE001 - of somebody else's class
        return name


class _Pace:
    """When each item of a recording is due; time for which the consumer kept it waiting (a pause) is added.

    Args:
        speed: Seconds of the recording that pass in one second.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start: float | None = None

    def wait_for(self, item: Item) -> float:
        """Return the seconds until an item is due."""
        if isinstance(item, Frame):
            pts = item.pts
        elif isinstance(item, FaceMotion):
            pts = item.motion.pts
        else:
            return 0.0
        now = time.monotonic()
        if self._start is None:
            self._start = now - pts / self._speed
        return max(0.0, self._start + pts / self._speed - now)

    def hold(self, seconds: float) -> None:
        """Begin everything that follows so much later."""
        if self._start is not None:
            self._start += seconds
