"""How well a face can be seen: what stands in the way of judging it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamspot.face.align import EYE_CORNERS
from streamspot.types import Face, Frame, Trouble

SMALLEST_EYES = 32.0
"""Inter-ocular distance in pixels below which movements are too small to be measured."""

_TURNED = 35.0
"""Degrees by which a head may turn or nod before half of its regions foreshorten."""

_DEEP = 1.3
"""How many times too far apart in depth the mesh has the eyes of a turned head: 1.35 on rendered heads, whose turn is
known, 1.2 on a real one, against the turn that best explains where its landmarks lie in the picture."""

_DARK = 40.0
"""Mean grey level of a face, of 255, below which noise outweighs movement."""

_OUTSIDE = 0.03
"""Share of the landmarks that may lie outside the picture."""

_SELDOM = 0.7
"""Share of the looks that must find the face."""

_UNCLEAR = 0.4
"""Mean quality of its motion below which what moves is not a head: a hand in front of it, blur, compression."""

_SECOND = 1.0
"""Time constant of the two means, seconds."""

_SETTLED = 0.5
"""Seconds for which a trouble must last to be told, and be gone to be taken back."""

_CHIN_FOREHEAD = [152, 10]


class Sight:
    """What stands in the way of judging one face, steady over half a second.

    Attributes:
        trouble: What it is, None for nothing.
    """

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self._candidate: Trouble | None = None
        self._since = -math.inf
        self._seen = self._quality = 1.0
        self._looked: float | None = None

    def look(self, frame: Frame, face: Face | None, quality: float | None) -> None:
        """Take another look.

        Args:
            frame: The frame.
            face: The face in it, None if it was looked for and not found.
            quality: Of its motion, in [0, 1]; None where flow, which tells, was not measured.
        """
        before, self._looked = self._looked, frame.pts
        if before is not None:
            share = 1.0 - math.exp(-(frame.pts - before) / _SECOND)
            self._seen += share * ((face is not None) - self._seen)
            if face is not None and quality is not None:
                self._quality += share * (quality - self._quality)
        now = self.trouble if face is None else self._hindered(frame.image, face.landmarks)
        if self._seen < _SELDOM and now is None:
            now = "seldom"
        if now == self.trouble:
            self._candidate, self._since = now, math.inf
        elif now != self._candidate or self._since == math.inf:
            self._candidate, self._since = now, frame.pts
        elif frame.pts - self._since >= _SETTLED:
            self.trouble = now

    def _hindered(self, image: NDArray[np.uint8], marks: NDArray[np.float32]) -> Trouble | None:
        """Return the first trouble with a face that was found."""
        height, width = image.shape[:2]
        x, y, _ = marks.T.copy()  # what is reduced along memory takes a tenth of the time
        inside = ((x >= 0) & (y >= 0) & (x < width) & (y < height)).mean()
        a, b, c, d = marks[EYE_CORNERS].tolist()
        across = [(c[n] + d[n] - a[n] - b[n]) / 2 for n in range(3)]
        down = np.subtract(*marks[_CHIN_FOREHEAD]).tolist()
        turned = max(_degrees(across[0], across[1], across[2] / _DEEP), _degrees(*down))
        found: tuple[tuple[Trouble, bool], ...] = (
            ("small", math.hypot(across[0], across[1]) < SMALLEST_EYES),
            ("outside", inside < 1.0 - _OUTSIDE),
            ("turned", turned > _TURNED),
            ("dark", _brightness(image, x, y) < _DARK),
            ("unclear", self._quality < _UNCLEAR),
        )
        return next((trouble for trouble, there in found if there), None)


def _degrees(x: float, y: float, depth: float) -> float:
    """Return by how much a direction leaves the plane of the picture."""
    return math.degrees(math.atan2(abs(depth), math.hypot(x, y)))


def _brightness(image: NDArray[np.uint8], x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """Return the mean grey level of the box round a face's landmarks."""
    left, top = max(int(x.min()), 0), max(int(y.min()), 0)
    right, bottom = int(x.max()) + 1, int(y.max()) + 1
    step = max(1, (right - left) // 16)
    patch = image[top:bottom:step, left:right:step]
    return float(patch.mean()) if patch.size else 0.0
