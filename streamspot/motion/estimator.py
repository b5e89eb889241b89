"""From frames to the motion of every face in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from streamspot.face.detectors import make_detector
from streamspot.face.hands import Cover, hand_finder
from streamspot.face.scene import another_scene, coarse, shows, stands
from streamspot.face.sight import Sight
from streamspot.face.tracker import LOST_AFTER, FaceTracker
from streamspot.motion.fuse import FLOW_GAP, MotionFusion
from streamspot.motion.regions import Layout
from streamspot.types import Face, FaceMotion, FlowName, Frame, Motion, SegmentEnd


@dataclass(slots=True)
class _Followed:
    """What belongs to one face that is followed: what measures its motion, and what may stand in the way of that."""

    fusion: MotionFusion
    cover: Cover
    sight: Sight = field(default_factory=Sight)
    quality: float = 1.0  # of its newest tick


class MotionEstimator:
    """Finds, follows and measures the faces of one source.

    Attributes:
        origin: Time of tick 0, the first frame's, in seconds; None before it.
        visible: Number of faces in the newest frame.

    Example:
        >>> for frame in frames:  # doctest: +SKIP
        ...     for one in estimator.push(frame):
        ...         print(one.face, one)
    """

    def __init__(self, tracker: FaceTracker, layout: Layout, *, flow: FlowName = "lk") -> None:
        self._tracker = tracker
        self._hands = hand_finder()
        self._layout = layout
        self._flow: FlowName = flow
        self._faces: dict[int, _Followed] = {}
        self._pts: float | None = None
        self._shown: NDArray[np.float32] | None = None  # the scene in which faces are followed
        self._strange: NDArray[np.float32] | None = None  # the newest picture, if it is of another one
        self._missed: frozenset[int] = frozenset()  # who was followed when the first of those came
        self.origin: float | None = None
        self.visible = 0

    @classmethod
    def open(cls, layout: Layout, *, faces: int = 1, flow: FlowName = "lk") -> Self:
        """Return an estimator with a face detector of its own, see ``make_detector``."""
        return cls(FaceTracker(make_detector(faces), faces), layout, flow=flow)

    def push(self, frame: Frame) -> list[Motion]:
        """Take the next frame; return what is now known of every face's motion, in order of track number.

        Faces that flow follows well are not looked for in every frame; as soon as one of them needs its landmarks,
        or has not been seen in the frame before, all are.
        A face unseen for more than half a second, or a gap of that length between two frames, ends its segment. So
        does a hand in front of its mouth; while it is there, the face counts as still. A single picture of something
        else counts as no picture; when the next one is alike and has a face where one was, that is somebody else.
        """
        if self.origin is None:
            self.origin = frame.pts
        before, self._pts = self._pts, frame.pts
        gap = before is not None and frame.pts - before > LOST_AFTER
        lost = sorted(n for n, one in self._faces.items() if frame.pts - one.fusion.seen > LOST_AFTER)
        found = self._end(lost, "gap in the source" if gap else "face lost")
        fusions = [one.fusion for one in self._faces.values()]
        needed = [fusion.follow(frame) or fusion.seen != before for fusion in fusions]
        faces: dict[int, Face | None] = dict.fromkeys(self._faces)
        if any(needed) or not needed:
            faces = self._look(frame)
        match self._scene(frame, faces, before):
            case "strange":
                return found
            case "new" if others := sorted(self._missed & faces.keys()):
                found += self._end(others, "scene cut")
                self._shown, self._strange = self._strange, None
                faces = self._look(frame)
        self.visible = len(faces)
        return found + [one for track, face in faces.items() for one in self._measure(frame, track, face)]

    def _look(self, frame: Frame) -> dict[int, Face | None]:
        """Return the faces in a frame by track number."""
        seen = {track: one.fusion.seen for track, one in self._faces.items()}
        faces: dict[int, Face | None] = {face.track: face for face in self._tracker.track(frame, seen)}
        for track in self._faces.keys() - faces:
            self._faces[track].sight.look(frame, None, 0.0)
        return faces

    def _measure(self, frame: Frame, track: int, face: Face | None) -> list[Motion]:
        """Return the motion of one face that is known with this frame; None where landmarks were not needed."""
        if track not in self._faces:
            self._faces[track] = _Followed(self._fusion(), Cover(self._hands))
        followed = self._faces[track]
        cover, sight = followed.cover, followed.sight
        if cover.there:
            followed.fusion.settle()
        motion = followed.fusion.push(frame, face)
        trouble = "covered" if cover.there else sight.trouble
        found: list[Motion] = [FaceMotion(track, one, trouble) for one in motion]
        if motion:
            followed.quality = motion[-1].quality
        if face is None:
            return found
        quality = None if followed.fusion.leapt else followed.quality
        sight.look(frame, face, 1.0 if cover.there else quality)
        if cover.look(frame, face):
            found.append(SegmentEnd(track, "face covered"))
            followed.fusion = self._fusion(frame.pts)
        return found

    def _scene(
        self, frame: Frame, faces: Mapping[int, Face | None], before: float | None
    ) -> Literal["known", "strange", "new"]:
        """Return whether a frame shows the scene in which faces are followed, something else, or another scene.

        It shows something else where flow has lost all faces, the picture has nothing in common with the one before,
        and nobody is found where a face was who looks as before; another scene if the next frame shows the same.
        ``faces`` are those in the frame, ``before`` is the time of the frame before it.
        """
        now = coarse(frame.image)
        if self._strange is None:
            self._missed = frozenset(self._faces)
        if (
            self._shown is None
            or not self._missed & self._faces.keys()
            or not (self._strange is not None or self._doubted(frame, before))
            or not another_scene(self._shown, now)
            or self._recognised(frame, faces)
        ):
            self._strange = None
            self._shown = now if shows(now) else self._shown
            return "known"
        earlier, self._strange = self._strange, now
        return "new" if earlier is not None and stands(earlier, now) else "strange"

    def _doubted(self, frame: Frame, before: float | None) -> bool:
        """Return whether flow has lost all whom it can tell of; of nobody, whether the frames are near in time."""
        told = [doubts for one in self._faces.values() if (doubts := one.fusion.doubts) is not None]
        near = before is not None and frame.pts - before <= FLOW_GAP
        return all(told) if told else near

    def _recognised(self, frame: Frame, faces: Mapping[int, Face | None]) -> bool:
        """Return whether somebody is found where a face was who looks as it did."""
        return any(
            face is not None and track in self._missed and self._faces[track].fusion.recognises(frame, face)
            for track, face in faces.items()
        )

    def _fusion(self, seen: float = -math.inf) -> MotionFusion:
        assert self.origin is not None  # noqa: S101 - there has been a frame
        return MotionFusion(self._layout, origin=self.origin, flow=self._flow, seen=seen)

    def _end(self, faces: list[int], reason: str | None) -> list[Motion]:
        for face in faces:
            del self._faces[face]
        self._tracker.forget(faces)
        return [SegmentEnd(face, reason) for face in faces]

    def finish(self, reason: str | None = None) -> list[Motion]:
        """End every segment and forget who is who: None says that the source has ended."""
        found = self._end(sorted(self._faces), reason)
        self._tracker.forget()
        return found

    def close(self) -> None:
        """Free the face detector."""
        self._tracker.close()
