"""From frames to the motion of every face in them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from streamspot.face.tracker import LOST_AFTER, FaceTracker
from streamspot.motion.flow import FlowName
from streamspot.motion.fuse import ANCHOR, MotionFusion
from streamspot.motion.regions import Layout
from streamspot.telemetry import Telemetry
from streamspot.types import Face, Frame, Sighting


@dataclass(slots=True)
class _Seen:
    extractor: MotionFusion
    pts: float


class MotionEstimator:
    """Finds, follows and measures the faces of one source.

    Args:
        tracker: Finds and follows them; owned.
        layout: Regions to measure.
        telemetry: Takes the latencies of the stages ``face`` and ``flow``.
        flow: Which optical flow to use.
        anchor: Seconds after which landmarks correct what flow measured.

    Example:
        >>> for frame in frames:  # doctest: +SKIP
        ...     for sighting in estimator.push(frame):
        ...         print(sighting.face, sighting.motion)
    """

    def __init__(
        self,
        tracker: FaceTracker,
        layout: Layout,
        telemetry: Telemetry,
        *,
        flow: FlowName = "lk",
        anchor: float = ANCHOR,
    ) -> None:
        self._tracker = tracker
        self._layout = layout
        self._telemetry = telemetry
        self._flow: FlowName = flow
        self._anchor = anchor
        self._faces: dict[int, _Seen] = {}
        self._pts: float | None = None
        self.origin: float | None = None
        """Time of tick 0, the first frame's, in seconds; None before it."""

    def push(self, frame: Frame) -> list[Sighting]:
        """Take the next frame; return what is now known of every face's motion, in order of track number.

        Faces that flow follows well are not looked for in every frame; as soon as one of them needs its landmarks,
        or has not been seen in the frame before, all are.
        A face unseen for more than half a second, or a gap of that length between two frames, ends its segment.
        """
        if self.origin is None:
            self.origin = frame.pts
        before, self._pts = self._pts, frame.pts
        gap = before is not None and frame.pts - before > LOST_AFTER
        sightings = self._end(frame.pts, "gap in the source" if gap else "face lost")
        started = time.perf_counter()
        needed = [seen.extractor.follow(frame) or seen.pts != before for seen in self._faces.values()]
        looked = any(needed) or not needed
        followed = time.perf_counter()
        faces: dict[int, Face | None] = dict.fromkeys(self._faces)
        if looked:
            faces = {face.track: face for face in self._tracker.track(frame)}
        found = time.perf_counter()
        for track, face in faces.items():
            seen = self._faces.get(track)
            if seen is None:
                extractor = MotionFusion(
                    self._layout, origin=self.origin, flow=self._flow, anchor=self._anchor
                )
                seen = self._faces[track] = _Seen(extractor, frame.pts)
            seen.pts = frame.pts
            sightings += [Sighting(track, motion) for motion in seen.extractor.push(frame, face)]
        if looked:
            self._telemetry.stages["face"].add(found - followed)
        self._telemetry.stages["flow"].add(time.perf_counter() - found + followed - started)
        self._telemetry.faceless += not faces
        return sightings

    def _end(self, now: float, reason: str) -> list[Sighting]:
        lost = [face for face, seen in self._faces.items() if now - seen.pts > LOST_AFTER]
        for face in lost:
            del self._faces[face]
        return [Sighting(face, None, reason) for face in sorted(lost)]

    def finish(self, reason: str | None = None) -> list[Sighting]:
        """End every segment and forget who is who: None says that the source has ended."""
        self._tracker.forget()
        ended = [Sighting(face, None, reason) for face in sorted(self._faces)]
        self._faces.clear()
        return ended

    def close(self) -> None:
        """Free the face detector."""
        self._tracker.close()
