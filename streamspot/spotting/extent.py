"""Peaks of a curve and how far the expression round each reaches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate

MEAN = 9
"""Ticks of the moving mean in which peaks are looked for (0.3 s)."""

LONG = 3
"""A run of so many usual lengths is an expression of its own length."""

Reach = tuple[int, int]
"""Ticks before and after a peak."""


def moving_mean(values: Sequence[float]) -> list[float]:
    """Return the mean over ``MEAN`` ticks round each value, which counts as 0 beyond the ends."""
    half = MEAN // 2
    total = (0.0, *accumulate(values))
    count = len(values)
    return [(total[min(count, i + half + 1)] - total[max(0, i - half)]) / MEAN for i in range(count)]


def peaks(curve: Sequence[float], usual: Reach) -> Iterator[tuple[int, int, int]]:
    """Yield first place, peak and last place of the expressions that a curve shows, the highest first.

    A peak's run is where the curve stays above half of it. Runs at unseen people are too short or too long for a
    right overlap, and a fixed window fits no long expression. The expression is therefore as long as the geometric
    mean of the run and of the usual length, and its middle lies halfway between those of both; a run of more than
    ``LONG`` usual lengths is taken as it is. No peak lies in the run of a higher one.

    Args:
        curve: What is looked at.
        usual: How far an expression usually reaches from its peak.
    """
    before, after = usual
    length = before + after + 1
    count = len(curve)
    free = [True] * count
    for peak in sorted(range(count), key=lambda place: (-curve[place], place)):
        height = curve[peak]
        if height <= 0:
            return
        if not free[peak] or height < max(curve[max(0, peak - 1)], curve[min(count - 1, peak + 1)]):
            continue
        first = last = peak
        while first and curve[first - 1] > height / 2:
            first -= 1
        while last < count - 1 and curve[last + 1] > height / 2:
            last += 1
        free[first : last + 1] = [False] * (last + 1 - first)
        run = last - first + 1
        if run <= LONG * length:
            middle = ((first + last) / 2 + peak + (after - before) / 2) / 2
            half = (math.sqrt(run * length) - 1) / 2
            first, last = (
                min(peak, math.floor(middle - half + 0.5)),
                max(peak, math.floor(middle + half + 0.5)),
            )
        yield first, peak, last
