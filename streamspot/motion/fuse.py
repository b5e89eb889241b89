"""From the pictures of one face to the motion of its regions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.face.align import CROP, CROP_EYES, to_crop
from streamspot.motion.flow import make_flow
from streamspot.motion.grid import TickGrid
from streamspot.motion.head import RIGID, PoseNormaliser, fit_rigid, rigid_basis
from streamspot.motion.position import Positions
from streamspot.motion.regions import Layout
from streamspot.types import Face, FlowName, Frame, RegionMotion

_SETTLING = 0.2
"""Seconds, three frames of a slow camera, in which the landmarks of a face that has just appeared converge; until
then flow alone is believed, and only where it is sure and sees more than noise."""

_FLOW_GAP = 0.12
"""Seconds between frames beyond which their flow says nothing; landmarks alone are believed then."""

_UNKNOWN = 1.0
"""Error of the flow across such a gap, inter-ocular distances."""

_STRAY = 3.0
"""Crop pixels the aligned face may drift before the crop is laid anew."""

_NOISY = 0.005
"""Residual of the rigid fit, inter-ocular distances a frame, at which quality is one half."""

_AXIS = 1.4826 * math.sqrt(2 * math.log(2))
"""How many times the standard deviation in x and in y the spread of the rigid fit's residual is."""

_SURE = 0.5
"""Quality of the flow from which on it is believed without landmarks."""

_LOOK, _REST = 0.09, 0.2
"""Seconds for which a face that moves little, or hardly at all, is followed by flow before its landmarks are looked
for again."""

_GAP = 0.06
"""Seconds between two looks as long as flow is sure of the head, however much moves."""

_ROUNDING = 1e-5
"""Seconds by which two times may differ and be the same: large times are coarser than small ones."""

_LITTLE, _FAR = 0.012, 0.02
"""Inter-ocular distances by which flow carries a region: what noise alone does while a face rests, and how far it may
before landmarks have a say."""


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What flow says of the next frame: its crop, where the points are in it, what the regions and the head moved."""

    crop: NDArray[np.uint8]
    at: NDArray[np.float32]
    own: NDArray[np.float32]
    head: NDArray[np.float32]
    spread: float
    quality: float


class MotionFusion:
    """Measures one face: one flow a frame, head motion removed, fused with landmarks, on 30 Hz ticks.

    Both are fused by :class:`~streamspot.motion.position.Positions`. Landmarks cost four times what flow does, and of
    a face at rest they say nothing new: they are asked for every 0.2 s, more often the more moves, and whenever flow
    is unsure. Costs do not depend on the past.

    Each frame is followed into first, then pushed, with its landmarks or, if those are not needed, without.

    Attributes:
        seen: Time of the frame that was pushed last, seconds.

    Args:
        layout: The regions to measure.
        origin: Time of tick 0: the first frame of the source, seconds.
        flow: Which optical flow to use.
        seen: Time at which the face was last seen before, seconds.
    """

    def __init__(
        self, layout: Layout, *, origin: float, flow: FlowName = "lk", seen: float = -math.inf
    ) -> None:
        self.seen = seen
        self._points = np.concatenate([RIGID, layout.vertices])
        self._grid = TickGrid(origin)
        self._flow = make_flow(flow)
        self._began: float | None = None
        self._pose: PoseNormaliser | None = None
        self._crop: NDArray[np.uint8] | None = None
        self._cutter: _Cutter
        self._at = np.zeros((0, 3), np.float32)
        self._regions = Positions(len(layout))
        self._neutral = self._ticked = self._regions.at
        self._pts = -math.inf
        self._quality = 0.0
        self._carried = np.zeros_like(self._neutral)
        self._looked = -math.inf
        self._ahead: _Ahead | None = None

    def settle(self) -> None:
        """Let a face that is still settling begin anew with the next frame."""
        self._began = self._crop = self._ahead = None
        self._carried, self._quality = np.zeros_like(self._neutral), 0.0

    def follow(self, frame: Frame) -> bool:
        """Follow the face into the next frame by flow; tell whether :meth:`push` needs its landmarks there."""
        if self._crop is None:
            return True
        crop = self._cutter(frame.image)
        if frame.pts - self._pts > _FLOW_GAP:
            still = np.zeros_like(self._neutral)
            self._ahead = _Ahead(crop, self._at, still, still, _UNKNOWN, self._quality)
            return True
        flow = self._flow(self._crop, crop, self._at[:, :2]) / np.float32(CROP_EYES)  # (26 + R, 2)
        basis = rigid_basis((self._at - _MIDDLE) / np.float32(CROP_EYES))  # (26 + R, 2, 6)
        lost = np.isnan(flow)  # still where the head is fitted, going with the head elsewhere
        motion, spread = fit_rigid(basis[: len(RIGID)], np.where(lost, 0, flow)[: len(RIGID)])
        head = (basis @ motion).astype(np.float32)
        flow = np.where(lost, head, flow)
        at = self._at.copy()
        at[:, :2] += flow * np.float32(CROP_EYES)
        own, head = (flow - head)[len(RIGID) :], head[len(RIGID) :]
        quality = 1.0 / (1.0 + (spread / _NOISY) ** 2)
        self._ahead = _Ahead(crop, at, own, head, spread / _AXIS, quality)
        carried, since = float(np.abs(self._carried + own).max()), frame.pts - self._looked + _ROUNDING
        patience = _GAP if carried > _FAR else _LOOK if carried > _LITTLE else _REST
        return self._pose is None or bool(lost.any()) or quality < _SURE or since >= patience

    def push(self, frame: Frame, face: Face | None) -> list[RegionMotion]:
        """Take the frame that was followed into; return the motion of every tick now known.

        In the first 0.2 s of a face its landmarks settle, so that is the motion of flow alone, where flow is sure
        and sees more than noise; the mesh they settle to, less that motion, is the reference of all that follows. A
        face's first frame has nothing before it and quality 0. The face is None where ``follow`` did not need its
        landmarks.
        """
        self.seen = frame.pts
        if self._began is None:
            self._began = frame.pts
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._crop, self._at, self._quality = ahead.crop, ahead.at, ahead.quality
            if self._pose is not None:
                self._regions.carry(ahead.own, ahead.head, ahead.spread)
                self._carried += ahead.own
            elif ahead.quality >= _SURE:
                self._carried += ahead.own
                far = np.abs(self._carried).max(1, keepdims=True) > _LITTLE
                self._regions.at = np.where(far, self._carried, np.float32(0))
        if face is not None:
            self._look(frame, face, settled=frame.pts - self._began >= _SETTLING - _ROUNDING)
        self._regions.correct(frame.pts - self._pts, self._quality)
        self._pts = frame.pts
        motions = []
        for tick, pts, index, position in self._grid.push(frame.pts, frame.index, self._regions.at):
            motions.append(RegionMotion(tick, pts, index, position - self._ticked, self._quality))
            self._ticked = position
        return motions

    def _look(self, frame: Frame, face: Face, *, settled: bool) -> None:
        """See by the landmarks how far off the regions' positions are; before they settle, only where points are."""
        landmarks = face.landmarks[self._points]  # (26 + R, 3)
        aligned = to_crop(face.transform, landmarks)
        mesh = aligned / np.float32(CROP_EYES)
        if self._pose is None:
            self._lay(frame, face, aligned)
            if not settled:
                return
            self._pose = PoseNormaliser(mesh)
            self._neutral = self._pose(mesh) - self._regions.at
        else:
            self._regions.see(self._pose(mesh) - self._neutral, frame.pts - self._looked)
            self._at = to_crop(self._cutter.transform, landmarks)
            if np.abs((self._at - aligned)[: len(RIGID), :2]).max() > _STRAY:
                self._lay(frame, face, aligned)
        self._carried = np.zeros_like(self._neutral)
        self._looked = frame.pts

    def _lay(self, frame: Frame, face: Face, aligned: NDArray[np.float32]) -> None:
        """Lay the crop anew where the face is now, and its points ``aligned``."""
        self._cutter = _Cutter(frame.image.shape[:2], face.transform)
        self._crop = self._cutter(frame.image)
        self._at = aligned


_MIDDLE = np.array([CROP / 2, CROP / 2, 0.0], np.float32)


class _Cutter:
    """Cuts the grey ``(160, 160)`` crop of one transform; a larger face is averaged over pixels, not sampled."""

    def __init__(self, size: tuple[int, ...], transform: NDArray[np.float32]) -> None:
        self.transform = transform
        self._size = size
        corners = _CORNERS @ cv2.invertAffineTransform(transform).T  # (4, 2)
        self._by = by = max(1, int(1.0 / max(float(np.hypot(transform[0, 0], transform[0, 1])), 1e-3)))
        limit = np.array(size[::-1])
        first = np.clip(np.floor(corners.min(0)) - 1, 0, limit - by).astype(int)
        last = np.clip(np.ceil(corners.max(0)) + 2, first + by, limit).astype(int)
        last -= (last - first) % by
        self._part = slice(first[1], last[1]), slice(first[0], last[0])
        # the centre of pixel i of the part lies at first + by * (i + 1/2) - 1/2
        turn = transform[:, :2]
        shift = transform[:, 2] + turn @ (first + (by - 1) / 2)
        self._warp = np.concatenate([turn * by, shift[:, None]], axis=1)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the crop of a picture."""
        if image.shape[:2] != self._size:  # the source changed its mode
            return _Cutter(image.shape[:2], self.transform)(image)
        part = cv2.cvtColor(image[self._part], cv2.COLOR_BGR2GRAY)
        if self._by > 1:
            size = part.shape[1] // self._by, part.shape[0] // self._by
            part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.warpAffine(part, self._warp, (CROP, CROP), borderMode=cv2.BORDER_REPLICATE))


_CORNERS = np.array([[0, 0, 1], [CROP, 0, 1], [0, CROP, 1], [CROP, CROP, 1]], np.float32)
