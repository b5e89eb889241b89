"""Sampling of a continuous curve at the 30 Hz grid on which the model lives."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streamspot.types import TICK_RATE

_EPSILON = 1e-6
"""Ticks; a 30 fps file's own rounding must not move a tick into the next frame."""


class TickGrid:
    """Interpolates a curve known at the frames' times at every tick in between.

    Tick n lies ``n / 30`` seconds after ``origin``. Displacements add up, so the cumulative displacement is a
    continuous curve and any frame rate, steady or not, becomes the same thing.

    Args:
        origin: Time of tick 0 in seconds: the source's first frame.
    """

    def __init__(self, origin: float) -> None:
        self._origin = origin
        self._next: int | None = None
        self._last: tuple[float, int, NDArray[np.float32]] | None = None

    def push(
        self, pts: float, frame: int, value: NDArray[np.float32]
    ) -> Iterator[tuple[int, float, int, NDArray[np.float32]]]:
        """Take the curve's value at a later frame; yield (tick, pts, nearest frame, value) of the ticks now known."""
        at = (pts - self._origin) * TICK_RATE
        earlier, earlier_frame, before = self._last or (at, frame, value)
        if self._next is None:
            self._next = math.ceil(at - _EPSILON)
        while self._next <= at + _EPSILON:
            share = 1.0 if at <= earlier else min(1.0, max(0.0, (self._next - earlier) / (at - earlier)))
            nearest = frame if share >= 0.5 else earlier_frame
            known = before + np.float32(share) * (value - before)
            yield self._next, self._origin + self._next / TICK_RATE, nearest, known
            self._next += 1
        self._last = at, frame, value
