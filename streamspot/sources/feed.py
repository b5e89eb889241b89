"""The capture thread: hands the frames of a source to one consumer, however slow or hung either is."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from streamspot.errors import SourceError, StreamspotError
from streamspot.sources.base import Source
from streamspot.types import Frame

Policy = Literal["every", "latest"]

_DEPTH = 4
"""Frames read ahead under ``every``: enough to hide the decoder's jitter."""
_GRACE_S = 0.4
"""How long ``close`` waits for the thread, and before that for the source, until it abandons them."""


class EndOfStream(Exception):  # noqa: N818 - it is no error
    """The source has ended and every frame it gave has been taken."""


class FrameFeed:
    """Frames of a source, read in a thread of its own.

    Args:
        source: Where frames come from; the feed closes it.
        policy: ``every`` loses nothing and makes the source wait; ``latest`` keeps only the newest frame and
            counts the others as dropped. By default ``latest`` for live sources and ``every`` for recordings.
        speed: None reads as fast as possible; 1.0 in the recording's own time, 2.0 twice as fast. Live
            sources have their own pace.

    Example:
        >>> with FrameFeed(open_source("clip.mp4")) as feed:  # doctest: +SKIP
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
        self._frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()  # None: there are no more
        self._room = threading.Semaphore(_DEPTH)
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._capture, name=f"capture {source.stream}", daemon=True)
        self._thread.start()

    def get(self, timeout: float) -> Frame | None:
        """Return the next frame, or None when ``timeout`` seconds pass without one.

        Raises:
            EndOfStream: The source has ended or the feed was closed; so does every later call.
            SourceError: The source failed; frames it gave before are returned first.
        """
        if self._closed.is_set():
            raise EndOfStream
        try:
            frame = self._frames.get(timeout=timeout)
        except queue.Empty:
            return None
        if frame is not None:
            self._room.release()
            return frame
        self._frames.put(None)  # for the next call
        if self._error is not None and not self._closed.is_set():
            raise self._error
        raise EndOfStream

    def __iter__(self) -> Iterator[Frame]:
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
        self._frames.put(None)
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
        frames = self.source.frames()
        try:
            started: float | None = None
            for frame in frames:
                if self._speed is not None:
                    started = time.monotonic() if started is None else started
                    due = started + frame.pts / self._speed
                    if self._closed.wait(max(0.0, due - time.monotonic())):
                        return
                    frame = replace(frame, captured_ns=time.monotonic_ns())  # noqa: PLW2901 - it is available now
                if not self._put(frame):
                    return
        except StreamspotError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - a thread has nobody else to tell
            error = SourceError(
                f"{self.source.name} failed unexpectedly ({type(failure).__name__}: {failure})"
            )
            error.__cause__ = failure
        finally:
            self._error = error
            self._frames.put(None)

    def _put(self, frame: Frame) -> bool:
        """Hand a frame over; False when the feed was closed."""
        if self.policy == "every":
            self._room.acquire()
        else:
            with contextlib.suppress(queue.Empty):
                while True:
                    self.dropped += self._frames.get_nowait() is not None
        if self._closed.is_set():
            return False
        self._frames.put(frame)
        return True
