"""How pictures arrive: at which rate, and whether a live source is lost."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime

from streamspot.session import WallClock
from streamspot.stats import Stats

SILENT_S = 2.0
"""Seconds without a picture after which a live source counts as lost until the next."""

_RATE_OVER_S = 2.0
"""Seconds over which the rate is measured."""


class Arrivals:
    """Watches the pictures of one run, and keeps its statistics of them.

    Attributes:
        lost_since: Wall-clock time of the newest picture, while a live source is lost; else None.

    Args:
        stats: Of the run.
        clock: Of the run.
    """

    def __init__(self, stats: Stats, clock: WallClock) -> None:
        self.lost_since: datetime | None = None
        self._stats, self._clock = stats, clock
        self._newest: float | None = None  # None before the first and during a pause
        self._told = False
        self._pace: deque[float] = deque(maxlen=4096)

    def found(self) -> float | None:
        """Note that a picture has come; return for how many seconds the source was lost before it.

        None if it was not lost, or has said so itself.
        """
        self._newest, before = time.monotonic(), self._stats.no_picture_since
        self.lost_since = self._stats.no_picture_since = None
        return None if before is None or self._told else self._newest - before

    def told(self) -> None:
        """Note that the source has said something: one that speaks while it is lost says itself that it is back."""
        self._told = True

    def missed(self) -> bool:
        """Note that none has come; return whether the source counts as lost from now on."""
        self.measure()
        newest = self._newest
        if not self._stats.live or newest is None or self.lost_since is not None:
            return False
        if time.monotonic() - newest < SILENT_S:
            return False
        self.lost_since, self._stats.no_picture_since, self._told = self._clock.at(newest), newest, False
        return True

    def rest(self) -> None:
        """Count no silence until the next picture: the run is paused."""
        self._newest = None

    def analysed(self) -> None:
        """Note that a picture has been analysed."""
        self._pace.append(time.perf_counter())
        self.measure()

    def measure(self) -> None:
        """Measure the rate over the last two seconds, whether or not a picture has just come."""
        now, pace = time.perf_counter(), self._pace
        while pace and now - pace[0] > _RATE_OVER_S:
            pace.popleft()
        self._stats.fps = (len(pace) - 1) / max(now - pace[0], 1e-6) if len(pace) > 1 else 0.0
