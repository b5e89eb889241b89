"""Where the regions are: carried by flow, set right by landmarks, each as far as it can be trusted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamspot.motion.head import median

Array = NDArray[np.float32]

ANCHOR = 0.05
"""Seconds over which what landmarks set right is spread. They shrink with the quality of the flow, so that a head
that turns fast is followed by its landmarks."""

_FLOW = 3e-4
"""Least error of a frame's flow, inter-ocular distances (standard deviation in x and in y, as all here)."""

_SHARE = 0.6
"""How far flow may err as a share of what it says: of a region's own motion, and of the head's at that region."""

_LANDMARKS = 0.003
"""Least error of landmarks, inter-ocular distances; in dim, grainy or small pictures it is up to ten times that."""

_MEMORY = 0.5
"""Time constant with which it is learned how far landmarks err, seconds."""

_OUTLIER = 3.0
"""How many times as far as they have so far landmarks may err in one look and be believed to."""

_MEDIAN, _UNLIKELY = 2 * math.log(2), 2 * math.log(1000)
"""Median of the squared length of a vector whose two components are normal with variance 1, and what one in a
thousand exceeds."""


class Positions:
    """The positions of one face's regions, a Kalman filter (Kalman, 1960) for each.

    Flow is precise over a few frames, but its sum drifts; landmarks jitter but do not drift. What flow may have
    erred by is a variance for each region, which grows from template to template. A look at landmarks takes back as
    much of it as their own noise allows. That differs tenfold between pictures, so it is learned from how far two
    looks differ beyond what flow saw between them, in the median region: fewer than half of them move at a time. If
    both variances together do not explain how far landmarks and flow are apart, flow has lost the region, and
    landmarks are believed.

    Attributes:
        at: ``(R, 2)``, in inter-ocular distances; may be set while landmarks have had no say yet.

    Args:
        regions: Their number, R.
    """

    def __init__(self, regions: int) -> None:
        self.at: Array = np.zeros((regions, 2), np.float32)
        self._error = np.zeros_like(self.at)
        self._variance = self._before = self._left = np.zeros(regions, np.float32)
        self._noise = _LANDMARKS**2
        self._seen: Array | None = None
        self._flown = self._moved = self._turned = np.zeros_like(self.at)

    def carry(self, own: Array, head: Array, spread: float, *, fresh: bool) -> None:
        """Move the positions as flow did from the frame before to this one (the prediction of the filter).

        Args:
            own: ``(R, 2)``, the regions' own motion.
            head: ``(R, 2)``, what the head's motion moved them by.
            spread: Error of the flow, inter-ocular distances.
            fresh: Whether flow goes on from this frame, so that it keeps the error that it has here.
        """
        self.at = self.at + own
        self._flown = self._flown + own
        self._moved, self._turned = self._moved + own, self._turned + head
        erred = np.float32(_SHARE**2 / 2) * (_squared(self._moved) + _squared(self._turned))
        self._variance = self._before + erred + np.float32(max(spread, _FLOW) ** 2)
        if fresh:
            self._rest(self._variance)

    def see(self, seen: Array, seconds: float) -> None:
        """Learn from landmarks how far off the positions are (the measurement of the filter).

        Args:
            seen: ``(R, 2)``, where landmarks have them.
            seconds: Time since landmarks were seen before.
        """
        if self._seen is not None:
            noise = float(median(_squared(seen - self._seen - self._flown))) / _MEDIAN
            noise = (noise - float(median(self._variance - self._left))) / 2
            noise = min(max(noise, _LANDMARKS**2), _OUTLIER**2 * self._noise)
            self._noise += (1.0 - math.exp(-seconds / _MEMORY)) * (noise - self._noise)
        self._seen, self._flown = seen, np.zeros_like(self.at)
        apart, known = seen - self.at, np.float32(self._noise)
        variance = np.maximum(self._variance, _squared(apart) / np.float32(_UNLIKELY) - known)
        gain = variance / (variance + known)
        self._error = apart * gain[:, None]
        self._left = variance * (1 - gain)
        self._rest(self._left)

    def _rest(self, variance: Array) -> None:
        """Take the positions for known with this variance; what flow errs by from here on comes on top of it."""
        self._variance = self._before = variance
        self._moved = self._turned = np.zeros_like(self.at)

    def correct(self, seconds: float, quality: float) -> None:
        """Set right what is due of how far off they are, ``seconds`` after the frame before."""
        due = self._error * np.float32(1.0 - math.exp(-seconds / max(ANCHOR * quality, 1e-6)))
        self.at = self.at + due
        self._error = self._error - due


def _squared(vectors: Array) -> Array:
    """Return the squared lengths of ``(R, 2)`` vectors."""
    return np.asarray((vectors * vectors).sum(1), np.float32)
