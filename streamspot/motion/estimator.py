"""From frames to the motion of every face in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from streamspot.face.detectors import make_detector
from streamspot.face.sight import Sight
from streamspot.face.tracker import LOST_AFTER, FaceTracker
from streamspot.motion.fuse import ANCHOR, MotionFusion
from streamspot.motion.regions import Layout
from streamspot.types import Face, FaceMotion, FlowName, Frame, Motion, SegmentEnd


@dataclass(slots=True)
class _Seen:
    extractor: MotionFusion
    pts: float
    sight: Sight = field(default_factory=Sight)


class MotionEstimator:
    """Finds, follows and measures the faces of one source.

    Attributes:
        origin: Time of tick 0, the first frame's, in seconds; None before it.
        visible: Number of faces in the newest frame.

    Args:
        tracker: Finds and follows them; owned.
        layout: Regions to measure.
        flow: Which optical flow to use.
        anchor: Seconds after which landmarks correct what flow measured.

    Example:
        >>> for frame in frames:  # doctest: +SKIP
        ...     for one in estimator.push(frame):
        ...         print(one.face, one)
    """

    def __init__(
        self,
        tracker: FaceTracker,
        layout: Layout,
        *,
        flow: FlowName = "lk",
        anchor: float = ANCHOR,
    ) -> None:
        self._tracker = tracker
        self._layout = layout
        self._flow: FlowName = flow
        self._anchor = anchor
        self._faces: dict[int, _Seen] = {}
        self._pts: float | None = None
        self.origin: float | None = None
        self.visible = 0

    @classmethod
    def open(
        cls, layout: Layout, *, faces: int = 1, face_model: Path | None = None, flow: FlowName = "lk"
    ) -> Self:
        """Return an estimator with a face detector of its own.

        Args:
            layout: Regions to measure.
            faces: Most faces to follow.
            face_model: A ``face_landmarker.task``; None takes FaceMesh where this MediaPipe has it.
            flow: Which optical flow to use.

        Raises:
            ModelError: The face model is missing or damaged.
        """
        return cls(FaceTracker(make_detector(faces, face_model), faces), layout, flow=flow)

    def push(self, frame: Frame) -> list[Motion]:
        """Take the next frame; return what is now known of every face's motion, in order of track number.

        Faces that flow follows well are not looked for in every frame; as soon as one of them needs its landmarks,
        or has not been seen in the frame before, all are.
        A face unseen for more than half a second, or a gap of that length between two frames, ends its segment.
        """
        if self.origin is None:
            self.origin = frame.pts
        before, self._pts = self._pts, frame.pts
        gap = before is not None and frame.pts - before > LOST_AFTER
        found = self._end(frame.pts, "gap in the source" if gap else "face lost")
        needed = [seen.extractor.follow(frame) or seen.pts != before for seen in self._faces.values()]
        looked = any(needed) or not needed
        faces: dict[int, Face | None] = dict.fromkeys(self._faces)
        if looked:
            faces = {face.track: face for face in self._tracker.track(frame)}
            for track in self._faces.keys() - faces:
                self._faces[track].sight.look(frame, None, 0.0)
        for track, face in faces.items():
            seen = self._faces.get(track)
            if seen is None:
                extractor = MotionFusion(
                    self._layout, origin=self.origin, flow=self._flow, anchor=self._anchor
                )
                seen = self._faces[track] = _Seen(extractor, frame.pts)
            seen.pts = frame.pts
            motions = seen.extractor.push(frame, face)
            if looked:
                seen.sight.look(frame, face, motions[-1].quality if motions else 1.0)
            found += [FaceMotion(track, motion, seen.sight.trouble) for motion in motions]
        self.visible = len(faces)
        return found

    def _end(self, now: float, reason: str) -> list[Motion]:
        lost = [face for face, seen in self._faces.items() if now - seen.pts > LOST_AFTER]
        for face in lost:
            del self._faces[face]
        return [SegmentEnd(face, reason) for face in sorted(lost)]

    def finish(self, reason: str | None = None) -> list[Motion]:
        """End every segment and forget who is who: None says that the source has ended."""
        self._tracker.forget()
        ended: list[Motion] = [SegmentEnd(face, reason) for face in sorted(self._faces)]
        self._faces.clear()
        return ended

    def close(self) -> None:
        """Free the face detector."""
        self._tracker.close()
