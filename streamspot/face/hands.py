"""Hands in front of a mouth: what is measured there is theirs.

A look for hands costs as much as three frames. So it is taken only where the lower half of the face has not looked
like this before: a face at rest, and one that does what it did a while ago, cost nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import cache
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.face.align import Eyes
from streamspot.face.detectors import MediaPipeGraph, has_face_mesh
from streamspot.types import Face, Frame

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]

_PAUSE = 0.5
"""Seconds between two looks at least."""

_GONE = 2
"""Looks in a row that must find the mouth free until it is: one in nine overlooks a hand."""

_MOUTH = 0.3
"""Share of the mouth that a hand must hide."""

_ALIKE = 0.85
"""Correlation of two pictures of the lower face from which on they show the same: of faces with and without a hand on
the mouth three in a hundred reach it."""

_PICTURES = 16
"""Pictures without a hand that are remembered."""

_SMALL = (12, 8)
"""Size of such a picture."""

_AROUND, _SIDE = 3.2, 320
"""Half the side of what is searched, in inter-ocular distances: narrower, the wrist is missing and fewer hands are
found; and the pixels it has at most."""

_LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]


class HandFinder(MediaPipeGraph):
    """MediaPipe Hands, whose weights lie in the wheel of mediapipe 0.10.21: picture in, landmarks of hands out."""

    def __init__(self) -> None:
        super().__init__(_GRAPH, hands_at_most=2, complexity=0, tracking=False)
        self._lock = Lock()

    def __call__(self, image: Picture) -> list[Points]:
        """Return the landmarks of every hand, ``(21, 2)`` in pixels."""
        with self._lock:
            return [np.ascontiguousarray(hand[:, :2]) for hand in self.landmarks(image)]


_GRAPH = """
input_stream: "image"
output_stream: "found"
node {
  calculator: "HandLandmarkTrackingCpu"
  input_stream: "IMAGE:image"
  input_side_packet: "NUM_HANDS:hands_at_most"
  input_side_packet: "MODEL_COMPLEXITY:complexity"
  input_side_packet: "USE_PREV_LANDMARKS:tracking"
  output_stream: "LANDMARKS:found"
}
executor { name: "" type: "ApplicationThreadExecutor" }
"""


@cache
def hand_finder() -> HandFinder | None:
    """Return what finds hands, None where this MediaPipe has no such models.

    All streams of the process share it: it remembers nothing of the pictures before, and takes 55 MB.
    """
    return HandFinder() if has_face_mesh() else None


class Cover:
    """Whether a hand covers the mouth of one face.

    Attributes:
        there: Whether one does.

    Args:
        find: Finds hands in a picture, see :class:`HandFinder`; with None nothing is ever covered.
    """

    def __init__(self, find: Callable[[Picture], list[Points]] | None) -> None:
        self.there = False
        self._find = find
        self._looked = -math.inf
        self._free = 0
        self._pictures: deque[Points] = deque(maxlen=_PICTURES)

    def look(self, frame: Frame, face: Face) -> bool:
        """Take another look if it is time; hands are looked for unless the face looks as it did without one.

        Returned is whether a hand has come.
        """
        if self._find is None or frame.pts - self._looked < _PAUSE:
            return False
        self._looked = frame.pts
        eyes = Eyes.of(face.landmarks)
        picture = _lower_half(frame.image, eyes)
        if not self.there and any(float(picture @ known) > _ALIKE for known in self._pictures):
            return False
        middle = np.array([eyes.x, eyes.y + eyes.distance], np.float32)
        part, first, scale = _cut(frame.image, middle, _AROUND * eyes.distance)
        lips = (face.landmarks[_LIPS, :2] - first) * scale
        before = self.there
        if any(_hidden(lips, hand) > _MOUTH for hand in self._find(part)):
            self.there, self._free = True, 0
            return not before
        self._free += 1
        self.there = before and self._free < _GONE
        if not self.there:
            self._pictures.append(picture)
        return False


def _lower_half(image: Picture, eyes: Eyes) -> Points:
    """Return the picture of a face from nose to chin as a vector of length 1 whose dot products are correlations."""
    box = np.array([-1.12, 0.32, 1.12, 2.08]) * eyes.distance + [eyes.x, eyes.y, eyes.x, eyes.y]
    part = _inside(image, *box.astype(int).tolist())
    if not part.size:
        return np.zeros(_SMALL[0] * _SMALL[1] * 3, np.float32)
    small = cv2.resize(part, _SMALL, interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean((0, 1))
    return np.ravel(small) / np.float32(max(float(np.linalg.norm(small)), 1e-6))


def _cut(image: Picture, middle: Points, reach: float) -> tuple[Picture, Points, float]:
    """Return a square of the picture, black outside, where its first pixel lies, and by what it was made smaller."""
    x, y = np.floor(middle - reach).astype(int).tolist()
    side = math.ceil(2 * reach)
    part = _inside(image, x, y, x + side, y + side)
    scale = min(1.0, _SIDE / side)
    if scale < 1.0:
        part = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    square = np.zeros((round(side * scale), round(side * scale), 3), np.uint8)
    left, top = round(max(-x, 0) * scale), round(max(-y, 0) * scale)
    room = square[top : top + part.shape[0], left : left + part.shape[1]]
    room[:] = part[: room.shape[0], : room.shape[1]]
    return square, np.array([x, y], np.float32), scale


def _inside(image: Picture, left: int, top: int, right: int, bottom: int) -> Picture:
    """Return what lies in a box of the picture."""
    return image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]


def _hidden(lips: Points, hand: Points) -> float:
    """Return the share of the lips' hull that lies in the hand's."""
    shared, _ = cv2.intersectConvexConvex(cv2.convexHull(lips), cv2.convexHull(hand))
    return float(shared) / max(cv2.contourArea(cv2.convexHull(lips)), 1e-6)
