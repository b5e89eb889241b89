"""How much two stretches of time have in common."""

from __future__ import annotations

Span = tuple[float, float]
"""Start and end of a stretch of time; the end is outside, so frames 3 to 7 inclusive are (3, 8)."""


def iou(one: Span, other: Span) -> float:
    """Return the intersection over union of two spans (Eq. 17), 0 where they do not meet.

    Example:
        >>> iou((0, 10), (5, 15))
        0.3333333333333333
    """
    shared = min(one[1], other[1]) - max(one[0], other[0])
    if shared <= 0:
        return 0.0
    return shared / (max(one[1], other[1]) - min(one[0], other[0]))
