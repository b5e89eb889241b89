"""Outputs that a thread writes: one that is slow, full or hangs never holds up the stream."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from streamspot.errors import SettingsError, StreamspotError

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_ROOM = 16 * 2**20
"""Bytes that may wait: hours of events, minutes of motion."""
_AGAIN = 1.0
"""Seconds after which an output that failed is tried again."""
_OPENING = 1.0
"""Seconds that opening may take, then the run begins all the same: a named pipe opens when somebody reads it."""
_RESERVED = 0.4
"""Seconds of an end in a hurry that are left to others."""


class Target(Protocol[T_contra]):
    """Where things are written, in a thread of its own.

    ``OSError`` means that it may work later: then ``write`` is called again with the same thing.
    """

    def open(self) -> None:
        """Make ready."""

    def write(self, item: T_contra, /) -> None:
        """Write one thing."""

    def close(self) -> None:
        """End."""


class Host:
    """What writers know of the run around them.

    Args:
        tell: Takes sentences for the user, in any thread.
        left: Seconds until the run has to be over, infinite while it goes on.

    Attributes:
        writers: All of the run.
    """

    def __init__(
        self, tell: Callable[[str], object] = lambda _: None, left: Callable[[], float] = lambda: math.inf
    ) -> None:
        self.tell = tell
        self.left = left
        self.writers: list[BackgroundWriter[Any]] = []


class BackgroundWriter(Generic[T]):
    """Writes things in order, in a thread, from a queue with a bound.

    What has been handed over is usually written within a millisecond; a process that is killed loses what is still in
    the queue. An output that cannot be written (a full disk) is suspended and tried again every second; the user is
    told when that begins and ends. Beyond the bound what is handed over is left out and counted.

    Args:
        target: Where to write.
        name: Of the output, for sentences.
        host: The run around it.
        room: Bytes that may wait.

    Attributes:
        missing: Entries left out because too many waited, or at the end.
    """

    def __init__(self, target: Target[T], name: str, host: Host, *, room: int = _ROOM) -> None:
        self.missing = 0
        self._target = target
        self._name = name
        self._host = host
        self._room = room
        self._queue: deque[tuple[T, int, int]] = deque()  # with size and entries
        self._bytes = 0
        self._trouble = ""  # why it is suspended
        self._full = False
        self._failure: StreamspotError | None = None
        self._closing = False
        self._changed = threading.Condition()
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name=f"writer {name}", daemon=True)
        host.writers.append(self)

    @property
    def behind(self) -> bool:
        """Whether so much waits for a slow reader or disk that whoever can wait should."""
        return self._bytes > self._room // 2 and not self._trouble and self._failure is None

    @property
    def complaint(self) -> str:
        """What is to be said at the end, empty if everything was written."""
        if not self.missing:
            return ""
        entries = f"{self.missing} {'entry' if self.missing == 1 else 'entries'}"
        reason = self._trouble or "it was read or written too slowly"
        return (
            f"{self._name} lacks {entries} ({reason}); free some space or name another place, and run again"
        )

    async def open(self) -> None:
        """Begin.

        Raises:
            StreamspotError: It cannot be written.
        """
        self._thread.start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._opened)), _OPENING)
            return
        self._host.tell(f"{self._name} cannot be opened yet, what comes waits; does anybody read it?")

    def put(self, item: T, size: int, entries: int = 1) -> bool:
        """Hand a thing over; return whether there was room for it.

        Args:
            item: What to write.
            size: Its bytes in memory, roughly.
            entries: How many it holds, for what is said where it is missing.

        Raises:
            StreamspotError: The output has ended for good.
        """
        if self._failure is not None:
            raise self._failure
        with self._changed:
            fits = self._bytes + size <= self._room
            if fits:
                self._queue.append((item, size, entries))
                self._bytes += size
                self._changed.notify()
            else:
                self.missing += entries
            begins, self._full = not fits and not self._full, not fits
        if begins:
            why = self._trouble or "it is read or written too slowly"
            self._host.tell(f"{self._name} takes no more ({why}), what comes is left out; free some space")
        return fits

    async def close(self) -> None:
        """Write what waits and end; in a hurry, or while suspended, without what cannot be written now."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        while self._thread.is_alive() and self._host.left() > _RESERVED:  # noqa: ASYNC110 - it may hang
            await asyncio.sleep(0.005)
        self.missing += sum(entries for _, _, entries in self._queue)

    def _work(self) -> None:
        try:
            self._target.open()
        except Exception as error:  # noqa: BLE001 - whoever opens is told
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        while self._failure is None and (waiting := self._next()) is not None:
            item, size, _ = waiting
            if self._attempt(item):
                with self._changed:
                    self._queue.popleft()
                    self._bytes -= size
            elif self._closing:
                break
        with contextlib.suppress(OSError):
            self._target.close()

    def _next(self) -> tuple[T, int, int] | None:
        """Wait for the next thing, or while suspended for a moment; None at the end."""
        with self._changed:
            if self._trouble and not self._closing:
                self._changed.wait_for(lambda: self._closing, _AGAIN)
            self._changed.wait_for(lambda: self._queue or self._closing)
            return self._queue[0] if self._queue else None

    def _attempt(self, item: T) -> bool:
        try:
            self._target.write(item)
        except BrokenPipeError:
            self._failure = SettingsError(
                f"nobody reads {self._name} any more, so the run ends; name a file to go on without a reader"
            )
            return False
        except OSError as error:
            if not self._trouble:
                self._trouble = error.strerror or str(error)
                self._host.tell(
                    f"{self._name} cannot be written ({self._trouble}), what comes waits in memory and is tried "
                    "again every second; free some space"
                )
            return False
        if self._trouble:
            lacks = f", {self.missing} entries are missing" if self.missing else ""
            self._host.tell(f"{self._name} is written again{lacks}")
            self._trouble = ""
        return True
