"""From the pictures of one face to the motion of its regions."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.face.align import CROP, CROP_EYES, to_crop
from streamspot.flow.dense import FlowName, make_flow
from streamspot.flow.head import RIGID, PoseNormaliser, fit_rigid, rigid_basis
from streamspot.flow.regions import Layout
from streamspot.flow.ticks import TickGrid
from streamspot.types import Face, Frame, RegionMotion

_REACH = 3
"""The flow of a region is averaged over a box that reaches so many crop pixels to every side."""

_BOX = np.arange(-_REACH, _REACH + 1)

_ANCHOR_SECONDS = 0.2
"""Time constant of the complementary filter: flow says what is faster, landmarks what lasts."""

_FLOW_GAP = 0.12
"""Seconds between frames beyond which their flow says nothing; landmarks alone are believed then."""

_STRAY = 3.0
"""Crop pixels the aligned face may drift before the crop is laid anew."""

_NOISY = 0.005
"""Residual of the rigid fit, inter-ocular distances a frame, at which quality is one half."""


class MotionExtractor:
    """Measures one face: one flow a frame, head motion removed, fused with landmarks, on 30 Hz ticks.

    Flow is precise over a few frames but its sum drifts; landmarks are noisy but do not. As a gyroscope and
    an accelerometer are, both are fused by a complementary filter. Costs do not depend on the past.

    Args:
        layout: The regions to measure.
        origin: Time of tick 0: the first frame of the source, seconds.
        flow: Which dense flow to use.
    """

    def __init__(self, layout: Layout, *, origin: float, flow: FlowName = "dis") -> None:
        self._vertices = np.array(layout.vertices)
        self._points = np.concatenate([RIGID, self._vertices])
        self._grid = TickGrid(origin)
        self._flow = make_flow(flow)
        self._pose: PoseNormaliser | None = None
        self._crop: NDArray[np.uint8] | None = None
        self._transform = np.zeros((2, 3), np.float32)
        self._at = np.zeros((0, 3), np.float32)
        self._position = np.zeros((len(layout), 2), np.float32)
        self._ticked = self._position
        self._pts = -math.inf
        self._quality = 1.0

    def push(self, frame: Frame, face: Face) -> list[RegionMotion]:
        """Take the face in the next frame in which it was seen; return the motion of every tick now known."""
        mesh = to_crop(face.transform, face.landmarks) / np.float32(CROP_EYES)
        if self._pose is None:
            self._pose = PoseNormaliser(mesh)
        seen = self._pose(mesh, self._vertices)
        step = frame.pts - self._pts
        if self._crop is None:
            self._position = self._ticked = seen
            self._lay(frame, face)
        else:
            crop = _cut(frame.image, self._transform)
            moved = self._moved(self._crop, crop) if step <= _FLOW_GAP else 0.0
            trust = np.float32(1.0 - math.exp(-step / _ANCHOR_SECONDS))
            guess = self._position + moved
            self._position = guess + trust * (seen - guess)
            self._crop = crop
            self._at = to_crop(self._transform, face.landmarks[self._points])
            aligned = to_crop(face.transform, face.landmarks[RIGID])
            if np.abs(self._at[: len(RIGID)] - aligned)[:, :2].max() > _STRAY:
                self._lay(frame, face)
        self._pts = frame.pts
        motions = []
        for tick, pts, index, position in self._grid.push(frame.pts, frame.index, self._position):
            motions.append(RegionMotion(tick, pts, index, position - self._ticked, self._quality))
            self._ticked = position
        return motions

    def _moved(self, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the regions' own motion ``(R, 2)`` between two crops of the same transform."""
        field = self._flow(before, after)
        column, row = np.clip(np.rint(self._at[:, :2]), _REACH, CROP - 1 - _REACH).astype(np.intp).T
        boxes = field[row[:, None, None] + _BOX[:, None], column[:, None, None] + _BOX]  # (26 + R, 7, 7, 2)
        flow = np.nan_to_num(boxes.mean((1, 2))) / np.float32(CROP_EYES)  # (26 + R, 2)
        basis = rigid_basis((self._at - _MIDDLE) / np.float32(CROP_EYES))  # (26 + R, 2, 6)
        head, spread = fit_rigid(basis[: len(RIGID)], flow[: len(RIGID)])
        self._quality = 1.0 / (1.0 + (spread / _NOISY) ** 2)
        own = flow[len(RIGID) :] - basis[len(RIGID) :] @ head
        return np.asarray(own, np.float32)

    def _lay(self, frame: Frame, face: Face) -> None:
        """Lay the crop anew where the face is now."""
        self._transform = face.transform
        self._crop = _cut(frame.image, self._transform)
        self._at = to_crop(self._transform, face.landmarks[self._points])


_MIDDLE = np.array([CROP / 2, CROP / 2, 0.0], np.float32)


def _cut(image: NDArray[np.uint8], transform: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the grey ``(160, 160)`` crop; a face larger than it is averaged over pixels, not sampled."""
    corners = _CORNERS @ cv2.invertAffineTransform(transform).T  # (4, 2)
    by = max(1, int(1.0 / max(float(np.hypot(transform[0, 0], transform[0, 1])), 1e-3)))
    size = np.array(image.shape[1::-1])
    first = np.clip(np.floor(corners.min(0)) - 1, 0, size - by).astype(int)
    last = np.clip(np.ceil(corners.max(0)) + 2, first + by, size).astype(int)
    last -= (last - first) % by
    part = cv2.cvtColor(image[first[1] : last[1], first[0] : last[0]], cv2.COLOR_BGR2GRAY)
    if by > 1:
        part = cv2.resize(part, (part.shape[1] // by, part.shape[0] // by), interpolation=cv2.INTER_AREA)
    # the centre of pixel i of the part lies at first + by * (i + 1/2) - 1/2
    turn = transform[:, :2]
    shift = transform[:, 2] + turn @ (first + (by - 1) / 2)
    warp = np.concatenate([turn * by, shift[:, None]], axis=1)
    return np.asarray(cv2.warpAffine(part, warp, (CROP, CROP), borderMode=cv2.BORDER_REPLICATE))


_CORNERS = np.array([[0, 0, 1], [CROP, 0, 1], [0, CROP, 1], [CROP, CROP, 1]], np.float32)
