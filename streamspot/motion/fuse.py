"""From the pictures of one face to the motion of its regions."""

from __future__ import annotations

import math

import numpy as np

from streamspot.face.align import CROP_EYES, to_crop
from streamspot.motion.follow import SURE, FlowStep, Follower
from streamspot.motion.grid import TickGrid
from streamspot.motion.head import RIGID, PoseNormaliser
from streamspot.motion.position import Positions
from streamspot.motion.regions import Layout
from streamspot.types import Face, FlowName, Frame, RegionMotion

_SETTLING = 0.2
"""Seconds, three frames of a slow camera, in which the landmarks of a face that has just appeared converge; until
then flow alone is believed, and only where it is sure and sees more than noise."""

FLOW_GAP = 0.12
"""Seconds between frames beyond which their flow says nothing; landmarks alone are believed then."""

_LOOK, _REST = 0.09, 0.2
"""Seconds for which a face that moves little, or hardly at all, is followed by flow before its landmarks are looked
for again."""

_GAP = 0.06
"""Seconds between two looks as long as flow is sure of the head, however much moves."""

_LOST = 0.05
"""Quality of the flow at which the face may be another one: at a cut it is at most 0.02."""

_MEMORY = 0.3
"""Seconds between two pictures by which a face is recognised: the newest may show it half hidden."""

_ROUNDING = 1e-5
"""Seconds by which two times may differ and be the same: large times are coarser than small ones."""

_LITTLE, _FAR = 0.012, 0.02
"""Inter-ocular distances by which flow carries a region: what noise alone does while a face rests, and how far it may
before landmarks have a say."""


class MotionFusion:
    """Measures one face: one flow a frame, head motion removed, fused with landmarks, on 30 Hz ticks.

    Both are fused by :class:`~streamspot.motion.position.Positions`. Landmarks cost three times what flow does, and
    of a face at rest they say nothing new: they are asked for every 0.2 s, more often the more moves, and whenever
    flow is unsure. Costs do not depend on the past.

    Each frame is followed into first, then pushed, with its landmarks or, if those are not needed, without.

    Attributes:
        seen: Time of the frame that was pushed last, seconds.
        leapt: Whether it came so late that flow says nothing of it; quality then is that of an earlier frame.

    Args:
        layout: The regions to measure.
        origin: Time of tick 0: the first frame of the source, seconds.
        flow: Which optical flow to use.
        seen: Time at which the face was last seen before, seconds.
    """

    def __init__(
        self, layout: Layout, *, origin: float, flow: FlowName = "lk", seen: float = -math.inf
    ) -> None:
        self.seen, self.leapt = seen, False
        self._points = np.concatenate([RIGID, layout.vertices])
        self._grid = TickGrid(origin)
        self._follower = Follower(len(layout), flow)
        self._began: float | None = None
        self._pose: PoseNormaliser | None = None
        self._regions = Positions(len(layout))
        self._neutral = self._ticked = self._regions.at
        self._pts = -math.inf
        self._quality = 0.0
        self._carried = np.zeros_like(self._neutral)
        self._looked = self._remembered = -math.inf
        self._ahead: FlowStep | None = None

    @property
    def doubts(self) -> bool | None:
        """Whether flow has lost the face in the frame that was followed into; None where it tells nothing."""
        return None if self._ahead is None or self.leapt else self._ahead.quality < _LOST

    def recognises(self, frame: Frame, face: Face) -> bool:
        """Return whether the face in a frame that was followed into looks as it did lately."""
        return self._follower.recognises(frame, face)

    def settle(self) -> None:
        """Let a face that is still settling begin anew with the next frame."""
        self._began = self._ahead = None
        self._follower.drop()
        self._carried, self._quality = np.zeros_like(self._neutral), 0.0

    def follow(self, frame: Frame) -> bool:
        """Follow the face into the next frame by flow; tell whether :meth:`push` needs its landmarks there."""
        self.leapt = self._follower.follows and frame.pts - self._pts > FLOW_GAP
        if not self._follower.follows:
            return True
        if self.leapt:
            # Before any flow has been measured, landmarks alone are trusted as flow that is barely sure of itself.
            self._ahead = self._follower.leap(frame, self._quality or SURE)
            return True
        self._ahead = step = self._follower.step(frame)
        carried, since = float(np.abs(self._carried + step.own).max()), frame.pts - self._looked + _ROUNDING
        patience = _GAP if carried > _FAR else _LOOK if carried > _LITTLE else _REST
        return self._pose is None or step.lost or step.quality < SURE or since >= patience

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
            self._follower.go(ahead)
            self._quality = ahead.quality
            if self._pose is not None:
                self._regions.carry(ahead.own, ahead.head, ahead.spread, fresh=ahead.fresh)
                self._carried += ahead.own
            elif ahead.quality >= SURE:
                self._carried += ahead.own
                far = np.abs(self._carried).max(1, keepdims=True) > _LITTLE
                self._regions.at = np.where(far, self._carried, np.float32(0))
        if face is not None:
            self._look(frame, face, settled=frame.pts - self._began >= _SETTLING - _ROUNDING)
        self._regions.correct(frame.pts - self._pts, self._quality)
        self._pts = frame.pts
        if frame.pts - self._remembered >= _MEMORY:
            self._remembered = frame.pts
            self._follower.remember()
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
            self._follower.lay(frame, face, aligned)
            if not settled:
                return
            self._pose = PoseNormaliser(mesh)
            self._neutral = self._pose(mesh) - self._regions.at
        else:
            self._regions.see(self._pose(mesh) - self._neutral, frame.pts - self._looked)
            self._follower.check(frame, face, landmarks, aligned)
        self._carried = np.zeros_like(self._neutral)
        self._looked = frame.pts
