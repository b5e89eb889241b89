"""What a run is called, and when its first tick was."""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from streamspot.types import Frame, Session

_EARLIER, _LATER = timedelta(milliseconds=1), timedelta(milliseconds=50)
"""The wall-clock time of a run's first tick is mended in no smaller steps."""

_LATELY = 30.0
"""The earliest arrival is that of so many seconds and of those before them."""

_ASLEEP = 1.0
"""Seconds of sleep that are looked at; less may be what two clocks differ by."""


def digest(*parts: object) -> str:
    """Return twelve letters that stand for the parts' representations."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def new_run() -> str:
    """Return an id that no other run has."""
    return uuid.uuid4().hex[:12]


def slept() -> float:
    """Return the seconds that this computer has slept since it was started, which ``time.monotonic`` leaves out."""
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return 0.0 if clock is None else time.clock_gettime(clock) - time.monotonic()


class WallClock:
    """The wall-clock times of one run; a computer's clock that is set meanwhile changes nothing, its sleep counts."""

    def __init__(self) -> None:
        self._begun = datetime.now(UTC) - timedelta(seconds=time.monotonic())
        self._slept = slept()
        self._earliest: tuple[int, datetime, datetime] | None = None
        """Number of the present ``_LATELY``, the start by its earliest arrival and by that of the one before."""

    def at(self, moment: float) -> datetime:
        """Return the wall-clock time of a moment of ``time.monotonic()``."""
        return self._begun + timedelta(seconds=moment)

    def arrival(self, frame: Frame) -> datetime:
        """Return when a frame arrived."""
        return self._begun + timedelta(microseconds=frame.captured_ns // 1000)

    @property
    def asleep(self) -> float:
        """Seconds of sleep that its times do not have yet: they get them with the next picture."""
        asleep = slept() - self._slept
        return asleep if asleep > _ASLEEP else 0.0

    def anchored(self, session: Session, frame: Frame) -> Session:
        """Return the session of a live source with the wall-clock time of tick 0 as it is known with this frame.

        A picture may come late but never early, so the earliest arrival, less its time on the source's time line, is
        the truest; the earliest lately, since that time line may follow pictures that all come late for a while.
        While a computer sleeps its time line stands still and wall clocks go on.
        """
        if asleep := self.asleep:
            self._slept += asleep
            self._begun += timedelta(seconds=asleep)
            self._earliest = None
            session = replace(session, start=session.start + timedelta(seconds=asleep))
        start = self.arrival(frame) - timedelta(seconds=frame.pts - session.origin)
        start = self._earliest_start(start, frame.captured_ns)
        moved = start < session.start - _EARLIER or start > session.start + _LATER
        return replace(session, start=start) if moved else session

    def _earliest_start(self, start: datetime, captured_ns: int) -> datetime:
        """Return the earliest start of late, with this one."""
        number = int(captured_ns / 1e9 // _LATELY)
        known, now, before = self._earliest or (number, start, start)
        if number != known:
            now, before = start, now
        now = min(now, start)
        self._earliest = number, now, before
        return min(now, before)
