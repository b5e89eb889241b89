"""The last ten minutes of one face's curve, by tick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamspot.types import TICK_RATE, Score

KEPT = int(600 * TICK_RATE)
"""Ticks that are kept."""


class History:
    """Keeps scores by their tick, constant in size; ticks that were never judged are gaps."""

    def __init__(self) -> None:
        self.newest: Score | None = None
        self._ticks = np.full(KEPT, -1, np.int64)
        self._values = np.zeros((KEPT, 3), np.float32)

    def add(self, score: Score) -> None:
        """Keep a score, newer than those before it."""
        place = score.tick % KEPT
        self._ticks[place] = score.tick
        self._values[place] = score.intensity, score.macro, score.micro
        self.newest = score

    def intensity(self, first: int, count: int) -> NDArray[np.float64]:
        """Return ``(count,)`` intensities from tick ``first`` on, 0 where none is kept."""
        places, kept = self._find(first, count)
        return np.where(kept, self._values[places, 0].astype(np.float64), 0.0)

    def segments(self, first: int, count: int) -> Iterator[list[Score]]:
        """Yield the scores of each stretch without a gap, from tick ``first`` on."""
        places, kept = self._find(first, count)
        ticks = np.flatnonzero(kept)
        if self.newest is None:
            return
        for stretch in np.split(ticks, np.flatnonzero(np.diff(ticks) > 1) + 1) if len(ticks) else []:
            yield [
                replace(self.newest, tick=first + int(n), intensity=float(a), macro=float(p), micro=float(q))
                for n, (a, p, q) in zip(stretch, self._values[places[stretch]], strict=True)
            ]

    def _find(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        ticks = np.arange(first, first + count)
        places = ticks % KEPT
        return places, (self._ticks[places] == ticks) & (ticks >= 0)
