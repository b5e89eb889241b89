"""Which regions of a face moved, and how much of the movement was theirs: said as movement, never as emotion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np

from streamspot.types import Moved, Region, RegionMotion

MOST = 4
"""Regions that an event names."""

LEAST = 0.1
"""Share of the movement from which on a region is named: one in ten, of twelve regions."""

_KNOWN: tuple[Region, ...] = get_args(Region)


class Movement:
    """Remembers the motion of one face's latest ticks, in memory of constant size.

    Args:
        points: Names of the points that are measured, in their order, as a ``Layout`` has them; several of them make
            a region (three a brow, two the lips).
        ticks: How many ticks are remembered.
    """

    def __init__(self, points: Sequence[str], ticks: int) -> None:
        self._newest = -1
        self._steps = np.zeros((ticks, len(points), 2), np.float32)
        regions = [_region(point) for point in points]
        self._places: dict[Region, list[int]] = {
            region: [n for n, one in enumerate(regions) if one == region]
            for region in _KNOWN
            if region in regions
        }

    def push(self, motion: RegionMotion) -> None:
        """Take the next tick; ticks follow each other."""
        if self._places:
            self._steps[motion.tick % len(self._steps)] = motion.displacement
        self._newest = motion.tick

    def between(self, onset: int, apex: int) -> tuple[Moved, ...]:
        """Return the regions that went farthest from onset to apex, the farthest first.

        How far a region went is the mean over its points of the distance between where they were at the onset and at
        the apex; its share is that of the sum over all regions. Regions with a tenth or more are named, at most four;
        none where nothing moved.
        """
        first = max(onset + 1, apex + 1 - len(self._steps), self._newest + 1 - len(self._steps), 0)
        ticks = np.arange(first, apex + 1) % len(self._steps)
        far = np.hypot(*self._steps[ticks].sum(0, dtype=np.float64).T)  # (points,)
        went = {region: float(far[places].mean()) for region, places in self._places.items()}
        whole = sum(went.values())
        if not 0 < whole < np.inf:
            return ()
        shares = sorted(((distance / whole, region) for region, distance in went.items()), reverse=True)
        return tuple(
            Moved(region=region, share=round(share, 2)) for share, region in shares[:MOST] if share >= LEAST
        )


def in_words(moved: Iterable[Moved]) -> str:
    """Return what moved as a person reads it: ``left mouth corner 24 %, lips 11 %``."""
    named = ((one.region.rpartition("_"), one.share) for one in moved)
    return ", ".join(
        f"{' '.join(filter(None, (side, part.replace('_', ' '))))} {share:.0%}".replace("%", " %")
        for (part, _, side), share in named
    )


def _region(point: str) -> str:
    """Return the region that a point belongs to: ``brow_left_outer`` is one of three of ``brow_left``."""
    words = point.split("_")
    return "lips" if words[0] == "lip" else "_".join(words[:2]) if words[0] == "brow" else point
