"""The end of a run that somebody asks for: orderly, and within a second whatever hangs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

_WHOLE = 0.9
"""Seconds that the end may take, outputs included."""
_ANALYSIS = 0.4
"""Of these, those after which the analysis is left behind."""


class Ending:
    """Whether the end was asked for, how long it may take, and whether it has come; for any thread."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._since = 0.0
        self._come = threading.Lock()

    def ask(self, give_up: Callable[[], None]) -> None:
        """Ask for the end; call ``give_up`` if it has not come in time."""
        if not self.asked:
            self._since = time.monotonic()
            self._asked.set()
            watch = threading.Timer(_ANALYSIS, lambda: None if self.come else give_up())
            watch.daemon = True
            watch.start()

    @property
    def asked(self) -> bool:
        """Whether the end was asked for."""
        return self._asked.is_set()

    @property
    def left(self) -> float:
        """Seconds until all has to be over; infinite before the end is asked for."""
        return max(0.0, self._since + _WHOLE - time.monotonic()) if self.asked else math.inf

    def mark(self) -> bool:
        """Note that the end has come; return whether that is new."""
        return self._come.acquire(blocking=False)

    @property
    def come(self) -> bool:
        """Whether the end has come."""
        return self._come.locked()
