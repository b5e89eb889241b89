"""A camera that does what a script says: gives pictures, fails, hangs, ends."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable


class ScriptedCamera:
    """A capture that plays a script and fails when that is over.

    Args:
        script: What each ``read`` does: a picture, one with its stamp ``(seconds, picture)``, None (the read fails),
            or a number (it hangs for so many seconds and then does what comes next).
        fps: What it declares.
        greeting: What it says with its first picture.
        pace: Seconds that every ``read`` takes besides.

    Attributes:
        released: Set once the device has been given back.
    """

    def __init__(
        self, script: Iterable[object], fps: float | None = 30.0, *, greeting: str = "", pace: float = 0.0
    ) -> None:
        self.fps, self.greeting = fps, greeting
        self.released = threading.Event()
        self._script, self._pace = iter(script), pace

    def read(self) -> tuple[float, object] | None:
        step = next(self._script, None)
        while isinstance(step, float):
            time.sleep(step)
            step = next(self._script, None)
        time.sleep(self._pace)
        return step if step is None or isinstance(step, tuple) else (math.nan, step)

    def release(self) -> None:
        self.released.set()
